import { type FlashContext, openLun } from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf } from '../conformance/flash-target';

/** Offset of the 16-bit timeout in an IOARCB. */
const TIMEOUT_OFFSET = 34;
const endian = 'little';

describe('commandTimeout', () => {
  function attach(system: ReturnType<typeof createMockCxl>, commandTimeout?: number) {
    return openLun('/dev/sg1', { system }).then(async (lun): Promise<FlashContext> => {
      await lun.enableSuperpipe();
      return lun.attach({ endian, ...(commandTimeout === undefined ? {} : { commandTimeout }) });
    });
  }

  /** The timeout field of the first command of a context. */
  async function timeoutField(commandTimeout?: number): Promise<number> {
    const system = createMockCxl({ cards: [], flash: [{}] });
    const allocated: ReturnType<typeof system.allocate>[] = [];
    const allocate = system.allocate.bind(system);
    system.allocate = (size, options) => {
      const memory = allocate(size, options);
      allocated.push(memory);
      return memory;
    };
    const context = await attach(system, commandTimeout);
    try {
      await (await context.openDirect()).blockDevice().read(0, 1);
      // The first slot is at the start of the queue's memory.
      return new DataView(allocated[0]?.buffer as ArrayBuffer).getUint16(TIMEOUT_OFFSET, true);
    } finally {
      await context.close();
    }
  }

  it('is in milliseconds, rounded up to the whole seconds of the IOARCB', async () => {
    expect(await timeoutField()).toBe(30);
    expect(await timeoutField(1)).toBe(1);
    expect(await timeoutField(1000)).toBe(1);
    expect(await timeoutField(1001)).toBe(2);
    expect(await timeoutField(65_535_000)).toBe(65_535);
  });

  it('is a whole number from 1 to what 16 bits of seconds hold', async () => {
    const system = createMockCxl({ cards: [], flash: [{}] });
    for (const wrong of [0, -1, 0.5, 65_535_001]) {
      expect(await codeOf(attach(system, wrong))).toBe('ERR_OUT_OF_RANGE');
    }
    expect(await codeOf(attach(system, '1' as never))).toBe('ERR_INVALID_ARG_TYPE');
  });
});
