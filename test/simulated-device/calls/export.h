// SPDX-License-Identifier: Apache-2.0

#pragma once

// The symbols of the preloaded library: its replacements of C library functions.
#define EXPORT __attribute__((visibility("default")))
