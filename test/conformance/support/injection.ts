/** Writes the injection registers (test/README.md) of a context's problem state area. */
import type { ProblemState } from 'node-cxl';
import { ALL_ONES_64 } from '../../../lib/shared/all-ones';
import { REGISTERS, until } from './work-queue';

const COMMAND = 0x1000;
const VALUE = 0x1008;
const COUNT = 0x1010;
const DONE = 0x1018;

const COMMANDS = {
  interrupt: 1,
  dataStorage: 2,
  afuError: 3,
  errorState: 4,
  sliceError: 5,
  slowAttach: 6,
  detachAll: 7,
} as const;

export type Injection = keyof typeof COMMANDS;

export interface InjectionOptions {
  argument?: bigint;
  value?: bigint;
  count?: bigint;
}

/** Writes a command. The device runs it some time later. */
export function inject(
  regs: ProblemState,
  what: Injection,
  { argument = 0n, value = 0n, count = 0n }: InjectionOptions = {},
): void {
  regs.write64(VALUE, value);
  regs.write64(COUNT, count);
  regs.write64(COMMAND, (BigInt(COMMANDS[what]) << 56n) | argument);
}

/** As inject(), and waits until the device has run the command. Not for one that detaches the context. */
export async function injectAndWait(
  regs: ProblemState,
  what: Injection,
  options?: InjectionOptions,
): Promise<void> {
  const before = regs.read64(DONE);
  inject(regs, what, options);
  await until(() => regs.read64(DONE) !== before, `the injection of ${what}`);
}

/**
 * Waits until accesses to the mapping fault, or with ERR_FF read all ones. The driver does that
 * some time after it has marked the context as detached.
 */
export async function mappingGone(regs: ProblemState): Promise<void> {
  await until(() => {
    try {
      return regs.read64(REGISTERS.processHandle) === ALL_ONES_64;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EIO';
    }
  }, 'the mapping to be removed');
}

/** The argument of the `interrupt` command: bit n-1 is interrupt n. */
export function interrupts(...irqs: number[]): bigint {
  return irqs.reduce((bits, irq) => bits | (1n << BigInt(irq - 1)), 0n);
}
