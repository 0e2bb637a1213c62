/** What the mock's tests share. */
import type { Context } from 'node-cxl';
import {
  createMockCxl,
  echoAfu,
  type KernelContext,
  type MockCxl,
  type MockOptions,
  memcpyAfu,
} from 'node-cxl/mock';

/** A mock with one card, which has one memcpy AFU, and these options. */
export function oneCard(options: MockOptions = {}): MockCxl {
  return createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }], ...options });
}

/** A mock with one card, which has one echo AFU. */
export function oneEcho(options: MockOptions = {}): MockCxl {
  return createMockCxl({ cards: [{ afus: [{ model: echoAfu() }] }], ...options });
}

export const slave = '/dev/cxl/afu0.0s';
export const master = '/dev/cxl/afu0.0m';

/** A context of the slave node, attached with four interrupts. */
export async function attached(mock: MockCxl, path = slave): Promise<Context> {
  const context = await mock.open(path);
  await context.attach({ wed: 0n, interrupts: 4 });
  return context;
}

/** A context of a slave node, attached, and its registers. */
export async function mapped(mock: MockCxl, { name = 'afu0.0s', wed = 0n } = {}) {
  const context = await mock.open(name);
  await context.attach({ wed });
  return { context, area: context.mapProblemState() };
}

/** A context of an in-kernel driver, started with four interrupts. Its read() can be called directly. */
export function inKernel(mock: MockCxl): KernelContext {
  const context = mock.card(0).afu(0).createKernelContext();
  const started = context.startWork({ wed: 0n, interrupts: 4 });
  if (started < 0) throw new Error(`startWork: ${started}`);
  return context;
}

/** What one read() returns, and the fields of the event. */
export function readEvent(context: KernelContext, length = 4096) {
  const bytes = new Uint8Array(length);
  const answer = context.context.read(bytes);
  const view = new DataView(bytes.buffer);
  const little = true;
  return {
    answer,
    type: view.getUint16(0, little),
    size: view.getUint16(2, little),
    processElement: view.getUint16(4, little),
    irq: answer === 16 ? view.getUint16(10, little) : undefined,
    value: answer > 16 ? view.getBigUint64(16, little) : undefined,
    data: bytes.slice(8, Math.max(answer, 8)),
  };
}

/** The code of the error that a promise rejects with; undefined when it does not reject. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

/** The code of the error that a function throws; undefined when it does not throw. */
export function thrownCode(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

export function sleep(milliseconds: number): Promise<void> {
  return new Promise((done) => setTimeout(done, milliseconds));
}

/** Waits until a condition holds. If it never does, the test's time-out ends the wait. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}
