// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Attached processes: their life, and how the AFU reaches their memory.
 *
 * An access is tried with page faults off. When it fails the PSL interrupts the driver, whose
 * fault handler resolves the address or refuses it, as it would for hardware.
 */
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/io.h>
#include <linux/sched/mm.h>
#include <linux/sched/task_stack.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <asm/hvcall.h>
#include <asm/ptrace.h>
#include <asm/syscall.h>
#include <asm/unaligned.h>

#include "rig.h"

/* The process element of the attach hypercall: big-endian fields at fixed places. */
#define ELEMENT_PSL_ISN 28
#define ELEMENT_ISN_BITMAP 32
#define ELEMENT_ISN_BITMAP_SIZE 256
#define ELEMENT_WED 492

/* Device numbers of the driver: per card one for itself, then dedicated, master, slave by slice. */
#define MINORS_PER_CARD 13
#define MINOR_IS_MASTER(minor) (((minor) % MINORS_PER_CARD + 2) % 3 == 1)

#define FAULT_TIMEOUT_MS 10000
/* The kernel can take a page away between the driver's answer and our access, but not this often. */
#define MAX_RESTARTS 64

/* Polls: quick while there is work, slower the longer there is none. */
#define QUICK_POLLS 100
#define SLOW_POLLS 400

static void read_interrupts(struct rig_process *process, const u8 *element)
{
	const u8 *bitmap = element + ELEMENT_ISN_BITMAP;
	unsigned int bit;

	process->isn[0] = get_unaligned_be32(element + ELEMENT_PSL_ISN);
	for (bit = 0; bit < ELEMENT_ISN_BITMAP_SIZE * 8; bit++) {
		if (!(bitmap[bit / 8] & (0x80 >> (bit % 8))))
			continue;
		if (process->interrupts + 1 < RIG_MAX_INTERRUPTS)
			process->isn[++process->interrupts] = rig_first_interrupt + bit;
	}
}

/* The hypercall does not say whether a context is a master; the device file in the ioctl does. */
static bool attaching_master(void)
{
	struct pt_regs *regs = current_pt_regs();
	struct file *file;
	bool master = false;

	if (!trap_is_syscall(regs) || regs->gpr[0] != __NR_ioctl)
		return false;
	file = fget(regs->orig_gpr3);
	if (!file)
		return false;
	if (S_ISCHR(file_inode(file)->i_mode))
		master = MINOR_IS_MASTER(MINOR(file_inode(file)->i_rdev));
	fput(file);
	return master;
}

bool rig_halted(struct rig_process *process)
{
	return kthread_should_stop() || READ_ONCE(process->afu->in_error);
}

static bool poll_once(struct rig_process *process)
{
	bool busy;

	/* There are many idle contexts, and each poll costs time. */
	if (!rig_injection_pending(process) && !rig_memcpy_pending(process))
		return false;
	/* A process that has exited has no memory to work on. */
	if (!mmget_not_zero(process->mm))
		return false;
	kthread_use_mm(process->mm);
	busy = rig_injection_poll(process);
	if (!rig_halted(process))
		busy |= rig_memcpy_poll(process);
	kthread_unuse_mm(process->mm);
	mmput(process->mm);
	return busy;
}

static int run_afu(void *data)
{
	struct rig_process *process = data;
	unsigned int idle = 0;

	while (!kthread_should_stop()) {
		if (!rig_halted(process) && poll_once(process))
			idle = 0;
		else
			idle++;
		if (idle == 0)
			cond_resched();
		else if (idle < QUICK_POLLS)
			usleep_range(20, 50);
		else if (idle < SLOW_POLLS)
			usleep_range(500, 1000);
		else
			usleep_range(6000, 8000);
	}
	return 0;
}

struct rig_process *rig_process_by_token(struct rig_afu *afu, u64 token)
{
	u64 slot = token - RIG_FIRST_TOKEN;

	return slot < afu->max_processes ? afu->processes[slot] : NULL;
}

static void publish(struct rig_afu *afu, unsigned int slot, struct rig_process *process)
{
	unsigned long flags;

	spin_lock_irqsave(&afu->lock, flags);
	afu->processes[slot] = process;
	spin_unlock_irqrestore(&afu->lock, flags);
}

static struct rig_process *new_process(struct rig_afu *afu, unsigned int slot, const u8 *element)
{
	struct rig_process *process = kzalloc(sizeof(*process), GFP_KERNEL);

	if (!process)
		return NULL;
	process->afu = afu;
	process->slot = slot;
	process->token = RIG_FIRST_TOKEN + slot;
	process->master = attaching_master();
	process->area = afu->area + (1 + slot) * RIG_AREA;
	init_waitqueue_head(&process->responded);
	read_interrupts(process, element);
	memset_io(process->area, 0, RIG_AREA);
	rig_memcpy_start(process, get_unaligned_be64(element + ELEMENT_WED));
	process->thread = kthread_create(run_afu, process, "afu0.%u-%u", afu->slice, slot);
	if (IS_ERR(process->thread)) {
		kfree(process);
		return NULL;
	}
	process->mm = current->mm;
	mmgrab(process->mm);
	return process;
}

