import { openLun } from 'node-cxl/flash';
import { createMockCxl, echoAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';

function system() {
  return createMockCxl({
    cards: [{ afus: [{ model: echoAfu() }] }],
    flash: [{}],
    flavor: 'bare-metal',
  });
}

function messageOf(run: () => void): string {
  try {
    run();
  } catch (error) {
    return (error as Error).message;
  }
  return '';
}

describe('assertNoLeaks', () => {
  it('says nothing when all is closed, unmapped, freed and no wait is left', async () => {
    const mock = system();
    mock.assertNoLeaks();
    const context = await mock.open('afu0.0s');
    const memory = mock.allocate(4096);
    await context.attach({ wed: memory.address, holds: [memory] });
    context.mapProblemState().write64(0x10, memory.address);
    await context.waitForInterrupt(1);
    await context.close();
    memory.free();
    const lun = await openLun('/dev/sg1', { system: mock });
    await lun.enableSuperpipe();
    const flash = await lun.attach();
    await (await flash.openDirect()).blockDevice().read(0, 1);
    await flash.close();
    await lun.close();
    mock.assertNoLeaks();
  });

  it('lists what is left, with the line of the program that made it', async () => {
    const mock = system();
    async function forgetful() {
      const context = await mock.open('afu0.0s');
      await context.attach({ wed: 0n });
      context.mapProblemState();
      void context.waitForEvent().catch(() => undefined);
      return context;
    }
    const context = await forgetful();
    const memory = mock.allocate(8192);
    const lun = await openLun('/dev/sg2', { system: mock });
    const message = messageOf(() => mock.assertNoLeaks());
    expect(message).toMatch(/^5 things are left:\n/);
    expect(message).toMatch(
      /- an open context: afu0\.0, process element 0, STARTED\n.*forgetful.*mock-leaks\.test/,
    );
    expect(message).toMatch(/- a mapping: afu0\.0, process element 0\n.*forgetful/);
    expect(message).toMatch(/- a wait for events: afu0\.0, process element 0\n.*forgetful/);
    expect(message).toMatch(/- memory: 8192 bytes at 0x[0-9a-f]+\n.*mock-leaks\.test/);
    expect(message).toMatch(/- an open node: \/dev\/sg2\n.*mock-leaks\.test/);
    expect(message).not.toMatch(/mock\/(binding|kernel)\/|at new Promise/);
    await context.close();
    memory.free();
    await lun.close();
    mock.assertNoLeaks();
  });
});
