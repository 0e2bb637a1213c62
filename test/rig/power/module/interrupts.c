// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Presents an interrupt to the guest as the XICS would.
 *
 * From irq_work, because a handler must run in interrupt context, and retriggered first, because
 * the end of the interrupt pops a priority that nobody pushed.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irq_work.h>
#include <linux/irqdesc.h>
#include <linux/irqdomain.h>

#include "rig.h"

/* The driver enables its interrupts only after the attach hypercall has returned. */
#define ENABLE_TIMEOUT_MS 2000

struct presentation {
	struct irq_work work;
	unsigned int irq;
};

static void present(struct irq_work *work)
{
	struct presentation *presentation = container_of(work, struct presentation, work);
	struct irq_data *data = irq_get_irq_data(presentation->irq);

	if (!data || !irq_has_action(presentation->irq))
		return;
	data->chip->irq_retrigger(data);
	generic_handle_irq(presentation->irq);
}

/* Raises an interrupt and returns when its handler has run. May sleep. */
void rig_raise(unsigned int isn)
{
	struct presentation presentation = { .irq = irq_find_mapping(NULL, isn) };
	struct irq_data *data = irq_get_irq_data(presentation.irq);
	unsigned int waited;

	if (!presentation.irq || !data)
		return;
	for (waited = 0; irqd_irq_disabled(data) && waited < ENABLE_TIMEOUT_MS; waited++) {
		if (!irq_has_action(presentation.irq) || kthread_should_stop())
			return;
		msleep(1);
	}
	if (irqd_irq_disabled(data))
		return;
	presentation.work = IRQ_WORK_INIT_HARD(present);
	irq_work_queue(&presentation.work);
	irq_work_sync(&presentation.work);
}
