// SPDX-License-Identifier: Apache-2.0

#include "attributes.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree.h"

#define RECORD_SIZE 256

static size_t print(char* out, size_t size, const char* format, long long value) {
  return (size_t)snprintf(out, size, format, value);
}

static size_t text(char* out, size_t size, const char* value) {
  return (size_t)snprintf(out, size, "%s\n", value);
}

#define SHOW(name)                                                     \
  static size_t show_##name(struct card* card __attribute__((unused)), \
                            char kind __attribute__((unused)), char* out, size_t size)
#define STORE(name) static int store_##name(struct card* card, const char* value)

SHOW(pci_vendor) { return text(out, size, "0x1014"); }
SHOW(pci_device) { return text(out, size, "0x0477"); }
SHOW(pci_class) { return text(out, size, "0x1200ff"); }

SHOW(caia_version) { return text(out, size, options.caia == 2 ? "2.0" : "1.0"); }
SHOW(psl_revision) { return text(out, size, "1"); }
SHOW(base_image) { return text(out, size, "0"); }
SHOW(image_loaded) { return text(out, size, card->user_image_loaded ? "user" : "factory"); }
SHOW(psl_timebase_synced) { return text(out, size, "1"); }
SHOW(tunneled_ops_supported) {
  return text(out, size, options.caia == 2 && !options.guest ? "1" : "0");
}
SHOW(load_image_on_perst) {
  if (!card->perst_loads_image) return text(out, size, "none");
  return text(out, size, card->perst_select_user ? "user" : "factory");
}
SHOW(perst_reloads_same_image) { return text(out, size, card->perst_same_image ? "1" : "0"); }

SHOW(mmio_size) {
  struct afu* afu = card->afu;
  return print(out, size, "%lld\n",
               (long long)(afu->shown_pp_size ? afu->shown_pp_size : afu->ps_size));
}
SHOW(irqs_min) { return print(out, size, "%lld\n", card->afu->irqs_min); }
SHOW(irqs_max) { return print(out, size, "%lld\n", card->afu->irqs_max); }
SHOW(modes_supported) {
  int modes = card->afu->modes_supported;
  return (size_t)snprintf(out, size, "%s%s", modes & MODE_DEDICATED ? "dedicated_process\n" : "",
                          modes & MODE_DIRECTED ? "afu_directed\n" : "");
}
SHOW(mode) {
  switch (card->afu->mode) {
    case MODE_DEDICATED:
      return text(out, size, "dedicated_process");
    case MODE_DIRECTED:
      return text(out, size, "afu_directed");
    default:
      return text(out, size, "none");
  }
}
SHOW(prefault_mode) {
  static const char* const names[] = {"none", "work_element_descriptor", "all"};
  return text(out, size, names[card->afu->prefault_mode]);
}
SHOW(api_version) { return text(out, size, "3"); }
SHOW(api_version_compatible) { return text(out, size, "1"); }
SHOW(afu_err_buff) {
  // Empty in a guest.
  if (options.guest) return 0;
  memset(out, 0, size);
  memcpy(out, "cxlsim error buffer", 19);
  return size;
}

SHOW(master_mmio_size) { return print(out, size, "%lld\n", (long long)card->afu->ps_size); }
SHOW(pp_mmio_len) { return print(out, size, "%lld\n", (long long)card->afu->shown_pp_size); }
SHOW(pp_mmio_off) { return print(out, size, "%lld\n", (long long)card->afu->pp_offset); }
SHOW(dev) {
  struct node node = {card->number, kind};
  return (size_t)snprintf(out, size, "%d:%d\n", MAJOR_NUMBER, tree_minor(node));
}

// The configuration record that identifies the memcpy AFU.
SHOW(record_vendor) { return text(out, size, "0x1014"); }
SHOW(record_device) { return text(out, size, "0x4350"); }
SHOW(record_class) { return text(out, size, "0x120000"); }
SHOW(record_config) {
  static const unsigned char head[] = {0x14, 0x10, 0x50, 0x43, 0, 0, 0, 0, 1, 0, 0, 0x12};
  size_t length = size < RECORD_SIZE ? size : RECORD_SIZE;
  memset(out, 0, length);
  memcpy(out, head, sizeof head);
  return length;
}

static bool starts(const char* value, const char* word) {
  return strncmp(value, word, strlen(word)) == 0;
}

