// SPDX-License-Identifier: GPL-2.0-or-later
/* The coherent accelerator hypercalls: what each takes and returns. */
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/pci_regs.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <asm/hvcall.h>
#include <asm/unaligned.h>

#include "rig.h"

#define ATTACH_PROCESS 0x344
#define CONTROL_FUNCTION 0x348
#define DETACH_PROCESS 0x34c
#define COLLECT_INTERRUPT_INFO 0x350
#define CONTROL_FAULTS 0x354
#define DOWNLOAD_FACILITY 0x364
#define CONTROL_FACILITY 0x368

#define FUNCTION_RESET 1
#define FUNCTION_SUSPEND_PROCESS 2
#define FUNCTION_RESUME_PROCESS 3
#define FUNCTION_ERROR_STATE 4
#define FUNCTION_ERROR_BUFFER 5
#define FUNCTION_CONFIG 6
#define FUNCTION_TERMINATE_PROCESS 8
#define FUNCTION_VPD 9
#define FUNCTION_GET_ERROR_INTERRUPT 11
#define FUNCTION_ACK_ERROR_INTERRUPT 12
#define FUNCTION_ERROR_LOG 13

#define FACILITY_RESET 1
#define FACILITY_VPD 2

#define STATE_NORMAL 1
#define STATE_DISABLED 2

/* Marks an attach that has been answered with "busy". */
#define SLOW_TOKEN 0x510

static const char vpd[] = "node-cxl rig: memcpy AFU";
static const char error_buffer[64] = "no error";

/* PCI header, little-endian: class 0x120000 (processing accelerator), one function, no BAR. */
static const u8 config_record[256] = {
	[PCI_VENDOR_ID] = 0x14,	    [PCI_VENDOR_ID + 1] = 0x10,
	[PCI_DEVICE_ID] = 0x50,	    [PCI_DEVICE_ID + 1] = 0x43,
	[PCI_CLASS_REVISION] = 0x01, [PCI_CLASS_DEVICE + 1] = 0x12,
};

/* A process' first answer to a slow attach is "busy": the driver then asks again by its token. */
static bool attach_is_slow(struct rig_afu *afu, u64 token, unsigned long *result)
{
	if (token != SLOW_TOKEN) {
		if (!afu->slow_attach)
			return false;
		afu->attach_until = jiffies + msecs_to_jiffies(afu->slow_attach);
		afu->slow_attach = 0;
	} else if (time_after_eq(jiffies, afu->attach_until)) {
		return false;
	}
	result[0] = SLOW_TOKEN;
	return true;
}

/* The driver polls the state from a work queue; with `detach_all` that poll alone sees an error. */
static u64 error_state(struct rig_afu *afu)
{
	unsigned long flags;
	bool error;

	spin_lock_irqsave(&afu->lock, flags);
	if (afu->in_error && afu->reset_seen && time_after_eq(jiffies, afu->error_until))
		afu->in_error = false;
	error = afu->in_error || (afu->detach_all && (current->flags & PF_WQ_WORKER));
	spin_unlock_irqrestore(&afu->lock, flags);
	return error ? STATE_DISABLED : STATE_NORMAL;
}

static void reset_function(struct rig_afu *afu)
{
	unsigned long flags;

	rig_detach_all(afu);
	memset_io(afu->area, 0, RIG_AREA);
	spin_lock_irqsave(&afu->lock, flags);
	afu->reset_seen = true;
	afu->detach_all = false;
	afu->slow_attach = 0;
	spin_unlock_irqrestore(&afu->lock, flags);
}

static long copy_out(u64 to, u64 length, const void *from, size_t size, u64 offset)
{
	if (offset >= size || length > SZ_4K || !IS_ALIGNED(to, SZ_4K))
		return H_PARAMETER;
	memcpy(__va(to), from + offset, min_t(u64, length, size - offset));
	return H_SUCCESS;
}

/* A block list: pairs of address and length. Returns the size of what there is, given or not. */
static long collect_vpd(u64 list, u64 entries, unsigned long *result)
{
	const __be64 *entry = __va(list);
	size_t done = 0;
	u64 i;

	if (!IS_ALIGNED(list, SZ_4K) || entries > 256)
		return H_SG_LIST;
	for (i = 0; i < entries && done < sizeof(vpd); i++, entry += 2) {
		size_t length = min_t(u64, be64_to_cpu(entry[1]), sizeof(vpd) - done);

		memcpy(__va(be64_to_cpu(entry[0])), vpd + done, length);
		done += length;
	}
	result[0] = sizeof(vpd);
	return H_SUCCESS;
}

