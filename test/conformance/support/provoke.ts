/** Drives the provoke block (test/README.md) of a context's own problem state area. */
import type { ProblemState } from 'node-cxl';
import { registers, until } from './work-queue';

const COMMAND = 0x1000;
const VALUE = 0x1008;
const COUNT = 0x1010;
const DONE = 0x1018;

const commands = {
  interrupt: 1,
  dataStorage: 2,
  afuError: 3,
  errorState: 4,
  sliceError: 5,
  slowAttach: 6,
  detachAll: 7,
} as const;

export type Provocation = keyof typeof commands;

export interface ProvokeOptions {
  argument?: bigint;
  value?: bigint;
  count?: bigint;
}

/** Writes the command; the device may take a while to see it. */
export function provoke(
  regs: ProblemState,
  what: Provocation,
  { argument = 0n, value = 0n, count = 0n }: ProvokeOptions = {},
): void {
  regs.write64(VALUE, value);
  regs.write64(COUNT, count);
  regs.write64(COMMAND, (BigInt(commands[what]) << 56n) | argument);
}

/** As provoke(), and waits until the device has done it. Not for what takes the mapping away. */
export async function provoked(
  regs: ProblemState,
  what: Provocation,
  options?: ProvokeOptions,
): Promise<void> {
  const before = regs.read64(DONE);
  provoke(regs, what, options);
  await until(() => regs.read64(DONE) !== before, `provoked ${what}`);
}

/**
 * Waits until the driver has taken a mapping away, or made it all ones (ERR_FF). It marks the
 * context detached first, and then the AFU has to let go.
 */
export async function mappingGone(regs: ProblemState): Promise<void> {
  await until(() => {
    try {
      return regs.read64(registers.processHandle) === 0xffff_ffff_ffff_ffffn;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'EIO';
    }
  }, 'the mapping to be taken away');
}

/** Argument of `interrupt`: bit n-1 is interrupt n. */
export function interrupts(...irqs: number[]): bigint {
  return irqs.reduce((bits, irq) => bits | (1n << BigInt(irq - 1)), 0n);
}