// %i of the kernel's sscanf, which unlike that of the C library takes no plus sign, and of a number
// that is too large the low 32 bits.
static bool parse(const char* value, int* out) {
  while (isspace((unsigned char)*value)) value++;
  bool negative = *value == '-';
  if (negative) value++;
  if (!isdigit((unsigned char)*value)) return false;
  uint64_t number = 0;
  int base = value[0] != '0' ? 10 : (value[1] | 0x20) != 'x' ? 8 : isxdigit(value[2]) ? 16 : 8;
  if (base == 16) value += 2;
  for (; isxdigit((unsigned char)*value); value++) {
    int digit = isdigit((unsigned char)*value) ? *value - '0' : (*value | 0x20) - 'a' + 10;
    if (digit >= base) break;
    number = number * (uint64_t)base + (uint64_t)digit;
  }
  *out = (int)(uint32_t)(negative ? -number : number);
  return true;
}

STORE(load_image_on_perst) {
  if (starts(value, "none")) {
    card->perst_loads_image = false;
  } else if (starts(value, "user") || starts(value, "factory")) {
    card->perst_select_user = starts(value, "user");
    card->perst_loads_image = true;
  } else {
    return -EINVAL;
  }
  return 0;
}
STORE(perst_reloads_same_image) {
  int number;
  if (!parse(value, &number) || (number != 0 && number != 1)) return -EINVAL;
  card->perst_same_image = number == 1;
  return 0;
}
STORE(card_reset) {
  int number;
  if (!parse(value, &number) || (number != 1 && number != -1)) return -EINVAL;
  return card_reset(card, number);
}
STORE(irqs_max) {
  int number;
  if (!parse(value, &number)) return -EINVAL;
  if (number < card->afu->irqs_min || number > card->afu->irqs_limit) return -EINVAL;
  card->afu->irqs_max = number;
  return 0;
}
STORE(mode) {
  struct afu* afu = card->afu;
  if (afu->open_contexts) return -EBUSY;
  int mode = starts(value, "dedicated_process") ? MODE_DEDICATED
             : starts(value, "afu_directed")    ? MODE_DIRECTED
             : starts(value, "none")            ? MODE_NONE
                                                : -1;
  if (mode == -1) return -EINVAL;
  // The old mode is deactivated even when the new one is not possible.
  mode_deactivate(afu);
  return mode_activate(afu, mode);
}
STORE(prefault_mode) {
  int mode = starts(value, "none")                      ? 0
             : starts(value, "work_element_descriptor") ? 1
             : starts(value, "all")                     ? 2
                                                        : -1;
  // The driver refuses to prefault with the radix page tables of POWER9.
  if (mode == -1 || (mode != 0 && options.caia == 2)) return -EINVAL;
  card->afu->prefault_mode = mode;
  return 0;
}
STORE(afu_reset) {
  (void)value;
  return afu_reset(card->afu);
}

