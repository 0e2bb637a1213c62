// SPDX-License-Identifier: Apache-2.0
//
// What happens when a process starts, forks and exits.

#include <pthread.h>

#include "../afu/engine.h"
#include "../control/control.h"
#include "../driver/area.h"
#include "../driver/device.h"
#include "../flash/flash.h"
#include "../sysfs/tree.h"
#include "files.h"

static void in_child(void) {
  tree_forget();
  engine_forget();
  for (int number = 0; number < CARDS; number++) area_forked(cards[number].afu);
  file_forked();
  flash_forked();
  device_lock_forked();
  device_unlock();
}

__attribute__((constructor)) static void start(void) {
  control_install_sigbus();
  tree_begin();
  pthread_atfork(device_lock, device_unlock, in_child);
}

__attribute__((destructor)) static void end(void) { tree_remove(); }
