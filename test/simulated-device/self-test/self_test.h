// SPDX-License-Identifier: Apache-2.0
//
// What the parts of the self-test share.

#pragma once

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../native/abi/cxl.h"
#include "../afu/registers.h"

void check(bool holds, const char* rule);
// The errno of a call that was refused, 0 of one that was not.
#define REFUSAL(call) ((call) < 0 ? errno : 0)

void command(const char* text);
int start_with(int fd, struct cxl_ioctl_start_work work);
int start(int fd);
// A started context of a node; the self-test ends when there is none.
int started(const char* path, int flags);
uint8_t* map(int fd, size_t length);
// Maps, and unmaps at once: a mapping would keep the context.
bool maps(int fd, size_t length);
// Has the device do something and waits until it has (the provoke block of ../README.md).
void provoke(uint8_t* registers, uint64_t number, uint64_t argument, uint64_t value,
             uint64_t times);
short polled(int fd);
// The next event, with the errno of the read in header.reserved1.
struct cxl_event next_event(int fd);
bool is_interrupt(struct cxl_event event, int number);
// Whether a load there is a SIGBUS.
bool faults(uint8_t* place);

// The rules of cards and AFUs rather than of one context.
void device_rules(void);
// Those of registers that act on access.
void trap_rules(void);
// A flash adapter and the children of a fork.
void flash_rules(void);
