// SPDX-License-Identifier: GPL-2.0-or-later
/* The device tree of a coherent platform facility and its functions, as a PowerVM guest has it. */
#include <linux/of.h>
#include <linux/of_platform.h>
#include <linux/slab.h>

#include "rig.h"

#define VENDOR_IBM 0x1014
#define DEVICE_MEMCPY 0x4350
#define ERROR_BUFFER 64
#define CONFIG_RECORD 256

static struct of_changeset changes;
static struct platform_device *device;
static bool applied;

static int add(struct device_node *node, const char *name, const void *value, int length)
{
	struct property *property = kzalloc(sizeof(*property), GFP_KERNEL);

	if (!property)
		return -ENOMEM;
	property->name = kstrdup(name, GFP_KERNEL);
	property->value = kmemdup(value, length, GFP_KERNEL);
	property->length = length;
	if (!property->name || !property->value) {
		kfree(property->name);
		kfree(property->value);
		kfree(property);
		return -ENOMEM;
	}
	property->next = node->properties;
	node->properties = property;
	return 0;
}

static int add_string(struct device_node *node, const char *name, const char *value)
{
	return add(node, name, value, strlen(value) + 1);
}

static int add_cells(struct device_node *node, const char *name, const u32 *cells, int count)
{
	__be32 value[16];
	int i;

	for (i = 0; i < count; i++)
		value[i] = cpu_to_be32(cells[i]);
	return add(node, name, value, count * sizeof(*value));
}

static int add_cell(struct device_node *node, const char *name, u32 cell)
{
	return add_cells(node, name, &cell, 1);
}

static int add_cell64(struct device_node *node, const char *name, u64 value)
{
	const u32 cells[] = { upper_32_bits(value), lower_32_bits(value) };

	return add_cells(node, name, cells, 2);
}

/* The kernel's own node type is not exported; the root has it. */
static struct device_node *new_node(struct device_node *parent, const char *name)
{
	struct device_node *node = kzalloc(sizeof(*node), GFP_KERNEL);

	if (!node)
		return NULL;
	node->full_name = kstrdup(name, GFP_KERNEL);
	node->name = kstrndup(name, strcspn(name, "@"), GFP_KERNEL);
	node->parent = parent;
	kobject_init(&node->kobj, of_root->kobj.ktype);
	fwnode_init(&node->fwnode, &of_fwnode_ops);
	of_node_set_flag(node, OF_DYNAMIC);
	of_node_set_flag(node, OF_DETACHED);
	return node;
}

static int describe_facility(struct device_node *node)
{
	const u32 reg[] = { upper_32_bits(RIG_ADAPTER_UNIT), lower_32_bits(RIG_ADAPTER_UNIT), 0, 0 };
	const u32 interrupts[] = { rig_first_interrupt, rig_interrupts };
	int error = 0;

	error |= add_string(node, "compatible", "ibm,coherent-platform-facility");
	error |= add_string(node, "device_type", "ibm,coherent-platform-facility");
	error |= add_string(node, "status", "okay");
	error |= add_cells(node, "reg", reg, ARRAY_SIZE(reg));
	error |= add_cell(node, "#address-cells", 3);
	error |= add_cell(node, "#size-cells", 2);
	error |= add_cells(node, "interrupt-ranges", interrupts, ARRAY_SIZE(interrupts));
	error |= add_cell(node, "ibm,caia-version", rig_caia);
	error |= add_cell(node, "ibm,psl-revision", 1);
	error |= add_cell(node, "vendor-id", VENDOR_IBM);
	error |= add_cell(node, "device-id", 0x0477);
	error |= add_cell(node, "subsystem-vendor-id", VENDOR_IBM);
	error |= add_cell(node, "subsystem-id", 0x04c0);
	return error ? -ENOMEM : 0;
}

static int describe_function(struct device_node *node, const struct rig_afu *afu)
{
	const u64 unit = RIG_AFU_UNIT(afu->slice);
	const u32 reg[] = { 0, upper_32_bits(unit), lower_32_bits(unit), 0, 0 };
	const u32 addresses[] = {
		1, upper_32_bits(afu->p2_physical), lower_32_bits(afu->p2_physical), 0, RIG_AREA,
		2, upper_32_bits(afu->area_physical), lower_32_bits(afu->area_physical),
		0, rig_area_size(),
	};
	int error = 0;

	error |= add_string(node, "compatible", "ibm,coherent-platform-function");
	error |= add_cells(node, "reg", reg, ARRAY_SIZE(reg));
	error |= add_cells(node, "assigned-addresses", addresses, ARRAY_SIZE(addresses));
	error |= add_cell(node, "ibm,#processes", afu->max_processes);
	/* Counts the PSL's interrupt, the maximum does not. */
	error |= add_cell(node, "ibm,min-ints-per-process", rig_min_interrupts + 1);
	error |= add_cell(node, "ibm,max-ints-per-process", rig_max_interrupts);
	error |= add_cell64(node, "ibm,error-buffer-size", ERROR_BUFFER);
	error |= add_cell64(node, "ibm,config-record-size", CONFIG_RECORD);
	error |= add_cell(node, "ibm,#config-records", 1);
	error |= add_cell(node, "ibm,process-mmio", 1);
	error |= add_cell(node, "ibm,function-error-interrupt", afu->error_isn);
	error |= add_cell(node, "vendor-id", VENDOR_IBM);
	error |= add_cell(node, "device-id", DEVICE_MEMCPY);
	return error ? -ENOMEM : 0;
}

int rig_device_tree_add(void)
{
	struct device_node *facility, *function;
	char name[32];
	unsigned int i;
	int error;

	facility = new_node(of_root, "coherent-platform-facility@30000000");
	if (!facility)
		return -ENOMEM;
	of_changeset_init(&changes);
	error = describe_facility(facility);
	if (error)
		return error;
	of_changeset_attach_node(&changes, facility);
	/* A node is attached in front of its siblings, and the driver numbers slices in their order. */
	for (i = rig_afus; i-- > 0;) {
		snprintf(name, sizeof(name), "coherent-platform-function@%x", i);
		function = new_node(facility, name);
		if (!function)
			return -ENOMEM;
		error = describe_function(function, &rig_afu[i]);
		if (error)
			return error;
		of_changeset_attach_node(&changes, function);
	}
	error = of_changeset_apply(&changes);
	if (error)
		return error;
	applied = true;
	device = of_platform_device_create(facility, NULL, NULL);
	return device ? 0 : -ENODEV;
}

void rig_device_tree_remove(void)
{
	if (device)
		of_platform_device_destroy(&device->dev, NULL);
	if (applied) {
		of_changeset_revert(&changes);
		of_changeset_destroy(&changes);
	}
}
