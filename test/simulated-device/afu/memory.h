// SPDX-License-Identifier: Apache-2.0
//
// Copies from and to the program's memory, by the AFU and by ioctls. An address that cannot be
// translated is reported to the caller and never crashes the process. Lock held.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The number of bytes copied, from the first on; less than size when one cannot be reached.
size_t memory_load(void* target, uint64_t address, size_t size);
size_t memory_store(uint64_t address, const void* source, size_t size);
// For ioctls, in the manner of the kernel: 0 or -EFAULT.
int copy_from_user(void* target, uint64_t address, size_t size);
int copy_to_user(uint64_t address, const void* source, size_t size);
