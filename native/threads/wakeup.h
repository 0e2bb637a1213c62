// SPDX-License-Identifier: Apache-2.0
// The wake-up of a thread by an accelerator (POWER9): the thread waits in the instruction `wait`,
// which the AFU ends by naming the thread's id.
#ifndef NODE_CXL_THREADS_WAKEUP_H_
#define NODE_CXL_THREADS_WAKEUP_H_

#include <stdint.h>

namespace cxl {

// Suspends the calling thread until `word` is not 0; without a word, until the processor resumes
// the thread, which any interrupt of the machine causes too. 0; -EAGAIN when so many nanoseconds
// have passed; -EOPNOTSUPP where the processor has no such instruction.
int WaitForWakeup(const uint64_t* word, uint64_t nanoseconds);

}  // namespace cxl

#endif  // NODE_CXL_THREADS_WAKEUP_H_
