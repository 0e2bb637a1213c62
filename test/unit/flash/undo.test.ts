/** Steps that are undone together. */
import { describe, expect, it } from 'vitest';
import { Undo } from '../../../lib/flash/undo';

describe('steps that are undone', () => {
  it('run one after the other, the last one first, and once', async () => {
    const undo = new Undo();
    const order: string[] = [];
    for (const name of ['open', 'enable', 'attach']) {
      undo.add(async () => {
        order.push(`${name} begins`);
        await undefined;
        order.push(`${name} ends`);
      });
    }
    await undo.run();
    const steps = ['attach', 'enable', 'open'].flatMap((name) => [
      `${name} begins`,
      `${name} ends`,
    ]);
    expect(order).toEqual(steps);
    await undo.run();
    expect(order).toEqual(steps);
  });

  it('all run when some fail; the first error is the one that is told', async () => {
    for (const first of [new Error('attach'), undefined]) {
      const undo = new Undo();
      let opened = true;
      undo.add(async () => {
        opened = false;
      });
      undo.add(() => Promise.reject(new Error('enable')));
      undo.add(() => Promise.reject(first));
      const outcome = await undo.run().then(
        () => 'resolved',
        (error) => [error],
      );
      expect(outcome).toEqual([first]);
      expect(opened).toBe(false);
    }
  });
});
