// SPDX-License-Identifier: Apache-2.0
// The `sysfs` of the binding: directories and attributes of /sys. Reading happens at once, on
// JavaScript's thread: what the kernel prints of itself does not block. And it happens in one call,
// since a worker may be terminated between any two steps of JavaScript, which would leave a
// descriptor open. Writing happens on the control thread: `reset` can block.
#ifndef NODE_CXL_FILES_SYSFS_H_
#define NODE_CXL_FILES_SYSFS_H_

#include <napi.h>

namespace cxl {

Napi::Object MakeSysfs(Napi::Env env);

}  // namespace cxl

#endif  // NODE_CXL_FILES_SYSFS_H_
