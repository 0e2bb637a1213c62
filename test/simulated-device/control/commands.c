// SPDX-License-Identifier: Apache-2.0

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../calls/files.h"
#include "../calls/next.h"
#include "../driver/area.h"
#include "../driver/context.h"
#include "../driver/events.h"
#include "../driver/image.h"
#include "../flash/flash.h"
#include "../sysfs/attributes.h"
#include "control.h"

static atomic_uint foreign_sigbus;
static uint8_t* foreign_page;
static int foreign_fd = -1;
static long page_size;
static struct sigaction previous_sigbus;
static int last_anonymous = -1;

static void on_sigbus(int signal, siginfo_t* info, void* context) {
  uint8_t* address = info->si_addr;
  if (foreign_page && address >= foreign_page && address < foreign_page + page_size) {
    atomic_fetch_add(&foreign_sigbus, 1);
    // Puts the page there, so that the access ends well when it is repeated.
    if (ftruncate(foreign_fd, page_size)) _exit(99);
    return;
  }
  if ((previous_sigbus.sa_flags & SA_SIGINFO) && previous_sigbus.sa_sigaction) {
    previous_sigbus.sa_sigaction(signal, info, context);
    return;
  }
  sigaction(SIGBUS, &previous_sigbus, NULL);
}

void control_install_sigbus(void) {
  struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  page_size = sysconf(_SC_PAGESIZE);
  sigaction(SIGBUS, &action, &previous_sigbus);
}

static void* touch_foreign(void* unused) {
  (void)unused;
  *(volatile uint8_t*)foreign_page = 1;
  return NULL;
}

// A fault in memory that has nothing to do with any AFU, here or in a thread of its own.
static int raise_foreign_sigbus(bool in_thread) {
  if (foreign_fd < 0) {
    foreign_fd = memfd_create("cxlsim-foreign", MFD_CLOEXEC);
    void* page =
        NEXT(mmap)(NULL, (size_t)page_size, PROT_READ | PROT_WRITE, MAP_SHARED, foreign_fd, 0);
    if (page == MAP_FAILED) return -errno;
    foreign_page = page;
  }
  if (ftruncate(foreign_fd, 0)) return -errno;
  if (!in_thread) {
    touch_foreign(NULL);
    return 0;
  }
  pthread_t thread;
  int error = pthread_create(&thread, NULL, touch_foreign, NULL);
  if (error) return -error;
  return -pthread_join(thread, NULL);
}

static struct card* parse_card(const char* name) {
  struct node node;
  if (!name || !tree_node(name, &node) || node.kind != 'c') return NULL;
  return &cards[node.card];
}

static struct afu* parse_afu(const char* name) {
  int card, end = 0;
  if (!name || sscanf(name, "afu%d.0%n", &card, &end) != 1 || !end || name[end]) return NULL;
  return card >= 0 && card < CARDS ? cards[card].afu : NULL;
}

static bool parse_number(const char* text, uint64_t* value) {
  char* end;
  if (!text || !isdigit((unsigned char)*text)) return false;
  *value = strtoull(text, &end, 0);
  return !*end;
}

static struct context* parse_context(const char* name, const char* element) {
  struct afu* afu = parse_afu(name);
  uint64_t pe;
  if (!afu || !parse_number(element, &pe)) return NULL;
  // As GET_PROCESS_ELEMENT tells it; in a guest that is not the driver's own index.
  for (int index = 0; index < 512; index++) {
    struct context* context = afu->contexts[index];
    if (context && context->external_pe == (int64_t)pe) return context;
  }
  return pe < 512 ? afu->contexts[pe] : NULL;
}

static int inject(const char* name, const char* element, const char* hex) {
  struct context* context = parse_context(name, element);
  uint8_t bytes[CXL_READ_MIN_SIZE];
  size_t size = hex ? strlen(hex) / 2 : 0;
  if (!context || !size || size > sizeof bytes) return -EINVAL;
  for (size_t i = 0; i < size; i++) {
    char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
    char* end;
    bytes[i] = (uint8_t)strtoul(digits, &end, 16);
    if (end != digits + 2) return -EINVAL;
  }
  event_raw(context, bytes, size);
  return 0;
}

