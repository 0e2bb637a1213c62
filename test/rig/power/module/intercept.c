// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Diverts the cxl module's hypercalls to rig_hypercall().
 *
 * The module calls plpar_hcall and plpar_hcall9 through stubs in its own text, so a probe on
 * a stub sees this driver's calls alone. Probing the functions themselves would also catch
 * the hash page path, which deadlocks.
 */
#include <linux/kprobes.h>
#include <linux/module.h>
#include <asm/hvcall.h>

#include "rig.h"

#define STUB_MAGIC 0x73747562
#define BCTR 0x4e800420
/* Words of the jump sequence before the magic. */
#define STUB_WORDS 7
#define MAX_STUBS 4

static struct kprobe probes[MAX_STUBS];
static unsigned int armed;

static int divert(struct kprobe *probe, struct pt_regs *regs)
{
	regs->gpr[12] = (unsigned long)rig_hypercall;
	regs_set_return_ip(regs, (unsigned long)rig_hypercall);
	return 1;
}

/* Its presence keeps the probe from being optimized, which would ignore the changed address. */
static void keep_unoptimized(struct kprobe *probe, struct pt_regs *regs, unsigned long flags)
{
}

static void disarm(void)
{
	while (armed > 0)
		unregister_kprobe(&probes[--armed]);
}

static int arm_stub(u32 *magic)
{
	struct kprobe *probe;
	u32 *word;
	int error;

	for (word = magic - STUB_WORDS; word < magic && *word != BCTR; word++)
		;
	if (word == magic || armed == MAX_STUBS)
		return -EINVAL;
	probe = &probes[armed];
	memset(probe, 0, sizeof(*probe));
	probe->addr = (kprobe_opcode_t *)word;
	probe->pre_handler = divert;
	probe->post_handler = keep_unoptimized;
	error = register_kprobe(probe);
	if (!error)
		armed++;
	return error;
}

static int arm(struct module *driver)
{
	u32 *word = driver->core_layout.base;
	u32 *end = driver->core_layout.base + driver->core_layout.text_size - 3 * sizeof(u32);
	int error;

	for (word += STUB_WORDS; word < end; word++) {
		unsigned long target;

		if (*word != STUB_MAGIC)
			continue;
		memcpy(&target, word + 1, sizeof(target));
		if (target != (unsigned long)plpar_hcall && target != (unsigned long)plpar_hcall9)
			continue;
		error = arm_stub(word);
		if (error)
			return error;
	}
	return armed == 2 ? 0 : -ENOENT;
}

static int on_module(struct notifier_block *block, unsigned long event, void *data)
{
	struct module *driver = data;
	int error;

	if (strcmp(driver->name, "cxl"))
		return NOTIFY_DONE;
	if (event == MODULE_STATE_COMING) {
		error = arm(driver);
		pr_info("cxl_rig: %u hypercall stubs diverted (%d)\n", armed, error);
		if (error) {
			disarm();
			return notifier_from_errno(error);
		}
	} else if (event == MODULE_STATE_GOING) {
		disarm();
	}
	return NOTIFY_OK;
}

static struct notifier_block watcher = { .notifier_call = on_module };

int rig_intercept_start(void)
{
	return register_module_notifier(&watcher);
}

void rig_intercept_stop(void)
{
	unregister_module_notifier(&watcher);
	disarm();
}
