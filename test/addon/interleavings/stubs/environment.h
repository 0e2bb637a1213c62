// SPDX-License-Identifier: Apache-2.0
// Of the environment, what an operation thread uses.
#ifndef NODE_CXL_TEST_ENVIRONMENT_H_
#define NODE_CXL_TEST_ENVIRONMENT_H_

#include <napi.h>

namespace cxl {

class Environment {
 public:
  bool Start() { return true; }
  void Ref() { ++references; }
  void Unref() { --references; }
  // Any thread.
  void Wake();
  bool stopped() const { return ending; }

  int references = 0;
  bool ending = false;
  // A call of Deliver() is queued that has not begun.
  bool woken = false;
};

}  // namespace cxl

#endif  // NODE_CXL_TEST_ENVIRONMENT_H_