#define RO(place, name) \
  { PLACE_##place, #name, 0444, 4096, false, show_##name, NULL }
#define NATIVE(place, name) \
  { PLACE_##place, #name, 0444, 4096, true, show_##name, NULL }

const struct attribute attributes[] = {
    {PLACE_PCI, "vendor", 0444, 4096, false, show_pci_vendor, NULL},
    {PLACE_PCI, "device", 0444, 4096, false, show_pci_device, NULL},
    {PLACE_PCI, "class", 0444, 4096, false, show_pci_class, NULL},
    RO(CARD, caia_version),
    RO(CARD, psl_revision),
    RO(CARD, psl_timebase_synced),
    RO(CARD, tunneled_ops_supported),
    NATIVE(CARD, base_image),
    NATIVE(CARD, image_loaded),
    {PLACE_CARD, "load_image_on_perst", 0644, 4096, true, show_load_image_on_perst,
     store_load_image_on_perst},
    {PLACE_CARD, "perst_reloads_same_image", 0644, 4096, true, show_perst_reloads_same_image,
     store_perst_reloads_same_image},
    {PLACE_CARD, "reset", 0200, 4096, false, NULL, store_card_reset},
    RO(AFU, api_version),
    RO(AFU, api_version_compatible),
    RO(AFU, irqs_min),
    {PLACE_AFU, "irqs_max", 0644, 4096, false, show_irqs_max, store_irqs_max},
    RO(AFU, mmio_size),
    RO(AFU, modes_supported),
    {PLACE_AFU, "mode", 0644, 4096, false, show_mode, store_mode},
    {PLACE_AFU, "prefault_mode", 0644, 4096, false, show_prefault_mode, store_prefault_mode},
    {PLACE_AFU, "reset", 0200, 4096, false, NULL, store_afu_reset},
    RO(AFU, afu_err_buff),
    {PLACE_MASTER, "mmio_size", 0444, 4096, false, show_master_mmio_size, NULL},
    RO(MASTER, pp_mmio_len),
    NATIVE(MASTER, pp_mmio_off),
    RO(NODE, dev),
    {PLACE_RECORD, "vendor", 0444, 4096, false, show_record_vendor, NULL},
    {PLACE_RECORD, "device", 0444, 4096, false, show_record_device, NULL},
    {PLACE_RECORD, "class", 0444, 4096, false, show_record_class, NULL},
    {PLACE_RECORD, "config", 0400, RECORD_SIZE, false, show_record_config, NULL},
};
const size_t attribute_count = sizeof attributes / sizeof *attributes;

bool attribute_exists(const struct attribute* attribute) {
  return !(attribute->native_only && options.guest);
}

// What a directory is, by its name.
static bool place_of(const char* folder, enum attribute_place* place, int* card, char* kind) {
  int end = 0;
  *kind = 0;
  if (sscanf(folder, "card%d%n", card, &end) == 1 && !folder[end]) {
    *place = PLACE_CARD;
    *kind = 'c';
  } else if (sscanf(folder, "afu%d.0%n", card, &end) == 1 && end && !folder[end]) {
    *place = PLACE_AFU;
  } else if (end && strchr("dms", folder[end]) && !folder[end + 1]) {
    *kind = folder[end];
    *place = PLACE_NODE;
  } else {
    return false;
  }
  return *card >= 0 && *card < CARDS;
}

const struct attribute* attribute_find(const char* path, struct card** card, char* kind) {
  char copy[PATH_MAX];
  snprintf(copy, sizeof copy, "%s", path);
  char* name = strrchr(copy, '/');
  if (!name) return NULL;
  *name++ = 0;
  char* folder = strrchr(copy, '/');
  if (!folder) return NULL;
  *folder++ = 0;
  enum attribute_place place;
  int number;
  if (strcmp(folder, "cr0") == 0) {
    char* parent = strrchr(copy, '/');
    if (!parent || !place_of(parent + 1, &place, &number, kind)) return NULL;
    place = PLACE_RECORD;
  } else if (sscanf(folder, "000%d:00:00.0", &number) == 1) {
    number -= 6;
    if (number < 0 || number >= CARDS) return NULL;
    place = PLACE_PCI;
  } else if (!place_of(folder, &place, &number, kind)) {
    return NULL;
  }
  *card = &cards[number];
  for (size_t i = 0; i < attribute_count; i++) {
    const struct attribute* attribute = &attributes[i];
    bool here = attribute->place == place ||
                (place == PLACE_NODE && *kind == 'm' && attribute->place == PLACE_MASTER) ||
                (place == PLACE_CARD && options.guest && attribute->place == PLACE_NODE);
    if (here && strcmp(attribute->name, name) == 0 && attribute_exists(attribute)) {
      return attribute;
    }
  }
  return NULL;
}

struct override {
  struct override* next;
  char* value;
  char path[];
};
static struct override* overrides;

static struct override* override_find(const char* path) {
  for (struct override* entry = overrides; entry; entry = entry->next) {
    if (strcmp(entry->path, path) == 0) return entry;
  }
  return NULL;
}

void override_set(const char* path, const char* value) {
  struct override* entry = override_find(path);
  if (!entry) {
    entry = calloc(1, sizeof *entry + strlen(path) + 1);
    if (!entry) return;
    strcpy(entry->path, path);
    entry->next = overrides;
    overrides = entry;
  }
  free(entry->value);
  entry->value = value ? strdup(value) : NULL;
  tree_changed();
}

void override_clear(const char* path) {
  for (struct override** link = &overrides; *link; link = &(*link)->next) {
    struct override* entry = *link;
    if (strcmp(entry->path, path)) continue;
    *link = entry->next;
    free(entry->value);
    free(entry);
    break;
  }
  tree_changed();
}

bool override_absent(const char* path) {
  struct override* entry = override_find(path);
  return entry && !entry->value;
}

size_t attribute_read(const struct attribute* attribute, struct card* card, char kind,
                      const char* path, char* out, size_t size) {
  struct override* entry = override_find(path);
  if (!entry || !entry->value) return attribute->show(card, kind, out, size);
  size_t length = strlen(entry->value);
  if (length > size) length = size;
  memcpy(out, entry->value, length);
  return length;
}

int attribute_write(const struct attribute* attribute, struct card* card, const char* path,
                    const void* data, size_t size) {
  char value[256];
  size_t length = size < sizeof value ? size : sizeof value - 1;
  memcpy(value, data, length);
  value[length] = 0;
  (void)path;
  device_tick();
  return attribute->store(card, value);
}
