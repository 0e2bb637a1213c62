// Recordings that the tests of traces look at: real ones, made over the mock.
import { createMockCxl } from 'node-cxl/mock';
import { recordCxl } from 'node-cxl/record';

/** Registers of the echo AFU. */
const ECHO = 0x00;
const COUNT = 0x08;
const ADDRESS = 0x10;

/**
 * Two contexts of the echo AFU that get `interrupts` interrupts each, with `accesses` accesses to
 * registers and memory after each; then a data storage fault, and an AFU that does not exist.
 */
export async function recordInterrupts(file, interrupts, accesses) {
  const recorded = recordCxl(createMockCxl(), { file, polls: 'each' });
  const target = recorded.allocate(4096, { endian: 'big' });
  const contexts = [];
  for (let count = 0; count < 2; count += 1) {
    const context = await recorded.open('/dev/cxl/afu1.0s');
    await context.attach({ wed: 0n, interrupts: 1, holds: [target] });
    contexts.push([context, context.mapProblemState({ endian: 'big' })]);
  }
  for (let round = 0; round < interrupts; round += 1) {
    for (const [context, registers] of contexts) {
      registers.write64(ECHO, BigInt(round));
      registers.write64(ADDRESS, target.address + 8n);
      await context.waitForInterrupt(1, { timeout: 10_000 });
      for (let access = 0; access < accesses; access += 1) {
        if (access % 4 === 3) target.store64(1024 + (access % 64) * 8, BigInt(round));
        else registers.read64(access % 2 === 0 ? ECHO : COUNT);
      }
    }
  }
  const [[context, registers]] = contexts;
  registers.write64(ADDRESS, 0x10n);
  for await (const event of context.events({ signal: AbortSignal.timeout(10_000) })) {
    if (event.type === 'data-storage') break;
  }
  await recorded.open('/dev/cxl/afu9.0s').catch(() => {});
  for (const [each] of contexts) await each.close();
  recorded.stop();
}
