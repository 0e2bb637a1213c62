// SPDX-License-Identifier: GPL-2.0-or-later
/* Parameters, the memory behind the problem state areas, and the order things start in. */
#include <linux/module.h>
#include <linux/pci.h>

#include "rig.h"

#define IVSHMEM_VENDOR 0x1af4
#define IVSHMEM_DEVICE 0x1110

unsigned int rig_afus = 2;
module_param_named(afus, rig_afus, uint, 0444);
MODULE_PARM_DESC(afus, "AFUs of the adapter");

static unsigned int processes[RIG_MAX_AFUS] = { 32, 3, 2, 2 };
module_param_array(processes, uint, NULL, 0444);
MODULE_PARM_DESC(processes, "process elements of each AFU, at least 2");

unsigned int rig_caia = 0x100;
module_param_named(caia, rig_caia, uint, 0444);
MODULE_PARM_DESC(caia, "CAIA version, major in bits 15:8");

unsigned int rig_first_interrupt = 0x1e00;
module_param_named(first_interrupt, rig_first_interrupt, uint, 0444);

unsigned int rig_interrupts = 0x180;
module_param_named(interrupts, rig_interrupts, uint, 0444);
MODULE_PARM_DESC(interrupts, "interrupts of the adapter; each process takes one more than it asks for");

unsigned int rig_min_interrupts = 4;
module_param_named(min_interrupts, rig_min_interrupts, uint, 0444);

unsigned int rig_max_interrupts = 32;
module_param_named(max_interrupts, rig_max_interrupts, uint, 0444);

struct rig_afu rig_afu[RIG_MAX_AFUS];
static struct pci_dev *memory;
static u8 __iomem *mapped;

/* The whole area: AFU-wide registers, then one area a process. One size for all AFUs, since the
 * driver keeps a single one for the adapter. */
size_t rig_area_size(void)
{
	unsigned int most = 0, i;

	for (i = 0; i < rig_afus; i++)
		most = max(most, processes[i]);
	return (1 + most) * RIG_AREA;
}

struct rig_afu *rig_afu_by_unit(u64 unit)
{
	unsigned int i;

	for (i = 0; i < rig_afus; i++)
		if (RIG_AFU_UNIT(i) == unit)
			return &rig_afu[i];
	return NULL;
}

/* Ordinary memory will not do: a hash-table guest may not map it uncached. */
static int map_memory(void)
{
	size_t span = RIG_AREA + rig_area_size();
	phys_addr_t physical;
	unsigned int i;

	memory = pci_get_device(IVSHMEM_VENDOR, IVSHMEM_DEVICE, NULL);
	if (!memory || pci_enable_device(memory))
		return -ENODEV;
	if (pci_resource_len(memory, 2) < rig_afus * span) {
		pr_err("cxl_rig: ivshmem has %llu bytes, %zu are needed\n",
		       (u64)pci_resource_len(memory, 2), rig_afus * span);
		return -ENOSPC;
	}
	physical = pci_resource_start(memory, 2);
	mapped = ioremap(physical, rig_afus * span);
	if (!mapped)
		return -ENOMEM;
	for (i = 0; i < rig_afus; i++) {
		struct rig_afu *afu = &rig_afu[i];

		afu->slice = i;
		afu->max_processes = processes[i];
		afu->error_isn = rig_first_interrupt - 1 - i;
		afu->p2_physical = physical + i * span;
		afu->area_physical = afu->p2_physical + RIG_AREA;
		afu->p2 = mapped + i * span;
		afu->area = afu->p2 + RIG_AREA;
		spin_lock_init(&afu->lock);
		mutex_init(&afu->life);
		memset_io(afu->p2, 0, span);
	}
	return 0;
}

static void unmap_memory(void)
{
	if (mapped)
		iounmap(mapped);
	if (memory) {
		pci_disable_device(memory);
		pci_dev_put(memory);
	}
}

static int __init rig_init(void)
{
	unsigned int i;
	int error;

	if (rig_afus < 1 || rig_afus > RIG_MAX_AFUS || rig_max_interrupts >= RIG_MAX_INTERRUPTS)
		return -EINVAL;
	for (i = 0; i < rig_afus; i++)
		if (processes[i] < 2 || processes[i] > RIG_MAX_PROCESSES)
			return -EINVAL;
	error = map_memory();
	if (error)
		goto unmap;
	error = rig_intercept_start();
	if (error)
		goto unmap;
	error = rig_device_tree_add();
	if (!error)
		return 0;
	rig_intercept_stop();
unmap:
	unmap_memory();
	return error;
}

static void __exit rig_exit(void)
{
	unsigned int i;

	rig_device_tree_remove();
	rig_intercept_stop();
	for (i = 0; i < rig_afus; i++)
		rig_detach_all(&rig_afu[i]);
	unmap_memory();
}

module_init(rig_init);
module_exit(rig_exit);
MODULE_DESCRIPTION("Hypervisor and memcpy AFU for the cxl driver in an emulated POWER guest");
MODULE_LICENSE("GPL");
