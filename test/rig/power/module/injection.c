// SPDX-License-Identifier: GPL-2.0-or-later
/* The injection registers: a program writes a command, and the device does what it is asked. */
#include <linux/io.h>
#include <linux/jiffies.h>

#include "rig.h"

/* The four registers, from the start of an area. */
#define REGISTERS 0x1000
#define COMMAND 0x00
#define VALUE 0x08
#define COUNT 0x10
#define DONE 0x18

#define COMMAND_SHIFT 56
#define ARGUMENT_MASK ((1ULL << COMMAND_SHIFT) - 1)

#define INJECT_INTERRUPT 1
#define INJECT_DATA_STORAGE 2
#define INJECT_AFU_ERROR 3
#define INJECT_ERROR_STATE 4
#define INJECT_SLICE_ERROR 5
#define INJECT_SLOW_ATTACH 6
#define INJECT_DETACH_ALL 7

/* In the privileged area, where the driver reads the cause of a slice error. */
#define P2_AFU_ERROR 0x98
#define SLICE_ERROR_MMIO_TIMEOUT (1ULL << 63)

static u64 load(u8 __iomem *registers, unsigned int offset)
{
	return in_be64((u64 __iomem *)(registers + offset));
}

static void store(u8 __iomem *registers, unsigned int offset, u64 value)
{
	out_be64((u64 __iomem *)(registers + offset), value);
}

static void raise_interrupts(struct rig_process *process, u64 which, u64 count)
{
	unsigned int n;

	for (; count > 0 && !rig_halted(process); count--)
		for (n = 1; n <= process->interrupts; n++)
			if (which & (1ULL << (n - 1)))
				rig_raise(process->isn[n]);
}

/* Until it has recovered every load returns all ones, as from a card without a link. */
static void enter_error_state(struct rig_afu *afu, unsigned int milliseconds)
{
	unsigned long flags;
	unsigned int slot;

	spin_lock_irqsave(&afu->lock, flags);
	afu->error_until = jiffies + msecs_to_jiffies(milliseconds);
	afu->reset_seen = false;
	WRITE_ONCE(afu->in_error, true);
	for (slot = 0; slot < afu->max_processes; slot++)
		if (afu->processes[slot])
			memset_io(afu->processes[slot]->area, 0xff, RIG_AREA);
	memset_io(afu->area, 0xff, RIG_AREA);
	spin_unlock_irqrestore(&afu->lock, flags);
}

static void execute(struct rig_process *process, unsigned int command, u64 argument, u64 value, u64 count)
{
	struct rig_afu *afu = process->afu;
	u8 touched;

	switch (command) {
	case INJECT_INTERRUPT:
		raise_interrupts(process, argument, max(count, 1ULL));
		break;
	case INJECT_DATA_STORAGE:
		for (count = max(count, 1ULL); count > 0 && !rig_halted(process); count--)
			rig_read(process, value, &touched, sizeof(touched));
		break;
	case INJECT_AFU_ERROR:
		for (count = max(count, 1ULL); count > 0 && !rig_halted(process); count--)
			rig_psl_interrupt(process, (struct rig_fault){ .dsisr = RIG_DSISR_AFU_ERROR,
								       .afu_error = value });
		break;
	case INJECT_SLICE_ERROR:
		afu->slice_error = value ? value : SLICE_ERROR_MMIO_TIMEOUT;
		store(afu->p2, P2_AFU_ERROR, argument);
		rig_raise(afu->error_isn);
		break;
	case INJECT_SLOW_ATTACH:
		afu->slow_attach = min_t(u64, argument, UINT_MAX);
		break;
	case INJECT_DETACH_ALL:
		WRITE_ONCE(afu->detach_all, true);
		break;
	}
}

static bool poll_registers(struct rig_process *process, u8 __iomem *registers)
{
	u64 word = load(registers, COMMAND);
	unsigned int command = word >> COMMAND_SHIFT;
	u64 value, count;

	if (word == 0)
		return false;
	value = load(registers, VALUE);
	count = load(registers, COUNT);
	store(registers, COMMAND, 0);
	if (command == INJECT_ERROR_STATE) {
		/* Counted first: every register reads as all ones in error state. */
		store(registers, DONE, load(registers, DONE) + 1);
		enter_error_state(process->afu, min_t(u64, word & ARGUMENT_MASK, UINT_MAX));
		return true;
	}
	execute(process, command, word & ARGUMENT_MASK, value, count);
	if (!rig_halted(process))
		store(registers, DONE, load(registers, DONE) + 1);
	return true;
}

bool rig_injection_pending(struct rig_process *process)
{
	return load(process->area + REGISTERS, COMMAND) ||
	       (process->master && load(process->afu->area + REGISTERS, COMMAND));
}

/* A master maps the whole area, so it finds the registers at the start of that as well. */
bool rig_injection_poll(struct rig_process *process)
{
	bool busy = poll_registers(process, process->area + REGISTERS);

	if (process->master && !rig_halted(process))
		busy |= poll_registers(process, process->afu->area + REGISTERS);
	return busy;
}
