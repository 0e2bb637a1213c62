// SPDX-License-Identifier: Apache-2.0

#pragma once

// What the preloaded library shows of itself: the calls it puts in front of the C library's.
#define EXPORT __attribute__((visibility("default")))
