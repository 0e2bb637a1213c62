// SPDX-License-Identifier: Apache-2.0

#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../control/control.h"
#include "../driver/context.h"
#include "../driver/events.h"
#include "../driver/image.h"
#include "../flash/flash.h"
#include "next.h"

#define TABLE 65536

static _Atomic(struct file*) table[TABLE];

bool file_is(int fd) {
  return fd >= 0 && fd < TABLE && atomic_load_explicit(&table[fd], memory_order_relaxed);
}

bool file_is_context(int fd) { return file_is(fd) && table[fd]->kind == FILE_CONTEXT; }

struct file* file_get(int fd) {
  if (!file_is(fd)) return NULL;
  device_lock();
  struct file* file = table[fd];
  if (file) file->references++;
  device_unlock();
  return file;
}

static void release(struct file* file) {
  if (--file->references) return;
  if (file->kind == FILE_CARD) image_close(file->card);
  if (file->kind == FILE_CONTEXT) {
    file->context->descriptors = 0;
    flash_context_closed(file->context);
    context_put(file->context);
  }
  free(file->path);
  free(file);
}

void file_put(struct file* file) {
  device_lock();
  release(file);
  device_unlock();
}

static void drop(int fd) {
  struct file* file = table[fd];
  if (!file) return;
  table[fd] = NULL;
  release(file);
}

void file_closing(int fd) {
  if (!file_is(fd)) return;
  int before = errno;
  device_lock();
  drop(fd);
  device_unlock();
  errno = before;
}

void file_closing_range(unsigned first, unsigned last) {
  for (unsigned fd = first; fd <= last && fd < TABLE; fd++) file_closing((int)fd);
}

void file_duplicated(int old_fd, int new_fd) {
  if (new_fd < 0 || new_fd >= TABLE || old_fd == new_fd) return;
  device_lock();
  struct file* file = file_is(old_fd) ? table[old_fd] : NULL;
  drop(new_fd);
  if (file) {
    file->references++;
    table[new_fd] = file;
  }
  device_unlock();
}

static struct file* new_file(enum file_kind kind, int flags) {
  struct file* file = calloc(1, sizeof *file);
  if (!file) abort();
  file->kind = kind;
  file->references = 1;
  file->access = flags & O_ACCMODE;
  return file;
}

static int publish(struct file* file, int fd) {
  if (fd < 0 || fd >= TABLE) {
    free(file->path);
    free(file);
    errno = EMFILE;
    return -1;
  }
  device_lock();
  drop(fd);
  table[fd] = file;
  device_unlock();
  return fd;
}

int file_adopt(struct context* context, int fd) {
  struct file* file = new_file(FILE_CONTEXT, O_RDWR);
  file->context = context;
  table[fd] = file;
  return fd;
}

static int open_context(struct node node, int flags) {
  struct context* context = NULL;
  device_lock();
  struct afu* afu = find_afu(node.card);
  int error = context_open(afu, node.kind != 's', (flags & O_NONBLOCK) != 0, &context);
  int fd = -1;
  if (!error) {
    fd = context->event_fd;
    // The context has a descriptor of its own, since the program can close its own at any time.
    context->event_fd = NEXT(fcntl)(fd, F_DUPFD_CLOEXEC, 3);
    if (context->event_fd < 0) {
      error = -errno;
      NEXT(close)(fd);
      context->descriptors = 0;
      context_put(context);
    }
  }
  device_unlock();
  if (error) {
    errno = -error;
    return -1;
  }
  if (!(flags & O_CLOEXEC)) NEXT(fcntl)(fd, F_SETFD, 0);
  struct file* file = new_file(FILE_CONTEXT, flags);
  file->node = node;
  file->context = context;
  return publish(file, fd);
}

static int memory_file(const void* content, size_t size, int flags) {
  int fd = memfd_create("cxlsim", flags & O_CLOEXEC ? MFD_CLOEXEC : 0);
  if (fd >= 0 && size && NEXT(pwrite)(fd, content, size, 0) != (ssize_t)size) abort();
  return fd;
}

static int open_card(struct node node, int flags) {
  device_lock();
  struct card* card = &cards[node.card];
  bool present = card->present;
  if (present) image_open();
  device_unlock();
  if (!present) {
    errno = ENODEV;
    return -1;
  }
  struct file* file = new_file(FILE_CARD, flags);
  file->node = node;
  file->card = card;
  return publish(file, memory_file(NULL, 0, flags));
}

static int open_control(int flags) {
  char* status = NULL;
  if ((flags & O_ACCMODE) != O_WRONLY) status = control_status();
  int fd = memory_file(status, status ? strlen(status) : 0, flags);
  free(status);
  return publish(new_file(FILE_CONTROL, flags), fd);
}

