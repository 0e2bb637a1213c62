/** What the mock's tests share. */
import type { Context } from 'node-cxl';
import {
  createMockCxl,
  type KernelContext,
  type MockCxl,
  type MockOptions,
  memcpyAfu,
} from 'node-cxl/mock';

/** One card with one memcpy AFU, and what else the options say. */
export function oneCard(options: MockOptions = {}): MockCxl {
  return createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }], ...options });
}

export const slave = '/dev/cxl/afu0.0s';
export const master = '/dev/cxl/afu0.0m';

/** A context of the slave node, attached with four interrupts. */
export async function attached(mock: MockCxl, path = slave): Promise<Context> {
  const context = await mock.open(path);
  await context.attach({ wed: 0n, interrupts: 4 });
  return context;
}

/** A context made in the kernel and started with four interrupts: its read() can be called as such. */
export function inKernel(mock: MockCxl): KernelContext {
  const context = mock.card(0).afu(0).createKernelContext();
  const started = context.startWork({ wed: 0n, interrupts: 4 });
  if (started < 0) throw new Error(`startWork: ${started}`);
  return context;
}

/** What one read() answers, and the event's fields as the kernel lays them out. */
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

/** The code of what a promise rejects with; undefined when it does not. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  try {
    await promise;
    return undefined;
  } catch (error) {
    return (error as { code?: string }).code;
  }
}

/** The code of what a function throws; undefined when it does not. */
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

/** Waits until something is so; a test fails by its own time-out when it never is. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(1);
}
