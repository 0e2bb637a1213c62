// SPDX-License-Identifier: Apache-2.0

#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../calls/next.h"
#include "../driver/device.h"
#include "../flash/flash.h"
#include "attributes.h"

static char root[128];
static size_t root_length;
static bool stale = true;
static bool inside_tree;

void tree_changed(void) { stale = true; }
const char* tree_root(void) { return root; }
void tree_entered(bool inside) { inside_tree = inside; }

// The directory of the device that the card belongs to.
static void card_parent(int number, char* out, size_t size) {
  if (options.guest) {
    snprintf(out, size, "/sys/devices/platform/000%d.ibm,coherent-platform-facility", 6 + number);
  } else {
    snprintf(out, size, "/sys/devices/pci000%d:00/000%d:00:00.0", 6 + number, 6 + number);
  }
}

static bool below(const char* path, const char* folder) {
  size_t length = strlen(folder);
  return strncmp(path, folder, length) == 0 && (!path[length] || path[length] == '/');
}

static bool ours(const char* path) {
  if (below(path, "/dev/cxl") || below(path, "/sys/class/cxl")) return true;
  if (strcmp(path, "/dev/cxl-sim") == 0 || flash_ours(path)) return true;
  char prefix[64];
  snprintf(prefix, sizeof prefix, "/sys/dev/char/%d:", MAJOR_NUMBER);
  if (strncmp(path, prefix, strlen(prefix)) == 0) return true;
  for (int number = 0; number < CARDS; number++) {
    char parent[PATH_MAX];
    card_parent(number, parent, sizeof parent);
    if (!options.guest) *strrchr(parent, '/') = 0;
    if (below(path, parent)) return true;
  }
  return false;
}

static int remove_one(const char* path, const struct stat* stat, int type, struct FTW* ftw) {
  (void)stat;
  (void)type;
  (void)ftw;
  return remove(path) && errno != ENOENT ? -1 : 0;
}

static void remove_below(const char* path) { nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS); }

static const char* full(const char* path, char out[PATH_MAX]) {
  snprintf(out, PATH_MAX, "%s%s", root, path);
  return out;
}

static void put_folder(const char* path) {
  char place[PATH_MAX];
  full(path, place);
  for (char* slash = place + root_length + 1; (slash = strchr(slash, '/')); slash++) {
    *slash = 0;
    mkdir(place, 0755);
    *slash = '/';
  }
  mkdir(place, 0755);
}

static void put_link(const char* path, const char* target, bool wanted) {
  char place[PATH_MAX];
  full(path, place);
  if (!wanted) {
    unlink(place);
  } else if (symlink(target, place) && errno != EEXIST) {
    perror("cxlsim: symlink");
  }
}

static void put_file(const char* path, int mode, size_t size, bool wanted) {
  char place[PATH_MAX];
  full(path, place);
  if (!wanted || override_absent(path)) {
    unlink(place);
    return;
  }
  int fd = NEXT(open)(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0) return;
  if (fchmod(fd, (mode_t)mode) || ftruncate(fd, (off_t)size)) perror("cxlsim: attribute");
  NEXT(close)(fd);
}