long rig_attach(struct rig_afu *afu, const u8 *element, unsigned long *result)
{
	struct rig_process *process = NULL;
	unsigned int slot;

	if (!current->mm)
		return H_PARAMETER;
	if (READ_ONCE(afu->in_error))
		return H_STATE;
	mutex_lock(&afu->life);
	for (slot = 0; slot < afu->max_processes && afu->processes[slot]; slot++)
		;
	if (slot < afu->max_processes)
		process = new_process(afu, slot, element);
	if (process) {
		publish(afu, slot, process);
		result[0] = process->token;
		result[1] = afu->area_physical + (1 + slot) * RIG_AREA;
		result[2] = RIG_AREA;
		wake_up_process(process->thread);
	}
	mutex_unlock(&afu->life);
	return process ? H_SUCCESS : H_RESOURCE;
}

static void end_process(struct rig_process *process)
{
	/* First: the driver asks for the process of an interrupt that its thread is just raising. */
	kthread_stop(process->thread);
	publish(process->afu, process->slot, NULL);
	mmdrop(process->mm);
	kfree(process);
}

long rig_detach(struct rig_afu *afu, u64 token)
{
	struct rig_process *process;

	mutex_lock(&afu->life);
	process = rig_process_by_token(afu, token);
	if (process)
		end_process(process);
	mutex_unlock(&afu->life);
	return process ? H_SUCCESS : H_PARAMETER;
}

void rig_detach_all(struct rig_afu *afu)
{
	unsigned int slot;

	mutex_lock(&afu->life);
	for (slot = 0; slot < afu->max_processes; slot++)
		if (afu->processes[slot])
			end_process(afu->processes[slot]);
	mutex_unlock(&afu->life);
}

unsigned long rig_psl_interrupt(struct rig_process *process, struct rig_fault fault)
{
	struct rig_afu *afu = process->afu;
	unsigned long flags;

	spin_lock_irqsave(&afu->lock, flags);
	process->fault = fault;
	process->response = 0;
	spin_unlock_irqrestore(&afu->lock, flags);
	rig_raise(process->isn[0]);
	if (!wait_event_timeout(process->responded,
				READ_ONCE(process->response) || rig_halted(process),
				msecs_to_jiffies(FAULT_TIMEOUT_MS)))
		pr_err("cxl_rig: the driver left fault %#llx of process %llu unanswered\n",
		       fault.dsisr, process->token);
	return READ_ONCE(process->response);
}

/* UPDATE loads what may be stored to next: its faults are those of a store. */
enum access { LOAD, STORE, UPDATE };

static bool copy(u64 address, void *data, size_t length, enum access access)
{
	void __user *there = (void __user *)(unsigned long)address;

	if (access == STORE)
		return copy_to_user_nofault(there, data, length) == 0;
	return copy_from_user_nofault(data, there, length) == 0;
}

static int copy_in_page(struct rig_process *process, u64 address, void *data, size_t length,
			enum access access)
{
	const struct rig_fault fault = {
		.dsisr = RIG_DSISR_PAGE | RIG_DSISR_NO_PTE | (access == LOAD ? 0 : RIG_DSISR_STORE),
		.dar = address,
	};
	unsigned int restarts;

	for (restarts = 0; restarts < MAX_RESTARTS; restarts++) {
		unsigned long response;

		if (rig_halted(process))
			return -EINTR;
		if (copy(address, data, length, access))
			return 0;
		response = rig_psl_interrupt(process, fault);
		if (!response)
			return -EINTR;
		if (!(response & RIG_RESTART))
			return -EFAULT;
	}
	return -EFAULT;
}

static int reach(struct rig_process *process, u64 address, void *data, size_t length,
		 enum access access)
{
	while (length > 0) {
		size_t chunk = min_t(u64, length, PAGE_SIZE - (address & (PAGE_SIZE - 1)));
		int error = copy_in_page(process, address, data, chunk, access);

		if (error)
			return error;
		address += chunk;
		data += chunk;
		length -= chunk;
	}
	return 0;
}

int rig_read(struct rig_process *process, u64 address, void *to, size_t length)
{
	return reach(process, address, to, length, LOAD);
}

int rig_write(struct rig_process *process, u64 address, const void *from, size_t length)
{
	return reach(process, address, (void *)from, length, STORE);
}

int rig_read_for_store(struct rig_process *process, u64 address, void *to, size_t length)
{
	return reach(process, address, to, length, UPDATE);
}
