// SPDX-License-Identifier: Apache-2.0
//
// The thread in which the AFUs run. It exists while a context is attached or a card is in an error
// state. Lock held.

#pragma once

#include "../driver/device.h"

void engine_wake(void);
// To be called in the child of a fork, where the thread does not exist.
void engine_forget(void);
// Each runs one context for a while; true when there was something to do.
bool memcpy_afu_step(struct context* context);
void memcpy_afu_attach(struct context* context);
bool injection_step(struct context* context);
