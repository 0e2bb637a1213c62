// SPDX-License-Identifier: GPL-2.0-or-later
/* Adapter image download: takes chunks until the length in the image's header is reached. */
#include <linux/crc32.h>
#include <linux/slab.h>
#include <asm/hvcall.h>

#include "rig.h"

#define DOWNLOAD 1
#define VALIDATE 2
#define MAX_ENTRIES 256
#define ENTRY_SIZE 4096
#define MIN_HEADER 32

struct entry {
	__be64 address;
	__be64 length;
};

struct transfer {
	u64 token;
	u64 expected;
	u64 received;
	u32 checksum;
};

static struct transfer current_transfer;
static struct transfer downloaded;
static u64 next_token = 1;

/* The whole length, header included: offset of the image (8 bytes at 16) plus its length (at 24). */
static u64 length_in_header(const void *header)
{
	const __be64 *words = header;

	return be64_to_cpu(words[2]) + be64_to_cpu(words[3]);
}

long rig_download(unsigned long operation, unsigned long list, unsigned long entries, u64 token,
		  unsigned long *result)
{
	struct transfer *transfer = &current_transfer;
	const struct entry *entry = __va(list);
	unsigned long i;

	if (operation != DOWNLOAD && operation != VALIDATE)
		return H_NOT_FOUND;
	if (!IS_ALIGNED(list, ENTRY_SIZE) || entries == 0 || entries > MAX_ENTRIES)
		return H_SG_LIST;
	if (token == 0) {
		if (be64_to_cpu(entry[0].length) < MIN_HEADER)
			return H_BAD_DATA;
		*transfer = (struct transfer){
			.token = next_token++,
			.expected = length_in_header(__va(be64_to_cpu(entry[0].address))),
		};
	} else if (token != transfer->token) {
		return H_PARAMETER;
	}
	for (i = 0; i < entries; i++) {
		u64 length = be64_to_cpu(entry[i].length);

		if (length > ENTRY_SIZE)
			return H_SG_LIST;
		transfer->checksum = crc32_le(transfer->checksum, __va(be64_to_cpu(entry[i].address)), length);
		transfer->received += length;
	}
	if (transfer->received > transfer->expected)
		return H_BAD_DATA;
	if (transfer->received < transfer->expected) {
		result[0] = transfer->token;
		return H_CONTINUE;
	}
	if (operation == DOWNLOAD) {
		downloaded = *transfer;
		return H_SUCCESS;
	}
	if (downloaded.received != transfer->received || downloaded.checksum != transfer->checksum)
		return H_BAD_DATA;
	return H_SUCCESS;
}
