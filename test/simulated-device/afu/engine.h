// SPDX-License-Identifier: Apache-2.0
//
// The thread in which the AFUs run. It lives while a context is attached or a card is in an
// error state, and at no other time. Lock held.

#pragma once

#include "../driver/device.h"

void engine_wake(void);
// In the child of a fork, which has no such thread.
void engine_forget(void);
// Runs one context for a while; true when it did something.
bool memcpy_afu_step(struct context* context);
void memcpy_afu_attach(struct context* context);
bool provoke_step(struct context* context);
