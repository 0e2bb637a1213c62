// SPDX-License-Identifier: Apache-2.0
//
// The commands of /dev/cxl-sim. A new one is a handler and its entry in the table below.

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../calls/files.h"
#include "../calls/next.h"
#include "../driver/area.h"
#include "../driver/context.h"
#include "../driver/events.h"
#include "../flash/flash.h"
#include "../sysfs/attributes.h"
#include "control.h"

#define MAX_ARGUMENTS 3

static int last_anonymous = -1;

int last_anonymous_context(void) { return last_anonymous; }

static struct card* parse_card(const char* name) {
  struct node node;
  if (!tree_node(name, &node) || node.kind != 'c') return NULL;
  return &cards[node.card];
}

static struct afu* parse_afu(const char* name) {
  int card, end = 0;
  if (sscanf(name, "afu%d.0%n", &card, &end) != 1 || !end || name[end]) return NULL;
  return card >= 0 && card < CARDS ? cards[card].afu : NULL;
}

static bool parse_number(const char* text, uint64_t* value) {
  char* end;
  if (!isdigit((unsigned char)*text)) return false;
  *value = strtoull(text, &end, 0);
  return !*end;
}

static struct context* parse_context(const char* name, const char* element) {
  struct afu* afu = parse_afu(name);
  uint64_t pe;
  if (!afu || !parse_number(element, &pe)) return NULL;
  // The number of GET_PROCESS_ELEMENT, which in a guest is not the driver's index.
  for (int index = 0; index < 512; index++) {
    struct context* context = afu->contexts[index];
    if (context && context->external_pe == (int64_t)pe) return context;
  }
  return pe < 512 ? afu->contexts[pe] : NULL;
}

// Arguments that a command was not given are NULL.
static int link_down(char** arguments) {
  struct card* card = parse_card(arguments[0]);
  uint64_t milliseconds = 0;
  if (!card || (arguments[1] && !parse_number(arguments[1], &milliseconds))) return -EINVAL;
  card_link_down(card, milliseconds);
  return 0;
}

#define CARD_COMMAND(name)                        \
  static int name(char** arguments) {             \
    struct card* card = parse_card(arguments[0]); \
    if (!card) return -EINVAL;                    \
    card_##name(card);                            \
    return 0;                                     \
  }
CARD_COMMAND(link_up)
CARD_COMMAND(unplug)
CARD_COMMAND(plug)
CARD_COMMAND(unlock)

static int lock(char** arguments) {
  struct card* card = parse_card(arguments[0]);
  return card ? card_lock(card) : -EINVAL;
}

static int detach_all_contexts(char** arguments) {
  struct afu* afu = parse_afu(arguments[0]);
  if (!afu) return -EINVAL;
  detach_all(afu);
  return 0;
}

static int set_enabled(struct afu* afu, bool enabled) {
  // In a guest the AFU is always enabled.
  if (!afu || options.guest) return -EINVAL;
  afu->enabled = enabled;
  return 0;
}

static int disable(char** arguments) { return set_enabled(parse_afu(arguments[0]), false); }
static int enable(char** arguments) { return set_enabled(parse_afu(arguments[0]), true); }

static int slow_attach(char** arguments) {
  struct afu* afu = parse_afu(arguments[0]);
  return afu && parse_number(arguments[1], &afu->slow_attach_ms) ? 0 : -EINVAL;
}

static int slow_close(char** arguments) {
  return parse_number(arguments[0], &slow_close_ms) ? 0 : -EINVAL;
}

static int interrupt(char** arguments) {
  struct context* context = parse_context(arguments[0], arguments[1]);
  uint64_t number;
  if (!context || !parse_number(arguments[2], &number)) return -EINVAL;
  event_interrupt(context, (int)number);
  return 0;
}

