/**
 * The parts of which an AFU model of one's own is made: what a register reads as, what a store to
 * one does. composeAfu() puts them together.
 */
import { checkInteger, checkOptions, type OptionNames } from '../../shared/checks';
import { typeError } from '../../shared/errors';
import type { AfuProcess } from './afu-model';
import type { Register } from './registers';

/** The values of the registers of one process, by byte offset; all 0 at attach. */
export interface RegisterValues {
  /** The value of the register at a byte offset. */
  get(offset: number): bigint;
  /** Without the effect of a store of the program. */
  set(offset: number, value: bigint): void;
}

/** What a behavior does for one process. */
export interface BehaviorLogic {
  /**
   * By byte offset. Several behaviors may have the same register: a load gets the value of the first
   * of them that has one; a store goes to all, in their order.
   */
  readonly registers?: Readonly<Record<number, Register>>;
  /** As ProcessLogic.step(). */
  step?(): boolean;
  /** As ProcessLogic.detach(). */
  detach?(): void;
}

/** A part of an AFU model: called at each attach. */
export type Behavior = (process: AfuProcess, values: RegisterValues) => BehaviorLogic;

/** A value, or how to find it for a process. */
export type RegisterValue = bigint | ((process: AfuProcess, values: RegisterValues) => bigint);

/**
 * A register that reads as what was stored last.
 *
 * @param offset bytes, a multiple of 8
 * @param initial its value at attach. Default 0n
 * @example
 * import { composeAfu, createMockCxl, register } from 'node-cxl/mock';
 *
 * // At attach, the register has the work element descriptor.
 * const model = composeAfu({ name: 'store' }, register(0x00, (process) => process.wed));
 * const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 9n });
 * const area = context.mapProblemState();
 * area.write64(0x00, area.read64(0x00) + 1n);
 * console.log(area.read64(0x00)); // 10n
 * await context.close();
 */
export function register(offset: number, initial: RegisterValue = 0n): Behavior {
  checkOffset('offset', offset);
  return (process, values) => {
    values.set(offset, resolveValue(initial, process, values));
    return {
      registers: {
        [offset]: {
          read: () => values.get(offset),
          write: (value) => values.set(offset, value),
        },
      },
    };
  };
}

/**
 * A register that reads as `value`, found at each load. Stores to it have no effect.
 *
 * @example
 * import { answers, composeAfu, createMockCxl } from 'node-cxl/mock';
 *
 * const model = composeAfu({ name: 'version' }, answers(0x00, 0x0203n));
 * const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * console.log(context.mapProblemState().read64(0x00)); // 515n
 * await context.close();
 */
export function answers(offset: number, value: RegisterValue): Behavior {
  checkOffset('offset', offset);
  return (process, values) => ({
    registers: { [offset]: { read: () => resolveValue(value, process, values) } },
  });
}

/**
 * Calls `action` at each store to a register.
 *
 * @example
 * import { composeAfu, createMockCxl, onStore } from 'node-cxl/mock';
 *
 * const model = composeAfu(
 *   { name: 'checker' },
 *   onStore(0x00, (value, process) => {
 *     if (value % 128n !== 0n) process.afuError(value); // the queue must be aligned
 *   }),
 * );
 * const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * context.mapProblemState().write64(0x00, 5n);
 * console.log((await context.waitForEvent()).type); // afu-error
 * await context.close();
 */
export function onStore(
  offset: number,
  action: (value: bigint, process: AfuProcess, values: RegisterValues) => void,
): Behavior {
  checkOffset('offset', offset);
  if (typeof action !== 'function') throw typeError('action', 'a function', action);
  return (process, values) => ({
    registers: { [offset]: { write: (value) => action(value, process, values) } },
  });
}

/**
 * A register that reads as how often another one was written.
 *
 * @example
 * import { composeAfu, countsStores, register } from 'node-cxl/mock';
 *
 * // What was stored to DOORBELL last can be read, and at COUNT how often it was stored to.
 * const DOORBELL = 0x00;
 * const COUNT = 0x08;
 * const model = composeAfu({ name: 'bell' }, register(DOORBELL), countsStores(COUNT, DOORBELL));
 * console.log(model.name); // bell
 */
export function countsStores(offset: number, stored: number): Behavior {
  checkOffset('offset', offset);
  checkOffset('stored', stored);
  return (_, values) => ({
    registers: {
      [offset]: { read: () => values.get(offset) },
      [stored]: { write: () => values.set(offset, values.get(offset) + 1n) },
    },
  });
}

/**
 * Raises an AFU interrupt, from 1, at each store to a register.
 *
 * @example
 * import { composeAfu, createMockCxl, raisesInterrupt } from 'node-cxl/mock';
 *
 * const model = composeAfu({ name: 'bell' }, raisesInterrupt(1, 0x00));
 * const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * context.mapProblemState().write64(0x00, 1n);
 * await context.waitForInterrupt(1);
 * await context.close();
 */
export function raisesInterrupt(irq: number, stored: number): Behavior {
  checkInteger('irq', irq, 1, 0xffff);
  return onStore(stored, (_, process) => {
    process.raiseInterrupt(irq);
  });
}

