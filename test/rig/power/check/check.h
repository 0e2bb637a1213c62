// SPDX-License-Identifier: Apache-2.0
// What the C checks share: one line of output a check, and a context with its registers.
#ifndef RIG_CHECK_H
#define RIG_CHECK_H

#include <misc/cxl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAVE "/dev/cxl/afu0.0s"
#define MASTER "/dev/cxl/afu0.0m"
#define AREA 0x10000u

enum register_offset {
  REGISTER_HANDLE = 0x08,
  REGISTER_STATUS = 0x10,
  REGISTER_CONTROL = 0x18,
  INJECTION_COMMAND = 0x1000,
  INJECTION_VALUE = 0x1008,
  INJECTION_COUNT = 0x1010,
  INJECTION_DONE = 0x1018,
};

enum injection {
  INJECT_INTERRUPT = 1,
  INJECT_DATA_STORAGE = 2,
  INJECT_AFU_ERROR = 3,
  INJECT_ERROR_STATE = 4,
  INJECT_SLICE_ERROR = 5,
  INJECT_SLOW_ATTACH = 6,
  INJECT_DETACH_ALL = 7,
};

struct context {
  int fd;
  volatile uint64_t* area;
};

// Prints "ok" or "not ok" with the name, and what was found when it is not.
void check(bool good, const char* name, long found);
int failures(void);

// The errno of a call that answers -1, 0 otherwise.
long errno_of(long answer);

int open_context(const char* path);
// START_WORK; the errno.
int start(int fd, uint64_t wed, uint64_t flags, int interrupts);
// Opens, starts with 4 interrupts and maps; exits the process with a failed check when it cannot.
struct context attached(const char* path, uint64_t wed, uint64_t flags);
void end(struct context* context);

uint64_t load(const struct context* context, unsigned offset);
void store(const struct context* context, unsigned offset, uint64_t value);
// Writes a command and waits until it is done; false when that takes over 20 s.
bool inject(const struct context* context, enum injection command, uint64_t argument,
            uint64_t value, uint64_t count);

// poll(): its revents, 0 after a time-out.
int wait_events(int fd, int milliseconds);
// read(): bytes, or the negative errno.
long read_event(int fd, struct cxl_event* event);
// Seconds from a clock that only goes forward.
double now(void);

void check_life(void);
void check_events(void);
void check_memcpy(void);
void check_recovery(void);
void check_unbind(void);

#endif