static int open_flash(const struct flash_path* path, int flags) {
  struct file* file = new_file(FILE_FLASH, flags);
  file->flash = path;
  return publish(file, memory_file(NULL, 0, flags));
}

// Attributes of LUNs are files of the tree, except for those that change.
static int open_of_lun(const char* path, const char* tree, int flags) {
  device_lock();
  const char* text = flash_attribute(path);
  device_unlock();
  if (!text) return NEXT(openat)(AT_FDCWD, tree, flags & ~O_CREAT, 0);
  if ((flags & O_ACCMODE) == O_RDONLY) return memory_file(text, strlen(text), flags);
  errno = EACCES;
  return -1;
}

static int open_attribute(const char* path, int flags) {
  struct card* card;
  char kind;
  const struct attribute* attribute = attribute_find(path, &card, &kind);
  int access = flags & O_ACCMODE;
  if (!attribute) {
    errno = ENOENT;
    return -1;
  }
  if ((access != O_WRONLY && !(attribute->mode & 0444)) ||
      (access != O_RDONLY && !(attribute->mode & 0222))) {
    errno = EACCES;
    return -1;
  }
  char content[ATTRIBUTE_MAX];
  size_t size = 0;
  device_lock();
  if (access != O_WRONLY) {
    size = attribute_read(attribute, card, kind, path, content, sizeof content);
  }
  device_unlock();
  int fd = memory_file(content, size, flags);
  if (access == O_RDONLY) return fd;
  struct file* file = new_file(FILE_ATTRIBUTE, flags);
  file->attribute = attribute;
  file->card = card;
  file->path = strdup(path);
  return publish(file, fd);
}

int file_open(const char* tree, int flags, mode_t mode) {
  char path[PATH_MAX];
  struct stat found;
  // A program walks along a path by such descriptors, with O_NOFOLLOW also to links themselves.
  if (flags & O_PATH) return NEXT(openat)(AT_FDCWD, tree, flags, mode);
  if (!tree_resolve(tree, path)) return -1;
  if (NEXT(lstat)(tree, &found) == 0 && S_ISLNK(found.st_mode) && (flags & O_NOFOLLOW)) {
    errno = ELOOP;
    return -1;
  }
  bool folder = NEXT(stat)(tree, &found) == 0 && S_ISDIR(found.st_mode);
  if (folder) return NEXT(openat)(AT_FDCWD, tree, flags & ~O_CREAT, mode);
  if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL)) {
    errno = EEXIST;
    return -1;
  }
  if (flags & O_DIRECTORY) {
    errno = ENOTDIR;
    return -1;
  }
  if (strcmp(path, "/dev/cxl-sim") == 0) return open_control(flags);
  const struct flash_path* flash = flash_find(path);
  if (flash || strcmp(path, FLASH_HOST_NODE) == 0) return open_flash(flash, flags);
  if (flash_ours(path)) return open_of_lun(path, tree, flags);
  struct node node;
  if (strncmp(path, "/dev/cxl/", 9) == 0 && tree_node(path + 9, &node)) {
    return node.kind == 'c' ? open_card(node, flags) : open_context(node, flags);
  }
  return open_attribute(path, flags);
}

ssize_t file_write(struct file* file, const void* data, size_t size) {
  int error = 0;
  if (file->access == O_RDONLY) {
    error = -EBADF;
  } else if (file->kind == FILE_ATTRIBUTE) {
    device_lock();
    error = attribute_write(file->attribute, file->card, file->path, data, size);
    device_unlock();
  } else if (file->kind == FILE_CONTROL) {
    error = control_write(data, size);
  } else {
    error = -EINVAL;
  }
  if (!error) return (ssize_t)size;
  errno = -error;
  return -1;
}

static void renew(struct context* context) {
  int fd = eventfd(0, EFD_CLOEXEC);
  if (fd < 0) return;
  for (int number = 0; number < TABLE; number++) {
    struct file* file = table[number];
    if (!file || file->kind != FILE_CONTEXT || file->context != context) continue;
    int status = NEXT(fcntl)(number, F_GETFL), flags = NEXT(fcntl)(number, F_GETFD);
    NEXT(dup3)(fd, number, flags & FD_CLOEXEC ? O_CLOEXEC : 0);
    NEXT(fcntl)(number, F_SETFL, status & O_NONBLOCK);
  }
  NEXT(dup3)(fd, context->event_fd, O_CLOEXEC);
  NEXT(close)(fd);
  context->readable = false;
  event_signal(context);
}

void file_forked(void) {
  for (int number = 0; number < CARDS; number++) {
    for (int pe = 0; cards[number].afu && pe < 512; pe++) {
      struct context* context = cards[number].afu->contexts[pe];
      if (!context) continue;
      if (context->status == STARTED) {
        context->foreign = true;
      } else if (context->event_fd >= 0) {
        renew(context);
      }
    }
  }
}