// A started context on an anonymous inode, as another driver's attach hands one out.
static int make_anonymous(const char* name, const char* option) {
  struct context* context;
  int error = context_open(parse_afu(name), false, false, &context);
  if (error) return error;
  struct cxl_ioctl_start_work work = {0};
  int fd = context->event_fd;
  context->event_fd = NEXT(fcntl)(fd, F_DUPFD_CLOEXEC, 3);
  context->anonymous = true;
  context->without_id = option && strcmp(option, "no-id") == 0;
  last_anonymous = file_adopt(context, fd);
  return context_start(context, &work);
}

static int set_attribute(const char* path, char* value) {
  char tree[PATH_MAX], resolved[PATH_MAX];
  if (!path || !value) return -EINVAL;
  if (strcmp(value, "normal") == 0 || strcmp(value, "absent") == 0) {
    // The last name may be gone already: only the folder has to be there.
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char* name = strrchr(folder, '/');
    if (!name) return -EINVAL;
    *name++ = 0;
    if (!tree_path(AT_FDCWD, folder, tree) || !tree_resolve(tree, resolved)) return -ENOENT;
    strncat(resolved, "/", sizeof resolved - strlen(resolved) - 1);
    strncat(resolved, name, sizeof resolved - strlen(resolved) - 1);
  } else if (!tree_path(AT_FDCWD, path, tree) || !tree_resolve(tree, resolved)) {
    return -ENOENT;
  }
  device_lock();
  if (strcmp(value, "normal") == 0) {
    override_clear(resolved);
  } else if (strcmp(value, "absent") == 0) {
    override_set(resolved, NULL);
  } else if (strcmp(value, "empty") == 0) {
    override_set(resolved, "");
  } else if (strcmp(value, "nonsense") == 0) {
    override_set(resolved, "\x01\xff nonsense \xfe");
  } else {
    char line[256];
    snprintf(line, sizeof line, "%s\n", value);
    override_set(resolved, line);
  }
  device_unlock();
  return 0;
}

static int card_command(const char* verb, struct card* card, const char* argument) {
  uint64_t milliseconds = 0;
  if (argument && !parse_number(argument, &milliseconds)) return -EINVAL;
  if (strcmp(verb, "link-down") == 0) {
    card_link_down(card, milliseconds);
  } else if (strcmp(verb, "link-up") == 0) {
    card_link_up(card);
  } else if (strcmp(verb, "unplug") == 0) {
    card_unplug(card);
  } else if (strcmp(verb, "lock") == 0) {
    return card_lock(card);
  } else if (strcmp(verb, "unlock") == 0) {
    card_unlock(card);
  } else {
    card_plug(card);
  }
  return 0;
}

static int locked_command(const char* verb, const char* first, const char* second,
                          const char* third) {
  uint64_t number;
  if (strcmp(verb, "link-down") == 0 || strcmp(verb, "link-up") == 0 ||
      strcmp(verb, "unplug") == 0 || strcmp(verb, "plug") == 0 || strcmp(verb, "lock") == 0 ||
      strcmp(verb, "unlock") == 0) {
    struct card* card = parse_card(first);
    return card ? card_command(verb, card, second) : -EINVAL;
  }
  if (strcmp(verb, "detach-all") == 0) {
    struct afu* afu = parse_afu(first);
    if (!afu) return -EINVAL;
    detach_all(afu);
    return 0;
  }
  if (strcmp(verb, "flash-rebind") == 0) return flash_rebind();
  if (strcmp(verb, "slow-close") == 0) {
    return parse_number(first, &slow_close_ms) ? 0 : -EINVAL;
  }
  if (strcmp(verb, "slow-attach") == 0) {
    struct afu* afu = parse_afu(first);
    if (!afu || !parse_number(second, &number)) return -EINVAL;
    afu->slow_attach_ms = number;
    return 0;
  }
  if (strcmp(verb, "interrupt") == 0) {
    struct context* context = parse_context(first, second);
    if (!context || !parse_number(third, &number)) return -EINVAL;
    event_interrupt(context, (int)number);
    return 0;
  }
  if (strcmp(verb, "flash-mode") == 0) return flash_set_mode(first);
  if (strcmp(verb, "event-raw") == 0) return inject(first, second, third);
  if (strcmp(verb, "anon-context") == 0) return make_anonymous(first, second);
  if (strcmp(verb, "truncate-during") == 0) {
    if (first && strcmp(first, "stop") == 0) {
      area_truncate_stop();
      return 0;
    }
    struct afu* afu = parse_afu(first ? first : "afu0.0");
    if (!afu) return -EINVAL;
    area_truncate_start(afu);
    return 0;
  }
  return -EINVAL;
}

