// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the self-test have in common.

#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "../../../native/abi/cxl.h"
#include "../afu/injection.h"
#include "../afu/registers.h"

void check(bool holds, const char* rule);
// The errno of a call that was refused, 0 of one that was not.
#define REFUSAL(call) ((call) < 0 ? errno : 0)

void command(const char* text);
int start_with(int fd, struct cxl_ioctl_start_work work);
int start(int fd);
// A started context of a node; the self-test exits when it cannot be had.
int started(const char* path, int flags);
uint8_t* map(int fd, size_t length);
// Maps, and unmaps at once: a mapping would keep the context alive.
bool maps(int fd, size_t length);
// Writes to the injection registers and waits until the device has carried out the command.
void inject(uint8_t* registers, enum injection command, uint64_t argument, uint64_t value,
            uint64_t count);
// For five seconds at most; what is checked next tells whether the condition holds.
#define WAIT_UNTIL(condition) \
  for (int turn = 0; turn < 5000 && !(condition); turn++) usleep(1000)
short polled(int fd);
// The next event, with the errno of the read in header.reserved1.
struct cxl_event next_event(int fd);
bool is_interrupt(struct cxl_event event, int number);
// Whether a load from there is a SIGBUS.
bool faults(uint8_t* place);

// The rules of cards and AFUs.
void device_rules(void);
// The rules of trapped registers (../trap).
void trap_rules(void);
// The rules of the flash adapter for the children of a fork.
void flash_rules(void);
