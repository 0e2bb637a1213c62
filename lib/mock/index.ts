/**
 * `node-cxl/mock`: accelerators without hardware. createMockCxl() gives a system that the
 * program under test uses as it would use `cxl`, and the device side that its test plays.
 */
import { MockCxl } from './mock-cxl';
import type { MockOptions } from './options';

/**
 * Makes a system of modelled cards.
 *
 * @throws TypeError or RangeError (ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE,
 *   ERR_OUT_OF_RANGE) naming the option that is wrong
 */
export function createMockCxl(options: MockOptions = {}): MockCxl {
  return new MockCxl(options);
}

export { mockFromConfig } from './config';
export * from './doe';
export { mockDoeFromConfig } from './doe/config';
export type { FaultName, FaultSpec, Latency, Mishap, RefusableCall, SlowCall } from './faults';
export {
  type FlashAdapterOptions,
  type FlashLunOptions,
  MockFlash,
  type MockFlashAdapter,
  provokeCommands,
  provokeRegisters,
} from './flash';
export type { Link, PerstImage } from './kernel/adapter';
export type { AfuMode } from './kernel/afu';
export type { ContextStatus } from './kernel/context';
export type { AfuDriverOps } from './kernel/events';
export type { KernelContext, KernelStartWork } from './kernel/kernel-context';
export type { MockAfu, MockContext } from './mock-afu';
export type { MockCard } from './mock-card';
export { type MockCounters, MockCxl } from './mock-cxl';
export type {
  AfuDescriptor,
  AfuLogic,
  AfuModel,
  AfuPort,
  AfuProcess,
  ConfigRecord,
  ContextRole,
  MmioWidth,
  ProcessLogic,
} from './model';
export { echoAfu } from './models/echo';
export { type MemcpyAfuOptions, memcpyAfu } from './models/memcpy';
export type { MockAfuOptions, MockCardOptions, MockOptions } from './options';
export { type Register, Registers } from './registers';
