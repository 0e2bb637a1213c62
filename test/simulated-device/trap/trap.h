// SPDX-License-Identifier: Apache-2.0
//
// Registers that act on access: their mappings let nothing through, and the SIGSEGV of each
// access carries it out.

#pragma once

// Puts a handler of SIGSEGV in front of the one that is there, which gets every fault that is
// none of a register. Once; lock held.
void trap_install(void);
