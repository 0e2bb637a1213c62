// SPDX-License-Identifier: GPL-2.0-or-later
/* The provoke block: what a program cannot cause at will, on its request. */
#include <linux/io.h>
#include <linux/jiffies.h>

#include "rig.h"

#define BLOCK 0x1000
#define COMMAND 0x00
#define VALUE 0x08
#define COUNT 0x10
#define DONE 0x18

#define COMMAND_SHIFT 56
#define ARGUMENT_MASK ((1ULL << COMMAND_SHIFT) - 1)

#define PROVOKE_INTERRUPT 1
#define PROVOKE_DATA_STORAGE 2
#define PROVOKE_AFU_ERROR 3
#define PROVOKE_ERROR_STATE 4
#define PROVOKE_SLICE_ERROR 5
#define PROVOKE_SLOW_ATTACH 6
#define PROVOKE_DETACH_ALL 7

/* In the privileged area, where the driver looks after a slice error. */
#define P2_AFU_ERROR 0x98
#define SLICE_ERROR_MMIO_TIMEOUT (1ULL << 63)

static u64 load(u8 __iomem *block, unsigned int offset)
{
	return in_be64((u64 __iomem *)(block + offset));
}

static void store(u8 __iomem *block, unsigned int offset, u64 value)
{
	out_be64((u64 __iomem *)(block + offset), value);
}

static void raise_interrupts(struct rig_process *process, u64 which, u64 count)
{
	unsigned int n;

	for (; count > 0 && !rig_halted(process); count--)
		for (n = 1; n <= process->interrupts; n++)
			if (which & (1ULL << (n - 1)))
				rig_raise(process->isn[n]);
}

/* Until it has recovered every load answers all ones, as a card cut off does. */
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
	case PROVOKE_INTERRUPT:
		raise_interrupts(process, argument, max(count, 1ULL));
		break;
	case PROVOKE_DATA_STORAGE:
		for (count = max(count, 1ULL); count > 0 && !rig_halted(process); count--)
			rig_read(process, value, &touched, sizeof(touched));
		break;
	case PROVOKE_AFU_ERROR:
		for (count = max(count, 1ULL); count > 0 && !rig_halted(process); count--)
			rig_psl_interrupt(process, (struct rig_fault){ .dsisr = RIG_DSISR_AFU_ERROR,
								       .afu_error = value });
		break;
	case PROVOKE_SLICE_ERROR:
		afu->slice_error = value ? value : SLICE_ERROR_MMIO_TIMEOUT;
		store(afu->p2, P2_AFU_ERROR, argument);
		rig_raise(afu->error_isn);
		break;
	case PROVOKE_SLOW_ATTACH:
		afu->slow_attach = min_t(u64, argument, UINT_MAX);
		break;
	case PROVOKE_DETACH_ALL:
		WRITE_ONCE(afu->detach_all, true);
		break;
	}
}

static bool poll_block(struct rig_process *process, u8 __iomem *block)
{
	u64 word = load(block, COMMAND);
	unsigned int command = word >> COMMAND_SHIFT;
	u64 value, count;

	if (word == 0)
		return false;
	value = load(block, VALUE);
	count = load(block, COUNT);
	store(block, COMMAND, 0);
	if (command == PROVOKE_ERROR_STATE) {
		/* Counted first: afterwards there is only ones to read. */
		store(block, DONE, load(block, DONE) + 1);
		enter_error_state(process->afu, min_t(u64, word & ARGUMENT_MASK, UINT_MAX));
		return true;
	}
	execute(process, command, word & ARGUMENT_MASK, value, count);
	if (!rig_halted(process))
		store(block, DONE, load(block, DONE) + 1);
	return true;
}

bool rig_provoke_pending(struct rig_process *process)
{
	return load(process->area + BLOCK, COMMAND) ||
	       (process->master && load(process->afu->area + BLOCK, COMMAND));
}

/* A master sees the whole area, so its block is at the start of that as well. */
bool rig_provoke_poll(struct rig_process *process)
{
	bool busy = poll_block(process, process->area + BLOCK);

	if (process->master && !rig_halted(process))
		busy |= poll_block(process, process->afu->area + BLOCK);
	return busy;
}