/** Where copies() has its registers: byte offsets. */
export interface CopyRegisters {
  /** Effective address of the bytes to copy. */
  readonly source: number;
  /** Effective address where they go. */
  readonly target: number;
  /** How many. */
  readonly length: number;
  /** A store begins the copy, unless one is under way. */
  readonly start: number;
  /** Interrupt that tells that it has ended, from 1. Default: none. */
  readonly interrupt?: number;
}

const COPY_OPTIONS: OptionNames<CopyRegisters> = {
  source: true,
  target: true,
  length: true,
  start: true,
  interrupt: true,
};
const BYTES_A_STEP = 65_536n;

/**
 * Copies memory of the process, 64 KiB a step. An address that cannot be translated is a data
 * storage fault, and ends the copy without an interrupt.
 *
 * @example
 * import { composeAfu, copies, createMockCxl } from 'node-cxl/mock';
 *
 * const model = composeAfu(
 *   { name: 'copier' },
 *   copies({ source: 0x00, target: 0x08, length: 0x10, start: 0x18, interrupt: 1 }),
 * );
 * const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
 * const memory = system.allocate(4096);
 * memory.store64(0, 42n);
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n, holds: [memory] });
 * const registers = context.mapProblemState();
 * registers.write64(0x00, memory.address);
 * registers.write64(0x08, memory.address + 128n);
 * registers.write64(0x10, 8n);
 * registers.write64(0x18, 1n);
 * await context.waitForInterrupt(1);
 * console.log(memory.load64(128)); // 42n
 * await context.close();
 */
export function copies(registers: CopyRegisters): Behavior {
  const { source, target, length, start, interrupt } = checkOptions(registers, COPY_OPTIONS);
  for (const [name, offset] of Object.entries({ source, target, length, start })) {
    checkOffset(`options.${name}`, offset);
  }
  if (interrupt !== undefined) checkInteger('options.interrupt', interrupt, 1, 0xffff);
  return (process, values) => {
    let copy: { from: bigint; to: bigint; left: bigint } | undefined;
    return {
      registers: {
        ...register(source)(process, values).registers,
        ...register(target)(process, values).registers,
        ...register(length)(process, values).registers,
        [start]: {
          write: () => {
            const [from, to, left] = [values.get(source), values.get(target), values.get(length)];
            copy ??= { from, to, left };
          },
        },
      },
      step() {
        if (copy === undefined) return false;
        const size = Number(copy.left < BYTES_A_STEP ? copy.left : BYTES_A_STEP);
        const bytes = size === 0 ? undefined : process.access(copy.from, size, 'read');
        const room = bytes && process.access(copy.to, size, 'write');
        if (bytes !== undefined && room !== undefined) room.set(bytes);
        else if (size > 0) {
          copy = undefined;
          return false;
        }
        const moved = BigInt(size);
        copy = { from: copy.from + moved, to: copy.to + moved, left: copy.left - moved };
        if (copy.left > 0n) return true;
        copy = undefined;
        if (interrupt !== undefined) process.raiseInterrupt(interrupt);
        return false;
      },
    };
  };
}

/**
 * Makes every n-th store to a register fail: it does not reach `behavior`, and `failure` is called
 * in its place.
 *
 * @param count which: 3 is every third; 1 is each
 * @param stored the register, by byte offset
 * @param failure default: reports the AFU error 1n
 * @example
 * import { composeAfu, createMockCxl, failsEvery, raisesInterrupt } from 'node-cxl/mock';
 *
 * const START = 0x00;
 * const model = composeAfu({ name: 'flaky' }, failsEvery(2, START, raisesInterrupt(1, START)));
 * const system = createMockCxl({ cards: [{ afus: [{ model }] }] });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0n });
 * const registers = context.mapProblemState();
 * for (let job = 0; job < 2; job += 1) {
 *   registers.write64(START, 1n);
 *   console.log((await context.waitForEvent()).type); // afu-error
 * }
 * await context.close();
 */
export function failsEvery(
  count: number,
  stored: number,
  behavior: Behavior,
  failure: (process: AfuProcess) => void = (process) => process.afuError(1n),
): Behavior {
  checkInteger('count', count, 1, Number.MAX_SAFE_INTEGER);
  checkOffset('stored', stored);
  if (typeof behavior !== 'function') throw typeError('behavior', 'a behavior', behavior);
  return (process, values) => {
    const logic = behavior(process, values);
    const inner = logic.registers?.[stored];
    let stores = 0;
    const write = (value: bigint) => {
      stores += 1;
      if (stores % count === 0) failure(process);
      else inner?.write?.(value);
    };
    return { ...logic, registers: { ...logic.registers, [stored]: { ...inner, write } } };
  };
}

function resolveValue(value: RegisterValue, process: AfuProcess, values: RegisterValues): bigint {
  return typeof value === 'bigint' ? value : value(process, values);
}

function checkOffset(name: string, offset: number): void {
  checkInteger(name, offset, 0, Number.MAX_SAFE_INTEGER);
  if (offset % 8 !== 0) throw typeError(name, 'a multiple of 8', offset);
}