static long control_function(struct rig_afu *afu, unsigned long *result, u64 operation, u64 p1,
			     u64 p2, u64 p3, u64 p4)
{
	switch (operation) {
	case FUNCTION_RESET:
		reset_function(afu);
		return H_SUCCESS;
	case FUNCTION_ERROR_STATE:
		result[0] = error_state(afu);
		return H_SUCCESS;
	case FUNCTION_ERROR_BUFFER:
		return copy_out(p2, p3, error_buffer, sizeof(error_buffer), p1);
	case FUNCTION_CONFIG:
		if (p1 != 0)
			return H_PARAMETER;
		return copy_out(p3, p4, config_record, sizeof(config_record), p2);
	case FUNCTION_VPD:
		return collect_vpd(p2, p3, result);
	case FUNCTION_GET_ERROR_INTERRUPT:
		result[0] = afu->slice_error;
		return H_SUCCESS;
	case FUNCTION_ACK_ERROR_INTERRUPT:
		afu->slice_error &= ~p1;
		return H_SUCCESS;
	case FUNCTION_TERMINATE_PROCESS:
		return rig_detach(afu, p1);
	case FUNCTION_SUSPEND_PROCESS:
	case FUNCTION_RESUME_PROCESS:
	case FUNCTION_ERROR_LOG:
		return H_FUNCTION;
	default:
		return H_NOT_FOUND;
	}
}

static long control_facility(unsigned long *result, u64 operation, u64 p1, u64 p2)
{
	unsigned int i;

	switch (operation) {
	case FACILITY_RESET:
		for (i = 0; i < rig_afus; i++)
			reset_function(&rig_afu[i]);
		return H_SUCCESS;
	case FACILITY_VPD:
		return collect_vpd(p1, p2, result);
	default:
		return H_NOT_FOUND;
	}
}

/* Registers R4 to R12 as the driver reads them; called in interrupt context. */
static long collect_interrupt_info(struct rig_afu *afu, unsigned long *result, u64 token)
{
	struct rig_process *process;
	unsigned long flags;

	spin_lock_irqsave(&afu->lock, flags);
	process = rig_process_by_token(afu, token);
	if (process) {
		memset(result, 0, PLPAR_HCALL9_BUFSIZE * sizeof(*result));
		result[0] = process->fault.dsisr;
		result[1] = process->fault.dar;
		result[4] = process->fault.afu_error;
		result[6] = token;
	}
	spin_unlock_irqrestore(&afu->lock, flags);
	return process ? H_SUCCESS : H_PARAMETER;
}

/* Called in interrupt context too. */
static long control_faults(struct rig_afu *afu, u64 token, u64 response)
{
	struct rig_process *process;
	unsigned long flags;

	spin_lock_irqsave(&afu->lock, flags);
	process = rig_process_by_token(afu, token);
	if (process) {
		process->response = response;
		wake_up(&process->responded);
	}
	spin_unlock_irqrestore(&afu->lock, flags);
	return process ? H_SUCCESS : H_PARAMETER;
}

long rig_hypercall(unsigned long opcode, unsigned long *result, unsigned long a1, unsigned long a2,
		   unsigned long a3, unsigned long a4, unsigned long a5, unsigned long a6,
		   unsigned long a7)
{
	struct rig_afu *afu = rig_afu_by_unit(a1);

	if (a1 == RIG_ADAPTER_UNIT) {
		if (opcode == CONTROL_FACILITY)
			return control_facility(result, a2, a3, a4);
		if (opcode == DOWNLOAD_FACILITY)
			return rig_download(a2, a3, a4, a5, result);
		return H_PARAMETER;
	}
	if (!afu)
		return H_PARAMETER;
	switch (opcode) {
	case ATTACH_PROCESS:
		if (attach_is_slow(afu, a3, result))
			return H_LONG_BUSY_ORDER_10_MSEC;
		return rig_attach(afu, __va(a2), result);
	case DETACH_PROCESS:
		return rig_detach(afu, a2);
	case CONTROL_FUNCTION:
		return control_function(afu, result, a2, a3, a4, a5, a6);
	case COLLECT_INTERRUPT_INFO:
		return collect_interrupt_info(afu, result, a2);
	case CONTROL_FAULTS:
		return control_faults(afu, a3, a4);
	default:
		pr_warn("cxl_rig: hypercall %#lx is not one of the driver's\n", opcode);
		return H_FUNCTION;
	}
}