static int add_raw_event(char** arguments) {
  struct context* context = parse_context(arguments[0], arguments[1]);
  const char* hex = arguments[2];
  uint8_t bytes[CXL_READ_MIN_SIZE];
  size_t size = strlen(hex) / 2;
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

// A started context on an anonymous inode, as another driver hands out.
static int anonymous_context(char** arguments) {
  struct context* context;
  int error = context_open(parse_afu(arguments[0]), false, false, &context);
  if (error) return error;
  struct cxl_ioctl_start_work work = {0};
  int fd = context->event_fd;
  context->event_fd = NEXT(fcntl)(fd, F_DUPFD_CLOEXEC, 3);
  context->anonymous = true;
  context->without_id = arguments[1] && strcmp(arguments[1], "no-id") == 0;
  last_anonymous = file_adopt(context, fd);
  return context_start(context, &work);
}

static int truncate_during(char** arguments) {
  const char* name = arguments[0] ? arguments[0] : "afu0.0";
  if (strcmp(name, "stop") == 0) {
    area_truncate_stop();
    return 0;
  }
  struct afu* afu = parse_afu(name);
  if (!afu) return -EINVAL;
  area_truncate_start(afu);
  return 0;
}

static int unbind(char** arguments) {
  (void)arguments;
  flash_unbind();
  return 0;
}

static int rebind(char** arguments) {
  (void)arguments;
  return flash_rebind();
}

static int flash_mode(char** arguments) { return flash_set_mode(arguments[0]); }

static int foreign_sigbus(char** arguments) {
  return raise_foreign_sigbus(arguments[0] && strcmp(arguments[0], "thread") == 0);
}

// The canonical path of an attribute, which may be absent itself if its folder exists.
static int resolve_attribute(const char* path, bool exists, char out[PATH_MAX]) {
  char folder[PATH_MAX], tree[PATH_MAX];
  snprintf(folder, sizeof folder, "%s", path);
  char* name = exists ? NULL : strrchr(folder, '/');
  if (!exists && !name) return -EINVAL;
  if (name) *name++ = 0;
  if (!tree_path(AT_FDCWD, folder, tree) || !tree_resolve(tree, out)) return -ENOENT;
  if (!name) return 0;
  strncat(out, "/", PATH_MAX - strlen(out) - 1);
  strncat(out, name, PATH_MAX - strlen(out) - 1);
  return 0;
}

static int set_attribute(char** arguments) {
  const char* value = arguments[1];
  char path[PATH_MAX], line[256];
  bool normal = strcmp(value, "normal") == 0, absent = strcmp(value, "absent") == 0;
  int error = resolve_attribute(arguments[0], !normal && !absent, path);
  if (error) return error;
  snprintf(line, sizeof line, "%s\n", value);
  device_lock();
  if (normal) {
    override_clear(path);
  } else if (absent) {
    override_set(path, NULL);
  } else if (strcmp(value, "empty") == 0) {
    override_set(path, "");
  } else if (strcmp(value, "nonsense") == 0) {
    override_set(path, "\x01\xff nonsense \xfe");
  } else {
    override_set(path, line);
  }
  device_unlock();
  return 0;
}

enum {
  LOCKS = 1,  // the handler takes the device lock itself
  REST = 2    // the last argument is the rest of the line
};

static const struct command {
  const char* name;
  int (*handler)(char** arguments);
  int required;  // arguments
  int allowed;
  unsigned flags;
} commands[] = {
    {"link-down", link_down, 1, 2, 0},
    {"link-up", link_up, 1, 1, 0},
    {"unplug", unplug, 1, 1, 0},
    {"plug", plug, 1, 1, 0},
    {"lock", lock, 1, 1, 0},
    {"unlock", unlock, 1, 1, 0},
    {"detach-all", detach_all_contexts, 1, 1, 0},
    {"disable", disable, 1, 1, 0},
    {"enable", enable, 1, 1, 0},
    {"slow-attach", slow_attach, 2, 2, 0},
    {"slow-close", slow_close, 1, 1, 0},
    {"interrupt", interrupt, 3, 3, 0},
    {"event-raw", add_raw_event, 3, 3, 0},
    {"anon-context", anonymous_context, 1, 2, 0},
    {"truncate-during", truncate_during, 0, 1, 0},
    {"flash-unbind", unbind, 0, 0, LOCKS},
    {"flash-rebind", rebind, 0, 0, 0},
    {"flash-mode", flash_mode, 1, 1, 0},
    {"foreign-sigbus", foreign_sigbus, 0, 1, LOCKS},
    {"set-attr", set_attribute, 2, 2, LOCKS | REST},
};

static int run(const struct command* command, char* line) {
  char* arguments[MAX_ARGUMENTS + 1] = {0};
  int count = 0;
  for (char* rest = line; count <= MAX_ARGUMENTS; count++) {
    bool last = command->flags & REST && count == command->allowed - 1;
    char* argument = last ? rest : strtok_r(NULL, " \t", &rest);
    if (!argument || !*argument) break;
    arguments[count] = argument;
    if (last) rest = argument + strlen(argument);
  }
  if (count < command->required || count > command->allowed) return -EINVAL;
  if (command->flags & LOCKS) return command->handler(arguments);
  device_lock();
  int error = command->handler(arguments);
  device_unlock();
  return error;
}

static int run_line(char* line) {
  char* rest;
  const char* name = strtok_r(line, " \t", &rest);
  if (!name || name[0] == '#') return 0;
  for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
    if (strcmp(commands[i].name, name) == 0) return run(&commands[i], rest);
  }
  return -EINVAL;
}

int control_write(const char* text, size_t size) {
  char* copy = strndup(text, size);
  char* rest;
  int error = 0;
  if (!copy) return -ENOMEM;
  for (char* line = strtok_r(copy, "\n", &rest); line && !error;
       line = strtok_r(NULL, "\n", &rest)) {
    error = run_line(line);
  }
  free(copy);
  return error;
}
