// SPDX-License-Identifier: Apache-2.0
//
// The process' memory as the AFU reaches it: an address that cannot be translated is an
// answer, never a crash. Lock held.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The number of bytes moved, from the first on; less than size when one cannot be reached.
size_t memory_load(void* target, uint64_t address, size_t size);
size_t memory_store(uint64_t address, const void* source, size_t size);
