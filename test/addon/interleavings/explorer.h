// SPDX-License-Identifier: Apache-2.0
// Runs a program of several tasks in every order in which they can meet: depth first over the
// choices at each point where another task could go on, with a limit on preemptions.
#ifndef NODE_CXL_TEST_EXPLORER_H_
#define NODE_CXL_TEST_EXPLORER_H_

#include <functional>

// Within a task: another may go on here.
void Point();
// Within a task: it goes on when `ready` is true. All tasks blocked is a violation.
void Block(const std::function<bool()>& ready);
int Spawn(std::function<void()> body);
bool Ended(int task);
int Current();
// A violation: prints `what` and the choices that led to it, and ends the process.
[[noreturn]] void Fail(const char* what);
#define CHECK(condition)                \
  do {                                  \
    if (!(condition)) Fail(#condition); \
  } while (false)

// Every order of what `program`, as task 0, and the tasks that it spawns do. Returns how many.
unsigned long Explore(const char* name, unsigned preemptions, const std::function<void()>& program);

#endif  // NODE_CXL_TEST_EXPLORER_H_
