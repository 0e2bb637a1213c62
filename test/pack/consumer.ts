// A program as a user's compiler sees it; only its types are looked at.
import {
  type Adapter,
  type Context,
  CxlError,
  type CxlEvent,
  type cxl,
  type Memory,
} from 'node-cxl';
import { doe } from 'node-cxl/doe';
import * as flash from 'node-cxl/flash';
import { createMockCxl, type MockCxl, memcpyAfu } from 'node-cxl/mock';

const mock: MockCxl = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
const system: typeof cxl = mock;

export async function program(signal: AbortSignal): Promise<bigint> {
  const adapters: Adapter[] = await system.adapters();
  for (const adapter of adapters) {
    for (const afu of await adapter.afus()) console.log(afu.name, await afu.mode());
  }
  const context: Context = await system.open('/dev/cxl/afu0.0s');
  const memory: Memory = system.allocate(4096, { alignment: 65536 });
  try {
    memory.store64(16, memory.address, { endian: 'big' });
    await context.attach({ wed: memory.address, interrupts: 4, holds: [memory] });
    const registers = context.mapProblemState({ endian: 'big' });
    for await (const event of context.events({ signal })) {
      const seen: CxlEvent = event;
      if (seen.type === 'afu-interrupt') console.log(seen.irq);
      // @ts-expect-error: an event of that type has no such property
      if (seen.type === 'afu-error') console.log(seen.irq);
    }
    return registers.read64(8);
  } catch (error) {
    if (error instanceof CxlError) console.log(error.code, error.errno, error.syscall);
    throw error;
  } finally {
    await context.close();
  }
}

export const parts: object[] = [doe, flash];
