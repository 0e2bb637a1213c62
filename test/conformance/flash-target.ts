/**
 * The flash adapters that the conformance tests run on: the one place that knows how the
 * backends differ. Both have four LUNs: 262144 blocks on two ports, 131072 on two, and on the
 * first port only 1000, and 262144 of 512 bytes.
 */
import { type Cxl, cxl } from 'node-cxl';
import { type FlashContext, type Lun, listLuns, openLun } from 'node-cxl/flash';
import {
  createMockCxl,
  type FlashLunOptions,
  type MockCxl,
  provokeCommands,
  provokeRegisters,
} from 'node-cxl/mock';
import { type FlashChild, forkedChild, mockChild } from './support/flash-child';
import { command } from './support/simulated-target';

const allOnes = (1n << 64n) - 1n;

export type CommandMode = 'ioarrin' | 'sq';

export const LUN_BLOCKS = [262144n, 131072n, 1000n, 262144n] as const;
export const CHUNK = 65536n;

export interface FlashTarget {
  readonly system: Cxl;
  /** /dev/sgN of each LUN, a path each port. */
  readonly nodes: readonly (readonly string[])[];
  /** Opens a LUN with superpipe enabled; closed with the target. */
  lun(index?: number, port?: number): Promise<Lun>;
  /** A child process that has opened that LUN; ended with the target. */
  child(index?: number): Promise<FlashChild>;
  /** Closes what lun() opened and gives the LUNs back. */
  close(): Promise<void>;
  /** Makes an adapter that has failed work for the next test; to be called after close(). */
  rebind(): void;
}

const SIMULATED = process.env['CXL_TARGET'] === 'simulated';

export const COMMAND_MODES: readonly CommandMode[] = ['ioarrin', 'sq'];

export async function flashTarget(commandMode: CommandMode = 'ioarrin'): Promise<FlashTarget> {
  const system = SIMULATED ? cxl : mock(commandMode);
  if (SIMULATED) command(`flash-mode ${commandMode}`);
  const found = await listLuns({ system });
  const byWwid = new Map<string, string[]>();
  for (const lun of found) {
    const nodes = byWwid.get(lun.wwid ?? '') ?? [];
    nodes.push(lun.generic ?? '');
    byWwid.set(lun.wwid ?? '', nodes);
  }
  const nodes = [...byWwid.values()];
  const opened: Lun[] = [];
  const children: FlashChild[] = [];
  return {
    system,
    nodes,
    async lun(index = 0, port = 0) {
      const lun = await openLun(nodes[index]?.[port] ?? '', { system });
      opened.push(lun);
      await lun.enableSuperpipe();
      return lun;
    },
    async child(index = 0) {
      const child = SIMULATED ? await forkedChild(commandMode) : mockChild(system as MockCxl);
      children.push(child);
      await child.open(nodes[index]?.[0] ?? '');
      return child;
    },
    async close() {
      for (const child of children) await child.end();
      for (const lun of opened) {
        if (lun.closed) continue;
        await lun.disableSuperpipe();
        await lun.close();
      }
    },
    rebind() {
      // Each test has a mock of its own.
      if (SIMULATED) command('flash-rebind');
    },
  };
}

function mock(commandMode: CommandMode): Cxl {
  const [first, second, third, fourth] = LUN_BLOCKS;
  const luns: FlashLunOptions[] = [
    { blocks: first },
    { blocks: second },
    { blocks: third, ports: [0] },
    { blocks: fourth, blockSize: 512, ports: [0] },
  ];
  return createMockCxl({ cards: [], flash: [{ commandMode, luns }] });
}

/** Asks the adapter for what a program cannot cause. */
export function provoke(
  context: FlashContext,
  name: keyof typeof provokeCommands,
  argument = 0,
  value = 0n,
  count = 1,
): void {
  const page = context.registers;
  page.write64(provokeRegisters.value, value);
  page.write64(provokeRegisters.count, BigInt(count));
  page.write64(
    provokeRegisters.command,
    (BigInt(provokeCommands[name]) << 56n) | BigInt(argument >>> 0),
  );
  // The device takes it in its own time, and then the register reads 0; in error, all ones.
  const end = performance.now() + 5000;
  for (;;) {
    const taken = page.read64(provokeRegisters.command);
    if (taken === 0n || taken === allOnes) return;
    if (performance.now() > end) throw new Error('the provocation was not taken');
  }
}

/** The first 8 bytes of a status, for provoke('status'). */
export function statusWord(codes: {
  flags?: number;
  afu?: number;
  scsi?: number;
  fc?: number;
}): bigint {
  const { flags = 0, afu = 0, scsi = 0, fc = 0 } = codes;
  return BigInt(((flags << 24) | (afu << 16) | (scsi << 8) | fc) >>> 0) << 32n;
}

/** The code a promise rejects with; 'resolved' when it does not. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: { code?: string; name: string }) => error.code ?? error.name,
  );
}
