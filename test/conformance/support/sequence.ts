/**
 * Random sequences of operations for the model-based test, and the outcomes of running one on a
 * target. Two targets agree when the outcomes are the same.
 */
import fc from 'fast-check';
import type { Context, CxlEvent, ProblemState } from 'node-cxl';
import type { Target } from '../target';
import { inject, injectAndWait, interrupts, mappingGone } from './injection';
import { until } from './work-queue';

/** Operations name contexts by slot. One on an empty slot does nothing. */
const SLOTS = 3;

export type Operation =
  | { do: 'open'; slot: number; kind: 'slave' | 'master' | 'dedicated' }
  | { do: 'attach'; slot: number; interrupts: number; errFf: boolean }
  | { do: 'map'; slot: number; pages: number }
  | { do: 'read'; slot: number; offset: number; width: 4 | 8 }
  | { do: 'interrupt'; slot: number; irqs: number[]; count: number }
  | { do: 'dataStorage'; slot: number; address: bigint }
  | { do: 'afuError'; slot: number; value: bigint }
  | { do: 'wait'; slot: number }
  | { do: 'waitForInterrupt'; slot: number; irq: number }
  | { do: 'identify'; slot: number }
  | { do: 'unmap'; slot: number }
  | { do: 'detachAll'; slot: number }
  | { do: 'setIrqsMax'; count: number }
  | { do: 'setMode'; mode: 'none' | 'afu_directed' }
  | { do: 'writeIrqsMax'; text: string }
  | { do: 'resetAfu' }
  | { do: 'setEnabled'; enabled: boolean }
  | { do: 'pageStore'; slot: number; page: number }
  | { do: 'close'; slot: number };

const slot = fc.nat(SLOTS - 1);
const irq = fc.integer({ min: 1, max: 4 });

/**
 * Sequences that a target can run: with dedicated contexts, with changes of attributes, and with
 * AFUs that are disabled.
 */
export function operations(options: { dedicated: boolean; sysfs: boolean; enable: boolean }) {
  const kinds: ('slave' | 'master' | 'dedicated')[] = ['slave', 'slave', 'master'];
  if (options.dedicated) kinds.push('dedicated');
  const weighted: fc.WeightedArbitrary<Operation>[] = [
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('open'), slot, kind: fc.constantFrom(...kinds) }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('attach'),
        slot,
        interrupts: fc.constantFrom(1, 2, 4, 4, 4, 0, 0x7fff),
        errFf: fc.boolean(),
      }),
    },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constant('map'), slot, pages: fc.constantFrom(0, 1, 10_000) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('read'),
        slot,
        offset: fc.constantFrom(0, 4, 8, 0x1008, 2, 2 ** 40),
        width: fc.constantFrom(4, 8),
      }),
    },
    {
      weight: 5,
      arbitrary: fc.record({
        do: fc.constant('interrupt'),
        slot,
        irqs: fc.uniqueArray(irq, { minLength: 1, maxLength: 3 }),
        count: fc.integer({ min: 1, max: 3 }),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('dataStorage'),
        slot,
        address: fc.constantFrom(0x40n, 0x80n),
      }),
    },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant('afuError'), slot, value: fc.constantFrom(1n, 2n) }),
    },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('wait'), slot }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('waitForInterrupt'), slot, irq }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('identify'), slot }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('unmap'), slot }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('pageStore'), slot, page: fc.nat(3) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('close'), slot }) },
  ];
  if (options.sysfs) {
    weighted.push(
      { weight: 1, arbitrary: fc.record({ do: fc.constant('detachAll'), slot }) },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('setIrqsMax'),
          count: fc.constantFrom(4, 8, 0, 0x7fff),
        }),
      },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('setMode'),
          mode: fc.constantFrom('none', 'afu_directed'),
        }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant('resetAfu') }) },
      {
        weight: 1,
        arbitrary: fc.record({
          do: fc.constant('writeIrqsMax'),
          text: fc.constantFrom('+8', '0x10', '010', ' 9', '-9', '4294967304', '8x', 'x', '08'),
        }),
      },
    );
  }
  if (options.enable) {
    weighted.push({
      weight: 1,
      arbitrary: fc.record({ do: fc.constant('setEnabled'), enabled: fc.boolean() }),
    });
  }
  const rest = fc.array(fc.oneof(...weighted), { minLength: 5, maxLength: 40 });
  return fc.tuple(preludes(kinds), rest).map(([prelude, more]) => [...prelude, ...more]);
}

