/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A hypervisor and an accelerator for the cxl driver of a PowerVM guest.
 *
 * The machine is QEMU's pseries, which has neither. This module answers the driver's
 * hypercalls in the guest itself (intercept.c, hypercalls.c), describes the adapter in the
 * device tree (device_tree.c) and runs the memcpy AFU (process.c, memcpy_afu.c, injection.c).
 */
#ifndef CXL_RIG_H
#define CXL_RIG_H

#include <linux/kthread.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/sizes.h>
#include <linux/types.h>
#include <linux/wait.h>

#define RIG_MAX_AFUS 4
#define RIG_MAX_PROCESSES 512
/* One page of the guest: what the driver can map. */
#define RIG_AREA 0x10000UL
/* Interrupts of one process, the PSL's among them: the mask of the injection registers has 56 bits. */
#define RIG_MAX_INTERRUPTS 57

#define RIG_ADAPTER_UNIT 0x30000000ULL
#define RIG_AFU_UNIT(slice) (0x30000100ULL + (slice))
/* What a guest sees as the process element starts here, so that it differs from the driver's index. */
#define RIG_FIRST_TOKEN 32

/* Bits of PSL_DSISR_An and PSL_TFC_An (upper half), by their numbers in the CAIA. */
#define RIG_DSISR_PAGE (1ULL << 62)
#define RIG_DSISR_AFU_ERROR (1ULL << 58)
#define RIG_DSISR_NO_PTE 0x40000000ULL
#define RIG_DSISR_STORE 0x02000000ULL
#define RIG_RESTART 0x1UL
#define RIG_ADDRESS_ERROR 0x2UL

/* What the driver reads when it asks why the PSL interrupted. */
struct rig_fault {
	u64 dsisr;
	u64 dar;
	u64 afu_error;
};

/* The AFU's place in a work element queue. */
struct rig_queue {
	u64 base;
	unsigned int length;
	unsigned int next;
	u8 wrap;
};

struct rig_afu;

/* A process element the driver attached, and the thread that is the AFU for it. */
struct rig_process {
	struct rig_afu *afu;
	unsigned int slot;
	u64 token;
	bool master;
	struct mm_struct *mm;
	struct task_struct *thread;
	u8 __iomem *area;

	/* isn[0] is the PSL's, isn[n] AFU interrupt n. */
	unsigned int isn[RIG_MAX_INTERRUPTS];
	unsigned int interrupts;

	struct rig_fault fault;
	unsigned long response;
	wait_queue_head_t responded;

	struct rig_queue queue;
	bool stopped;
	u8 buffer[4096];
};

struct rig_afu {
	unsigned int slice;
	unsigned int max_processes;
	unsigned int error_isn;
	phys_addr_t p2_physical;
	phys_addr_t area_physical;
	u8 __iomem *p2;
	u8 __iomem *area;

	/* Guards the table and the faults: the driver asks from interrupt context. */
	spinlock_t lock;
	struct rig_process *processes[RIG_MAX_PROCESSES];
	/* Serializes attach, detach and reset, which sleep. */
	struct mutex life;

	u64 slice_error;
	/* Error state: until `error_until` has passed and the driver has reset the function. */
	bool in_error;
	bool reset_seen;
	unsigned long error_until;
	/* The driver's own poll sees an error, nobody else does: detaches with the link up. */
	bool detach_all;
	/* Milliseconds the next attach takes, 0 none, and its end once it has begun. */
	unsigned int slow_attach;
	unsigned long attach_until;
};

/* main.c */
extern unsigned int rig_afus;
extern unsigned int rig_caia;
extern unsigned int rig_interrupts;
extern unsigned int rig_first_interrupt;
extern unsigned int rig_min_interrupts;
extern unsigned int rig_max_interrupts;
extern struct rig_afu rig_afu[RIG_MAX_AFUS];
size_t rig_area_size(void);
struct rig_afu *rig_afu_by_unit(u64 unit);

/* device_tree.c */
int rig_device_tree_add(void);
void rig_device_tree_remove(void);

/* intercept.c */
int rig_intercept_start(void);
void rig_intercept_stop(void);

/* hypercalls.c: what the driver reaches instead of the hypervisor. */
long rig_hypercall(unsigned long opcode, unsigned long *result, unsigned long a1, unsigned long a2,
		   unsigned long a3, unsigned long a4, unsigned long a5, unsigned long a6,
		   unsigned long a7);

/* adapter_image.c */
long rig_download(unsigned long operation, unsigned long list, unsigned long entries, u64 token,
		  unsigned long *result);

/* process.c */
long rig_attach(struct rig_afu *afu, const u8 *element, unsigned long *result);
long rig_detach(struct rig_afu *afu, u64 token);
void rig_detach_all(struct rig_afu *afu);
struct rig_process *rig_process_by_token(struct rig_afu *afu, u64 token);
/* Whether it is being detached or its adapter is in error state: the AFU does nothing then. */
bool rig_halted(struct rig_process *process);
/* 0, -EFAULT after an address error, -EINTR when the process is being detached. */
int rig_read(struct rig_process *process, u64 address, void *to, size_t length);
int rig_write(struct rig_process *process, u64 address, const void *from, size_t length);
/* A load that faults as the store that may follow it would. */
int rig_read_for_store(struct rig_process *process, u64 address, void *to, size_t length);
/* Interrupts the driver with a fault and waits; the driver's answer (TFC bits), 0 when halted. */
unsigned long rig_psl_interrupt(struct rig_process *process, struct rig_fault fault);

/* interrupts.c */
void rig_raise(unsigned int isn);

/* memcpy_afu.c */
void rig_memcpy_start(struct rig_process *process, u64 wed);
/* Whether there is anything to look at in the registers or in memory. */
bool rig_memcpy_pending(struct rig_process *process);
/* Whether there was work. */
bool rig_memcpy_poll(struct rig_process *process);

/* injection.c */
bool rig_injection_pending(struct rig_process *process);
bool rig_injection_poll(struct rig_process *process);

#endif
