/**
 * The flash adapters that the conformance tests run on. Only this file knows how the backends
 * differ. Both have five LUNs: of 262144 and 131072 blocks, connected to two ports; of 1000 blocks
 * and of 262144 blocks of 512 bytes, connected to the first port only; and of 512 chunks, connected
 * to two ports.
 */
import { writeFile } from 'node:fs/promises';
import { type Cxl, cxl } from 'node-cxl';
import {
  type FlashAttachOptions,
  type FlashContext,
  type Lun,
  listLuns,
  openLun,
} from 'node-cxl/flash';
import {
  createMockCxl,
  type FlashLunOptions,
  INJECTION_COMMANDS,
  INJECTION_REGISTERS,
  type MockCxl,
} from 'node-cxl/mock';
import { afterEach, beforeEach } from 'vitest';
import { ALL_ONES_64 } from '../../lib/shared/all-ones';
import { type FlashChild, forkedChild, mockChild } from './support/flash-child';
import { REPLAYS, systemOfTest } from './support/recordings';
import { command } from './support/simulated-target';

export type CommandMode = 'ioarrin' | 'sq';

export const CHUNK = 65536n;
export const LUN_BLOCKS = [262144n, 131072n, 1000n, 262144n, 512n * CHUNK] as const;

export interface FlashTarget {
  readonly system: Cxl;
  /** /dev/sgN of each LUN, one for each of its ports. */
  readonly nodes: readonly (readonly string[])[];
  /** Opens a LUN with superpipe enabled; closed with the target. */
  lun(index?: number, port?: number): Promise<Lun>;
  /** A child process that has opened that LUN; ended with the target. */
  child(index?: number): Promise<FlashChild>;
  /** Closes what lun() opened and disables superpipe. */
  close(): Promise<void>;
  /** Unbinds the driver; resolves when no context is left. Superpipe cannot be disabled then. */
  remove(): Promise<void>;
  /** Makes an adapter that has failed or was removed usable for the next test, after close(). */
  rebind(): void;
}

const SIMULATED = process.env['CXL_TARGET'] === 'simulated';

/** Bytes of a page of memory on the target. */
export const FLASH_PAGE = SIMULATED ? (cxl.pageSize as 4096 | 65536) : 4096;

export const COMMAND_MODES: readonly CommandMode[] = ['ioarrin', 'sq'];

export async function flashTarget(commandMode: CommandMode = 'ioarrin'): Promise<FlashTarget> {
  const system = systemOfTest(() => (SIMULATED ? cxl : mock(commandMode)));
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
    async remove() {
      if (SIMULATED) await writeFile('/dev/cxl-sim', 'flash-unbind');
      else if (!REPLAYS) await (system as MockCxl).flash.adapters[0]?.remove();
    },
    rebind() {
      // On the mock, each test has an adapter of its own.
      if (SIMULATED) command('flash-rebind');
    },
  };
}

function mock(commandMode: CommandMode): Cxl {
  const [first, second, third, fourth, fifth] = LUN_BLOCKS;
  const luns: FlashLunOptions[] = [
    { blocks: first },
    { blocks: second },
    { blocks: third, ports: [0] },
    { blocks: fourth, blockSize: 512, ports: [0] },
    { blocks: fifth },
  ];
  return createMockCxl({ cards: [], flash: [{ commandMode, luns }], pageSize: FLASH_PAGE });
}

/** The target of the running test. */
export interface TestTarget extends FlashTarget {
  /** Attaches a context that is closed after the test, before the target. */
  attach(lun: Lun, options?: FlashAttachOptions): Promise<FlashContext>;
}

export interface TestTargetOptions {
  /** Called after each test, before its contexts are closed. */
  readonly beforeClose?: () => void;
  /** Whether tests make the adapter fail. Default false. */
  readonly rebind?: boolean;
}

/** A new target for each test of the enclosing describe(), closed after the test. */
export function testTarget(
  commandMode: CommandMode = 'ioarrin',
  { beforeClose, rebind = false }: TestTargetOptions = {},
): TestTarget {
  let target: FlashTarget;
  let contexts: FlashContext[];

  beforeEach(async () => {
    target = await flashTarget(commandMode);
    contexts = [];
  });

  afterEach(async () => {
    beforeClose?.();
    for (const context of contexts) await context.close();
    await target.close();
    if (rebind) target.rebind();
  });

  return {
    get system() {
      return target.system;
    },
    get nodes() {
      return target.nodes;
    },
    lun: (index, port) => target.lun(index, port),
    child: (index) => target.child(index),
    close: () => target.close(),
    remove: () => target.remove(),
    rebind: () => target.rebind(),
    async attach(lun, options) {
      const context = await lun.attach(options);
      contexts.push(context);
      return context;
    },
  };
}

/** Makes the adapter do what a program cannot cause, through its injection registers. */
export function inject(
  context: FlashContext,
  name: keyof typeof INJECTION_COMMANDS,
  argument = 0,
  value = 0n,
  count = 1,
): void {
  const page = context.registers;
  page.write64(INJECTION_REGISTERS.value, value);
  page.write64(INJECTION_REGISTERS.count, BigInt(count));
  page.write64(
    INJECTION_REGISTERS.command,
    (BigInt(INJECTION_COMMANDS[name]) << 56n) | BigInt(argument >>> 0),
  );
  // The register reads 0 once the device has read it; in the error state, all ones.
  const end = performance.now() + 5000;
  for (;;) {
    const taken = page.read64(INJECTION_REGISTERS.command);
    if (taken === 0n || taken === ALL_ONES_64) return;
    if (performance.now() > end)
      throw new Error('the adapter did not read the injection registers');
  }
}

/** The first 8 bytes of a status, for inject('status'). */
export function statusWord(codes: {
  flags?: number;
  afu?: number;
  scsi?: number;
  fc?: number;
}): bigint {
  const { flags = 0, afu = 0, scsi = 0, fc = 0 } = codes;
  return BigInt(((flags << 24) | (afu << 16) | (scsi << 8) | fc) >>> 0) << 32n;
}

/** The code that a promise rejects with, or 'resolved'. */
export function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'resolved',
    (error: { code?: string; name: string }) => error.code ?? error.name,
  );
}