/** Operations that open and attach contexts, so that later ones find contexts to act on. */
function preludes(kinds: readonly ('slave' | 'master' | 'dedicated')[]): fc.Arbitrary<Operation[]> {
  const one = (at: number) =>
    fc
      .record({
        kind: fc.constantFrom(...kinds),
        errFf: fc.boolean(),
        steps: fc.integer({ min: 0, max: 8 }),
      })
      .map(({ kind, errFf, steps }): Operation[] => {
        const operations: Operation[] = [
          { do: 'open', slot: at, kind },
          { do: 'attach', slot: at, interrupts: 4, errFf },
          { do: 'map', slot: at, pages: 0 },
        ];
        return operations.slice(0, steps);
      });
  return fc
    .tuple(...Array.from({ length: SLOTS }, (_, at) => one(at)))
    .map((parts) => parts.flat());
}

interface Slot {
  context: Context;
  regs: ProblemState | undefined;
  afu: string;
}

/** Milliseconds of a wait on the model. Longer on emulated machines, which are slow. */
const MODEL_TIMEOUT = 10 * Number(process.env['CXL_TEST_TIME_SCALE'] ?? 1);

/** The outcome of a wait when there was no event. */
const NO_EVENT = 'ETIMEDOUT';

/**
 * Runs a sequence and returns the outcome of each operation. `expected` are the outcomes of the
 * model. They decide only how long a wait takes at most: 5 seconds if an event is expected, 25 ms
 * otherwise.
 */
