// SPDX-License-Identifier: GPL-2.0-or-later
/* The memcpy AFU: its registers and the commands of its work element queue. */
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <asm/time.h>

#include "rig.h"

/* A process' registers, by byte offset in its area. */
#define REGISTER_WED 0x00
#define REGISTER_HANDLE 0x08
#define REGISTER_STATUS 0x10
#define REGISTER_CONTROL 0x18
#define REGISTER_TIMEBASE 0x40
#define STATUS_STOPPED 0x0800000000000000ULL
#define CONTROL_RESTART 0x8000000000000000ULL

/* AFU-wide, at the start of the whole area. */
#define REGISTER_CONFIGURATION 0x00
#define STOP_ON_INVALID 0x2000000000000000ULL

#define WED_DEPTH 0xfffULL
#define CACHE_LINE 128

#define ELEMENT_VALID 0x80
#define ELEMENT_WRAP 0x40
#define ELEMENT_COMMAND 0x3f

#define COMMAND_COPY 0
#define COMMAND_INTERRUPT 1
#define COMMAND_INCREMENT 4
#define COMMAND_SWAP 5
#define SWAP_NOT_EQUAL 0x10
#define SWAP_EQUAL 0x11

#define DONE_COMPLETE 0x80
#define DONE_ADDRESS_ERROR 0x20
#define DONE_INVALID_SOURCE 0x04
#define DONE_UNDEFINED 0x01

/* What the image for CAIA 2 copies: a cache line, and for one process element in four. */
#define CAIA2_LENGTH 128
#define CAIA2_MODULUS 4
#define CAIA2_REMAINDER 1

/* At most so many elements at once: detach and the injection registers wait for no more. */
#define BATCH 64

struct element {
	u8 command;
	u8 status;
	__be16 length;
	u8 extra;
	u8 reserved[3];
	__be64 operand;
	__be64 source;
	__be64 destination;
};

static void stop(struct rig_process *process)
{
	process->stopped = true;
	out_be64((u64 __iomem *)(process->area + REGISTER_STATUS), STATUS_STOPPED);
}

void rig_memcpy_start(struct rig_process *process, u64 wed)
{
	BUILD_BUG_ON(sizeof(struct element) != 32);
	process->queue = (struct rig_queue){
		.base = wed & ~WED_DEPTH,
		.length = (wed & WED_DEPTH) * (CACHE_LINE / sizeof(struct element)),
	};
	out_be64((u64 __iomem *)(process->area + REGISTER_WED), wed);
	out_be64((u64 __iomem *)(process->area + REGISTER_HANDLE), process->token << 48);
}

static int copy(struct rig_process *process, u64 from, u64 to, size_t length)
{
	while (length > 0) {
		size_t chunk = min(length, sizeof(process->buffer));
		int error = rig_read(process, from, process->buffer, chunk);

		if (!error)
			error = rig_write(process, to, process->buffer, chunk);
		if (error)
			return error;
		from += chunk;
		to += chunk;
		length -= chunk;
	}
	return 0;
}

static bool can_copy(const struct rig_process *process, size_t length)
{
	if (rig_caia >> 8 != 2)
		return true;
	return length <= CAIA2_LENGTH && process->token % CAIA2_MODULUS == CAIA2_REMAINDER;
}

static int increment(struct rig_process *process, u64 from, u64 to)
{
	__be32 value;
	int error = rig_read(process, from, &value, sizeof(value));

	if (error)
		return error;
	value = cpu_to_be32(be32_to_cpu(value) + 1);
	return rig_write(process, to, &value, sizeof(value));
}

/* On the page itself, so that it is atomic towards the program too. */
static int compare_and_swap(struct rig_process *process, const struct element *element, bool *defined)
{
	u64 address = be64_to_cpu(element->destination);
	struct page *page;
	__be64 old;
	u64 *word;
	int error;

	*defined = IS_ALIGNED(address, sizeof(u64)) &&
		   (element->extra == SWAP_EQUAL || element->extra == SWAP_NOT_EQUAL);
	if (!*defined)
		return 0;
	/* Through the driver first: pinning would bring a page in without it. */
	error = rig_read_for_store(process, address, &old, sizeof(old));
	if (!error && pin_user_pages_fast(address & PAGE_MASK, 1, FOLL_WRITE, &page) != 1)
		error = rig_write(process, address, &old, sizeof(old)) ?: -EFAULT;
	if (error)
		return error;
	word = page_address(page) + offset_in_page(address);
	if (element->extra == SWAP_EQUAL) {
		cmpxchg(word, (__force u64)element->operand, (__force u64)element->source);
	} else {
		u64 seen = READ_ONCE(*word);

		while (seen != (__force u64)element->operand) {
			u64 before = cmpxchg(word, seen, (__force u64)element->source);

			if (before == seen)
				break;
			seen = before;
		}
	}
	unpin_user_pages_dirty_lock(&page, 1, true);
	return 0;
}

