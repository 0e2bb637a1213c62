/**
 * `node-cxl/mock`: accelerators without hardware. createMockCxl() gives a system that the
 * program under test uses as it would use `cxl`, and the device side that its test plays.
 */

import type { MockOptions } from './config/options';
import { MockCxl } from './mock-cxl';

/**
 * Makes a system of modelled cards.
 *
 * @throws TypeError or RangeError (ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE,
 *   ERR_OUT_OF_RANGE) naming the option that is wrong
 */
export function createMockCxl(options: MockOptions = {}): MockCxl {
  return new MockCxl(options);
}

export { mockFromConfig } from './config/config';
export type { MockAfuOptions, MockCardOptions, MockOptions } from './config/options';
export type {
  FaultName,
  FaultSpec,
  Latency,
  Mishap,
  RefusableCall,
  SlowCall,
} from './device/faults';
export type { MockAfu, MockContext } from './device/mock-afu';
export type { MockCard } from './device/mock-card';
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
} from './device/model';
export { echoAfu } from './device/models/echo';
export { type MemcpyAfuOptions, memcpyAfu } from './device/models/memcpy';
export { type Register, Registers } from './device/registers';
export * from './doe';
export { mockDoeFromConfig } from './doe/config';
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
export { type MockCounters, MockCxl } from './mock-cxl';