static void put_content(const char* path, const char* content, size_t size) {
  char place[PATH_MAX];
  int fd = NEXT(open)(full(path, place), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return;
  if (NEXT(write)(fd, content, size) < 0) perror("cxlsim: attribute");
  NEXT(close)(fd);
}

static void put_attributes(const char* folder, enum attribute_place place) {
  for (size_t i = 0; i < attribute_count; i++) {
    const struct attribute* attribute = &attributes[i];
    char path[PATH_MAX];
    if (attribute->place != place) continue;
    snprintf(path, sizeof path, "%s/%s", folder, attribute->name);
    put_file(path, attribute->mode, attribute->size, attribute_exists(attribute));
  }
}

// A link of sysfs is relative: as many steps up as the folder that holds it is deep.
static void relative(const char* from, const char* to, char* out, size_t size) {
  size_t used = 0;
  // A link directly in /sys/class/cxl is three folders deep, one step of which is /sys.
  for (const char* step = strchr(from + 5, '/'); step; step = strchr(step + 1, '/')) {
    used += (size_t)snprintf(out + used, size - used, "../");
  }
  snprintf(out + used, size - used, "%s", to + 5);
}

static void put_sys_link(const char* path, const char* to, bool wanted) {
  char target[PATH_MAX];
  relative(path, to, target, sizeof target);
  put_link(path, target, wanted);
}

static void put_class_link(const char* path, const char* to) { put_sys_link(path, to, true); }

static void put_in_class(const char* folder, const char* parent, bool wanted) {
  char path[PATH_MAX + 32];
  if (wanted) {
    snprintf(path, sizeof path, "%s/subsystem", folder);
    put_sys_link(path, "/sys/class/cxl", true);
    snprintf(path, sizeof path, "%s/device", folder);
    put_sys_link(path, parent, true);
  }
  snprintf(path, sizeof path, "/sys/class/cxl%s", strrchr(folder, '/'));
  put_sys_link(path, folder, wanted);
}

static void put_char_link(int minor, const char* folder, bool wanted) {
  char path[64];
  snprintf(path, sizeof path, "/sys/dev/char/%d:%d", MAJOR_NUMBER, minor);
  put_sys_link(path, folder, wanted);
}

static void put_node(struct card* card, const char* afu, char kind, bool wanted) {
  char folder[PATH_MAX], path[PATH_MAX];
  snprintf(folder, sizeof folder, "%s/afu%d.0%c", afu, card->number, kind);
  if (wanted) {
    put_folder(folder);
    put_attributes(folder, PLACE_NODE);
    if (kind == 'm') put_attributes(folder, PLACE_MASTER);
  } else {
    char place[PATH_MAX];
    remove_below(full(folder, place));
  }
  put_in_class(folder, afu, wanted);
  put_char_link(tree_minor((struct node){card->number, kind}), folder, wanted);
  snprintf(path, sizeof path, "/dev/cxl/afu%d.0%c", card->number, kind);
  put_file(path, 0600, 0, wanted);
}

static void put_udev_link(struct card* card, char kind) {
  char path[64], target[64], place[PATH_MAX];
  snprintf(path, sizeof path, "/dev/cxl/afu%d.0", card->number);
  unlink(full(path, place));
  snprintf(target, sizeof target, "afu%d.0%c", card->number, kind);
  put_link(path, target, kind != 0);
}

static void put_afu(struct card* card, const char* parent) {
  struct afu* afu = card->afu;
  char folder[PATH_MAX], path[PATH_MAX + 8];
  snprintf(folder, sizeof folder, "%s/afu%d.0", parent, card->number);
  bool present = card->present && !card->without_afus;
  if (present) {
    put_folder(folder);
    put_attributes(folder, PLACE_AFU);
    snprintf(path, sizeof path, "%s/cr0", folder);
    put_folder(path);
    put_attributes(path, PLACE_RECORD);
  }
  put_in_class(folder, parent, present);
  bool directed = present && afu->mode == MODE_DIRECTED;
  bool dedicated = present && afu->mode == MODE_DEDICATED;
  put_node(card, folder, 'd', dedicated);
  put_node(card, folder, 'm', directed);
  put_node(card, folder, 's', directed);
  if (!present) remove_below(full(folder, path));
  put_udev_link(card, dedicated ? 'd' : directed ? 's' : 0);
}

static void put_card(struct card* card) {
  char parent[PATH_MAX - 64], folder[PATH_MAX], place[PATH_MAX];
  card_parent(card->number, parent, sizeof parent);
  put_folder(parent);
  snprintf(folder, sizeof folder, "%s/subsystem", parent);
  put_sys_link(folder, options.guest ? "/sys/bus/platform" : "/sys/bus/pci", true);
  if (!options.guest) put_attributes(parent, PLACE_PCI);
  snprintf(folder, sizeof folder, "%s/cxl/card%d", parent, card->number);
  if (card->present) {
    put_folder(folder);
    put_attributes(folder, PLACE_CARD);
    if (options.guest) put_attributes(folder, PLACE_NODE);
  }
  put_in_class(folder, parent, card->present);
  put_afu(card, folder);
  if (!card->present) remove_below(full(folder, place));
  if (options.guest) {
    struct node node = {card->number, 'c'};
    put_char_link(tree_minor(node), folder, card->present);
    snprintf(folder, sizeof folder, "/dev/cxl/card%d", card->number);
    put_file(folder, 0600, 0, card->present);
  }
}

// Removes the folders of processes that were killed.
static void sweep(const char* base) {
  DIR* folder = NEXT(opendir)(base);
  if (!folder) return;
  for (struct dirent* entry; (entry = readdir(folder));) {
    int pid;
    char path[PATH_MAX];
    if (sscanf(entry->d_name, "cxlsim-%d-", &pid) != 1) continue;
    if (kill(pid, 0) == 0 || errno != ESRCH) continue;
    snprintf(path, sizeof path, "%s/%s", base, entry->d_name);
    remove_below(path);
  }
  closedir(folder);
}

static bool make_root(void) {
  const char* base = getenv("CXLSIM_TREE");
  if (!base) base = NEXT(access)("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  sweep(base);
  snprintf(root, sizeof root, "%s/cxlsim-%d-XXXXXX", base, (int)getpid());
  if (!mkdtemp(root)) {
    root[0] = 0;
    return false;
  }
  root_length = strlen(root);
  return true;
}

static void synchronize(void) {
  device_tick();
  if (!stale) return;
  if (!root[0] && !make_root()) return;
  stale = false;
  mode_t mask = umask(0);
  put_folder("/sys/class/cxl");
  put_folder("/sys/dev/char");
  put_folder(options.guest ? "/sys/bus/platform" : "/sys/bus/pci");
  put_folder("/dev/cxl");
  put_file("/dev/cxl-sim", 0600, 0, true);
  flash_tree(&(struct tree_maker){put_folder, put_content, put_class_link});
  for (int number = 0; number < CARDS; number++) put_card(&cards[number]);
  umask(mask);
}

static void prepare(void) {
  device_start();
  device_lock();
  synchronize();
  device_unlock();
}

// Removes repeated slashes and single dots; the kernel resolves "..".
static bool normalize(const char* path, char out[PATH_MAX]) {
  size_t used = 0;
  while (*path) {
    while (*path == '/') path++;
    size_t length = strcspn(path, "/");
    if (length == 0) break;
    if (!(length == 1 && *path == '.')) {
      if (used + length + 2 > PATH_MAX) return false;
      out[used++] = '/';
      memcpy(out + used, path, length);
      used += length;
    }
    path += length;
  }
  // A slash at the end follows a symbolic link.
  if (used > 0 && path[-1] == '/' && used + 1 < PATH_MAX) out[used++] = '/';
  out[used] = 0;
  return used > 0;
}

// The part of a path after the folder of a tree (of this process or of its parent); NULL for a path
// outside.
static const char* within_tree(const char* path) {
  const char* name = strstr(path, "/cxlsim-");
  if (!name || name[8] < '0' || name[8] > '9') return NULL;
  const char* end = strchr(name + 1, '/');
  return end ? end : "/";
}

// Where a relative path begins.
static bool start_of(int dirfd, char out[PATH_MAX]) {
  char link[64];
  snprintf(link, sizeof link, dirfd == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", dirfd);
  ssize_t length = NEXT(readlink)(link, out, PATH_MAX - 1);
  if (length <= 0) return false;
  out[length] = 0;
  return out[0] == '/';
}

bool tree_in_sysfs(int fd) {
  char path[PATH_MAX];
  int before = errno;
  const char* within = start_of(fd, path) ? within_tree(path) : NULL;
  errno = before;
  return within && below(within, "/sys");
}

static bool relative_path(int dirfd, const char* path, char out[PATH_MAX]) {
  if (dirfd == AT_FDCWD && !inside_tree) return false;
  char base[PATH_MAX], joined[PATH_MAX];
  if (!start_of(dirfd, base)) return false;
  const char* within = within_tree(base);
  if (!within) {
    // From a folder of the machine, such as /sys/class, into one of the device.
    return strcmp(path, "..") && strcmp(base, "/") &&
           (size_t)snprintf(joined, PATH_MAX, "%s/%s", base, path) < PATH_MAX &&
           tree_path(AT_FDCWD, joined, out);
  }
  prepare();
  return (size_t)snprintf(out, PATH_MAX, "%s%s/%s", root, within, path) < PATH_MAX;
}

void tree_begin(void) {
  char folder[PATH_MAX];
  inside_tree = getcwd(folder, sizeof folder) && within_tree(folder);
}

// A fast check that rejects most other paths.
static bool may_be_ours(const char* path) {
  static const char* const starts[] = {"/sys/", "/dev/cxl", "/dev/sg", "/dev/sd",
                                       "/proc/self/mounts"};
  for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
    if (strncmp(path, starts[i], strlen(starts[i])) == 0) return true;
  }
  return false;
}

bool tree_path(int dirfd, const char* path, char out[PATH_MAX]) {
  if (!path || !path[0]) return false;
  int before = errno;
  if (path[0] != '/') {
    bool relative = relative_path(dirfd, path, out);
    errno = before;
    return relative;
  }
  char clean[PATH_MAX];
  if (!normalize(path, clean)) return false;
  if (!may_be_ours(clean)) return false;
  device_start();
  if (!ours(clean)) return false;
  prepare();
  errno = before;
  return (size_t)snprintf(out, PATH_MAX, "%s%s", root, clean) < PATH_MAX;
}

#define MAX_LINKS 40

// Follows the links of `pending`, whose part `real` has been followed, until it is one of the
// device.
static bool follow_links(char pending[PATH_MAX], char real[PATH_MAX], bool follow,
                         char out[PATH_MAX]) {
  char target[PATH_MAX], joined[PATH_MAX];
  int links = 0;
  for (char* rest = pending;;) {
    rest += strspn(rest, "/");
    size_t length = strcspn(rest, "/");
    if (length == 0) return false;
    const char* name = rest;
    rest += length;
    bool up = length == 2 && name[0] == '.' && name[1] == '.';
    if (up) {
      char* slash = strrchr(real, '/');
      if (slash) *slash = 0;
    }
    if (up || (length == 1 && name[0] == '.')) continue;
    size_t used = strlen(real);
    if (used + length + 2 > PATH_MAX) return false;
    snprintf(real + used, PATH_MAX - used, "/%.*s", (int)length, name);
    if (may_be_ours(real)) {
      device_start();
      if (ours(real)) {
        prepare();
        return (size_t)snprintf(out, PATH_MAX, "%s%s%s", root, real, rest) < PATH_MAX;
      }
    }
    bool last = !rest[strspn(rest, "/")];
    if (last && !follow && !*rest) return false;
    ssize_t size = NEXT(readlink)(real, target, sizeof target - 1);
    if (size <= 0) continue;
    target[size] = 0;
    if (++links > MAX_LINKS) return false;
    if ((size_t)snprintf(joined, PATH_MAX, "%s%s", target, rest) >= PATH_MAX) return false;
    real[target[0] == '/' ? 0 : used] = 0;
    strcpy(pending, joined);
    rest = pending;
  }
}

bool tree_link_path(int dirfd, const char* path, bool follow, char out[PATH_MAX]) {
  if (!path || !path[0] || strlen(path) >= PATH_MAX) return false;
  char pending[PATH_MAX], real[PATH_MAX] = "";
  int before = errno;
  strcpy(pending, path);
  bool found =
      (path[0] == '/' || start_of(dirfd, real)) && follow_links(pending, real, follow, out);
  errno = before;
  return found;
}

// The kernel resolves all links in one call; realpath() takes a dozen, and a program may read ten
// thousand attributes.
static bool real_path(const char* path, char out[PATH_MAX]) {
  int fd = NEXT(open)(path, O_PATH | O_CLOEXEC);
  if (fd < 0) return false;
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = NEXT(readlink)(link, out, PATH_MAX - 1);
  NEXT(close)(fd);
  if (length > 0) out[length] = 0;
  // Without /proc.
  return length > 0 || NEXT(realpath)(path, out) != NULL;
}

bool tree_resolve(const char* tree, char out[PATH_MAX]) {
  if (!real_path(tree, out)) return false;
  tree_strip(out);
  return true;
}

void tree_strip(char* path) {
  if (root_length && below(path, root)) {
    memmove(path, path + root_length, strlen(path + root_length) + 1);
    if (!path[0]) strcpy(path, "/");
  }
}

void tree_remove(void) {
  if (root[0]) remove_below(root);
  root[0] = 0;
}

void tree_forget(void) {
  root[0] = 0;
  root_length = 0;
  stale = true;
}

bool tree_node(const char* name, struct node* node) {
  int end = 0;
  *node = (struct node){0};
  if (sscanf(name, "afu%d.0%n", &node->card, &end) == 1 && end && name[end] && !name[end + 1] &&
      strchr("dms", name[end])) {
    node->kind = name[end];
  } else if (sscanf(name, "card%d%n", &node->card, &end) == 1 && !name[end]) {
    node->kind = 'c';
  } else {
    return false;
  }
  return node->card >= 0 && node->card < CARDS;
}

int tree_minor(struct node node) {
  int within = node.kind == 'd' ? 1 : node.kind == 'm' ? 2 : node.kind == 's' ? 3 : 0;
  return node.card * MINORS_PER_CARD + within;
}
