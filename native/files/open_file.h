// SPDX-License-Identifier: Apache-2.0
// open(), begun again when a signal comes in between; never inherited by another program.
#ifndef NODE_CXL_FILES_OPEN_FILE_H_
#define NODE_CXL_FILES_OPEN_FILE_H_

#include <errno.h>
#include <fcntl.h>

namespace cxl {

// As open(): -1 with errno.
inline int OpenFile(const char* path, int flags) {
  int fd;
  do {
    fd = open(path, flags | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

}  // namespace cxl

#endif  // NODE_CXL_FILES_OPEN_FILE_H_