export async function runSequence(
  target: Target,
  sequence: readonly Operation[],
  expected?: readonly string[],
): Promise<string[]> {
  const slots: (Slot | undefined)[] = [];
  const outcomes: string[] = [];
  const guest = target.has.has('guest');
  const directed = (await target.system.afus()).find((afu) => afu.name === target.afu);
  const irqsMax = (await directed?.irqsMax()) ?? 0;
  /** The directed AFU stands still: nothing can be injected. An attach enables it. */
  let disabled = false;
  try {
    for (const [index, operation] of sequence.entries()) {
      const eventExpected = expected?.[index]?.includes(NO_EVENT) === false;
      const timeout = expected === undefined ? MODEL_TIMEOUT : eventExpected ? 5_000 : 25;
      outcomes.push(`${operation.do}: ${await outcome(operation, timeout)}`);
    }
  } finally {
    if (disabled) await target.device.setEnabled(target.afu, true);
    for (const one of slots) await one?.context.close();
    if ((await directed?.mode()) === 'none') await directed?.setMode('afu_directed');
    if (((await directed?.irqsMax()) ?? 0) !== irqsMax) await directed?.setIrqsMax(irqsMax);
  }
  return outcomes;

  async function outcome(operation: Operation, timeout: number): Promise<string> {
    try {
      return (await perform(operation, timeout)) ?? 'done';
    } catch (error) {
      const { code, syscall } = error as { code?: string; syscall?: string };
      if (code === undefined) throw error;
      return syscall === undefined ? code : `${code} ${syscall}`;
    }
  }

  async function perform(operation: Operation, timeout: number): Promise<string | undefined> {
    if (operation.do === 'setIrqsMax')
      return directed?.setIrqsMax(operation.count) as Promise<undefined>;
    if (operation.do === 'setMode') return directed?.setMode(operation.mode) as Promise<undefined>;
    if (operation.do === 'resetAfu') return directed?.reset() as Promise<undefined>;
    if (operation.do === 'writeIrqsMax') {
      return target.device.writeAttribute(`${directed!.path}/irqs_max`, operation.text);
    }
    if (operation.do === 'setEnabled') {
      await target.device.setEnabled(target.afu, operation.enabled);
      disabled = !operation.enabled;
      return undefined;
    }
    const used = slots[operation.slot];
    if (operation.do === 'open') {
      if (used !== undefined) return 'slot in use';
      const afu = operation.kind === 'dedicated' ? target.dedicatedAfu : target.afu;
      const context = await target.system.open(`/dev/cxl/${afu}${operation.kind[0]}`);
      slots[operation.slot] = { context, regs: undefined, afu };
      return context.path.slice(-1);
    }
    if (used === undefined) return 'slot empty';
    const { context } = used;
    switch (operation.do) {
      case 'attach':
        // An empty queue: the AFU does nothing but what is injected.
        await context.attach({ wed: 0n, interrupts: operation.interrupts, errFf: operation.errFf });
        if (used.afu === target.afu) disabled = false;
        return undefined;
      case 'map': {
        const { pages } = operation;
        const state = context.mapProblemState(pages === 0 ? {} : { length: pages * 65536 });
        used.regs?.unmap();
        used.regs = state;
        return undefined;
      }
      case 'read':
        if (used.regs === undefined) return 'not mapped';
        if (operation.width === 8) used.regs.read64(operation.offset);
        else used.regs.read32(operation.offset);
        return undefined;
      case 'interrupt':
      case 'dataStorage':
      case 'afuError': {
        const { regs } = used;
        if (regs === undefined || !regs.mapped) return 'not mapped';
        if (context.linkState() !== 'up') return 'detached';
        if (disabled && used.afu === target.afu) return 'disabled';
        // Masters share the AFU-wide registers: which of them gets the event is undefined.
        if (context.path.endsWith('m')) return 'not injected through a master';
        const arguments_ =
          operation.do === 'interrupt'
            ? { argument: interrupts(...operation.irqs), count: BigInt(operation.count) }
            : { value: operation.do === 'dataStorage' ? operation.address : operation.value };
        await injectAndWait(regs, operation.do, arguments_);
        return undefined;
      }
      case 'wait':
        return eventText(await context.waitForEvent({ timeout }), guest);
      case 'waitForInterrupt':
        await context.waitForInterrupt(operation.irq, { timeout });
        return undefined;
      case 'identify': {
        const id = context.afuId();
        const element = context.processElement;
        const shownElement = guest ? element !== undefined : element;
        return `${id.mode} ${id.slave ? 'slave' : 'not slave'} ${shownElement} ${context.linkState()}`;
      }
      case 'pageStore': {
        // After a detach with ERR_FF the mapping is one page of memory.
        const { regs } = used;
        if (regs === undefined || !regs.mapped) return 'not mapped';
        if (context.linkState() === 'up') return 'attached';
        const at = operation.page * target.system.pageSize + 0x40;
        if (at + 8 > regs.length) return 'outside';
        const before = regs.read64(0x40);
        regs.write64(at, before ^ BigInt(operation.page + 1));
        return `${regs.read64(0x40) ^ before}`;
      }
      case 'unmap':
        used.regs?.unmap();
        used.regs = undefined;
        return undefined;
      case 'detachAll': {
        const { regs } = used;
        if (regs === undefined || !regs.mapped) return 'not mapped';
        if (context.linkState() !== 'up') return 'detached';
        if (disabled && used.afu === target.afu) return 'disabled';
        const others = slots.filter((other) => other?.afu === used.afu) as Slot[];
        const mapped = others.filter(
          (other) => other.regs?.mapped && other.context.linkState() === 'up',
        );
        inject(regs, 'detachAll');
        // Every context of the AFU is detached, in any order.
        for (const other of others) {
          await until(() => other.context.linkState() !== 'up', 'the detach');
        }
        for (const { regs: area } of mapped) await mappingGone(area!);
        return undefined;
      }
      case 'close':
        slots[operation.slot] = undefined;
        await context.close();
        return undefined;
    }
  }
}

/** An event as text; in a guest without the process element, which is the driver's own index. */
function eventText(event: CxlEvent, guest: boolean): string {
  const { processElement, ...rest } = event;
  const compared = guest ? rest : { ...rest, processElement };
  return JSON.stringify(compared, (_key, value) =>
    typeof value === 'bigint' ? `0x${value.toString(16)}` : value,
  );
}
