/**
 * `node-cxl/mock`: accelerators without hardware. createMockCxl() makes a system that a program
 * uses as it uses `cxl`; the same object gives a test the device side of it.
 *
 * @module node-cxl/mock
 */

import type { MockOptions } from './config/options';
import { MockCxl } from './mock-cxl';

/**
 * Makes a system of modeled cards.
 *
 * @throws TypeError or RangeError (ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE,
 *   ERR_OUT_OF_RANGE) naming the option that is wrong
 * @example
 * import { createMockCxl, memcpyAfu } from 'node-cxl/mock';
 *
 * const system = createMockCxl({
 *   cards: [{ afus: [{ model: memcpyAfu({ processes: 2 }) }], caiaVersion: '2.0' }],
 *   faults: [{ name: 'open', errno: 'EMFILE', after: 1 }],
 * });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * const error = await system.open('/dev/cxl/afu0.0s').catch((reason) => reason);
 * console.log(error.code); // EMFILE
 * await context.close();
 */
export function createMockCxl(options: MockOptions = {}): MockCxl {
  return new MockCxl(options);
}

export { type GlobalSystem, setGlobalSystem, withSystem } from '../default-system';
export type { AccessName, Call, CallName, IoctlName } from '../observe/call';
export type { CallDetail, CallLog, CallLogOptions } from '../observe/call-log';
export type { CallPattern } from '../observe/pattern';
export type { MockOptions } from './config/options';
export type { MockAfuOptions, MockCardOptions } from './device/card-options';
export type {
  AccessExpectation,
  AttachExpectation,
  ExpectedAccess,
  MockAfu,
} from './device/mock-afu';
export type { MockCard } from './device/mock-card';
export type { MockContext } from './device/mock-context';
export { type CdatEncodingOptions, encodeCdat } from './doe/cdat';
export { MockFunction, type MockFunctionOptions, type PlacedMailboxOptions } from './doe/function';
export {
  type MockFaults,
  MockMailbox,
  type MockMailboxOptions,
  type MockProtocol,
  type RegisterAccess,
} from './doe/mailbox';
export { memoryDevice, memoryDeviceTable } from './doe/memory-device';
export { createMockDoe, MockDoe, type MockDoeOptions } from './doe/mock-doe';
export { complianceMode, type MockComplianceOptions, spdm, tableAccess } from './doe/protocols';
export { INJECTION_COMMANDS, INJECTION_REGISTERS } from './flash/injection';
export { MockFlash, type MockFlashAdapter } from './flash/mock-flash';
export type { FlashAdapterOptions, FlashLunOptions } from './flash/options';
export { mockDoeFromConfig, mockFromConfig } from './from-config';
export type { Link, PerstImage } from './kernel/adapter';
export type { MockAfuMode } from './kernel/afu';
export type { ContextStatus } from './kernel/context';
export type { AfuDriverOps } from './kernel/events';
export type { FaultCondition, FaultName, FaultSpec, RefusableCall } from './kernel/fault-spec';
export type { Latency, SlowCall } from './kernel/faults';
export type { KernelContext, KernelStartWork } from './kernel/kernel-context';
export { type MockCounters, MockCxl, mockOf } from './mock-cxl';
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
} from './models/afu-model';
export {
  answers,
  type Behavior,
  type BehaviorLogic,
  type CopyRegisters,
  copies,
  countsStores,
  failsEvery,
  onStore,
  type RegisterValue,
  type RegisterValues,
  raisesInterrupt,
  register,
} from './models/behaviors';
export { type AfuDescription, composeAfu } from './models/compose';
export { echoAfu } from './models/echo';
export { type MemcpyAfuOptions, memcpyAfu } from './models/memcpy';
export { type Register, Registers } from './models/registers';