static int command(char* line) {
  char* save;
  char* verb = strtok_r(line, " \t", &save);
  if (!verb || verb[0] == '#') return 0;
  char* first = strtok_r(NULL, " \t", &save);
  if (strcmp(verb, "set-attr") == 0) return set_attribute(first, save && *save ? save : NULL);
  if (strcmp(verb, "foreign-sigbus") == 0) {
    return raise_foreign_sigbus(first && strcmp(first, "thread") == 0);
  }
  char* second = strtok_r(NULL, " \t", &save);
  char* third = strtok_r(NULL, " \t", &save);
  device_lock();
  int error = locked_command(verb, first, second, third);
  device_unlock();
  return error;
}

int control_write(const char* text, size_t size) {
  char* copy = strndup(text, size);
  char* save;
  int error = 0;
  if (!copy) return -ENOMEM;
  for (char* line = strtok_r(copy, "\n", &save); line && !error;
       line = strtok_r(NULL, "\n", &save)) {
    error = command(line);
  }
  free(copy);
  return error;
}

static void print_context(FILE* out, struct context* context) {
  static const char* const states[] = {"opened", "started", "closed"};
  fprintf(out,
          "{\"processElement\":%d,\"master\":%s,\"status\":\"%s\",\"descriptors\":%u,"
          "\"mappings\":%u,\"interrupts\":%d,\"pending\":%s,\"wed\":\"0x%llx\"}",
          context->pe, context->master ? "true" : "false", states[context->status],
          context->descriptors, context->mappings, context->irq_count,
          event_pending(context) ? "true" : "false", (unsigned long long)context->wed);
}

static void print_afu(FILE* out, struct afu* afu) {
  fprintf(out, "{\"name\":\"afu%d.0\",\"mode\":%d,\"contexts\":[", afu->card->number, afu->mode);
  bool first = true;
  for (int pe = 0; pe < 512; pe++) {
    if (!afu->contexts[pe]) continue;
    if (!first) fputc(',', out);
    first = false;
    print_context(out, afu->contexts[pe]);
  }
  fputs("]}", out);
}

char* control_status(void) {
  char* text = NULL;
  size_t size = 0;
  FILE* out = open_memstream(&text, &size);
  if (!out) return NULL;
  device_lock();
  device_tick();
  fprintf(out, "{\"flavour\":\"%s\",\"cards\":[", options.guest ? "guest" : "native");
  int open = 0;
  for (int number = 0; number < CARDS; number++) {
    struct card* card = &cards[number];
    open += card->afu->open_contexts;
    fprintf(out, "%s{\"name\":\"card%d\",\"present\":%s,\"linkUp\":%s,\"attached\":%d,\"afu\":",
            number ? "," : "", number, card->present ? "true" : "false",
            card->link_up ? "true" : "false", card->contexts);
    print_afu(out, card->afu);
    fputs("}", out);
  }
  fprintf(out,
          "],\"openContexts\":%d,\"mappings\":%u,\"foreignSigbus\":%u,\"truncations\":%llu,"
          "\"lastAnonymous\":%d,\"imageResets\":%llu,",
          open, area_count(), atomic_load(&foreign_sigbus), (unsigned long long)area_truncations(),
          last_anonymous, (unsigned long long)image_resets());
  fprintf(out,
          "\"counters\":{\"opens\":%llu,\"attaches\":%llu,\"detaches\":%llu,\"elements\":%llu,"
          "\"interrupts\":%llu,\"faults\":%llu,\"errors\":%llu,\"droppedErrors\":%llu,"
          "\"sliceErrors\":%llu}}\n",
          (unsigned long long)counters.opens, (unsigned long long)counters.attaches,
          (unsigned long long)counters.detaches, (unsigned long long)counters.elements,
          (unsigned long long)counters.interrupts, (unsigned long long)counters.faults,
          (unsigned long long)counters.errors, (unsigned long long)counters.dropped_errors,
          (unsigned long long)counters.slice_errors);
  device_unlock();
  fclose(out);
  return text;
}
