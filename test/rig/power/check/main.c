// SPDX-License-Identifier: Apache-2.0
// A quick check of the driver and the rig under it, in C, before anything of ours runs there.
#include <stdio.h>

#include "check.h"

int main(void) {
  check_life();
  check_events();
  check_memcpy();
  check_recovery();
  check_unbind();
  printf("# %d failed\n", failures());
  return failures() == 0 ? 0 : 1;
}