static int report(struct rig_process *process, u64 element, u8 status)
{
	/* What the command wrote comes first. */
	smp_wmb();
	return rig_write(process, element + offsetof(struct element, status), &status, 1);
}

static int interrupt(struct rig_process *process, u64 address, unsigned int source)
{
	bool known = source >= 1 && source <= process->interrupts;
	int error = report(process, address, known ? DONE_COMPLETE : DONE_INVALID_SOURCE);

	stop(process);
	if (known && !error)
		rig_raise(process->isn[source]);
	return error;
}

/* 0, or -EINTR when the process is being detached, or -EFAULT when the status cannot be written. */
static int execute(struct rig_process *process, u64 address, const struct element *element)
{
	bool defined = true;
	int error = 0;

	switch (element->command & ELEMENT_COMMAND) {
	case COMMAND_COPY:
		defined = can_copy(process, be16_to_cpu(element->length));
		if (defined)
			error = copy(process, be64_to_cpu(element->source),
				     be64_to_cpu(element->destination),
				     be16_to_cpu(element->length));
		break;
	case COMMAND_INTERRUPT:
		return interrupt(process, address, be16_to_cpu(element->length));
	case COMMAND_INCREMENT:
		error = increment(process, be64_to_cpu(element->source),
				  be64_to_cpu(element->destination));
		break;
	case COMMAND_SWAP:
		error = compare_and_swap(process, element, &defined);
		break;
	default:
		defined = false;
	}
	if (error == -EINTR)
		return error;
	if (error)
		return report(process, address, DONE_ADDRESS_ERROR);
	return report(process, address, defined ? DONE_COMPLETE : DONE_UNDEFINED);
}

/* 1 with the element when the next one is ready, 0 when it is not, else the error. */
static int fetch(struct rig_process *process, u64 address, struct element *element)
{
	u8 command;
	int error = rig_read(process, address, &command, sizeof(command));

	if (error)
		return error;
	if (!(command & ELEMENT_VALID) || (command & ELEMENT_WRAP) != process->queue.wrap)
		return 0;
	/* The program wrote the command last. */
	smp_rmb();
	return rig_read(process, address, element, sizeof(*element)) ?: 1;
}

static void poll_registers(struct rig_process *process)
{
	u64 __iomem *control = (u64 __iomem *)(process->area + REGISTER_CONTROL);
	u64 __iomem *timebase = (u64 __iomem *)(process->area + REGISTER_TIMEBASE);

	if (in_be64(control) & CONTROL_RESTART) {
		process->stopped = false;
		out_be64((u64 __iomem *)(process->area + REGISTER_STATUS), 0);
		out_be64(control, 0);
	}
	if (in_be64(timebase) == 0)
		out_be64(timebase, get_tb());
}

bool rig_memcpy_pending(struct rig_process *process)
{
	return (process->queue.length > 0 && !process->stopped) ||
	       in_be64((u64 __iomem *)(process->area + REGISTER_CONTROL)) ||
	       !in_be64((u64 __iomem *)(process->area + REGISTER_TIMEBASE));
}

static bool stops_on_invalid(struct rig_process *process)
{
	return in_be64((u64 __iomem *)(process->afu->area + REGISTER_CONFIGURATION)) & STOP_ON_INVALID;
}

bool rig_memcpy_poll(struct rig_process *process)
{
	struct rig_queue *queue = &process->queue;
	unsigned int done;

	poll_registers(process);
	for (done = 0; done < BATCH && queue->length > 0 && !process->stopped; done++) {
		u64 address = queue->base + queue->next * sizeof(struct element);
		struct element element;
		int ready = fetch(process, address, &element);

		if (ready == 0) {
			if (stops_on_invalid(process))
				stop(process);
			break;
		}
		if (ready > 0)
			ready = execute(process, address, &element);
		if (ready == -EINTR)
			break;
		if (ready < 0) {
			/* A queue that cannot be reached ends the work; a restart tries again. */
			stop(process);
			break;
		}
		if (++queue->next == queue->length) {
			queue->next = 0;
			queue->wrap ^= ELEMENT_WRAP;
		}
	}
	return done > 0;
}
