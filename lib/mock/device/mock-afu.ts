/** The device side of an AFU, and the contexts that an in-kernel driver makes on it. */
import { checkWaitOptions, WAIT_OPTIONS, type WaitOptions } from '../../shared/abort';
import {
  checkInteger,
  checkOneOf,
  checkOptions,
  checkUint64,
  type OptionNames,
} from '../../shared/checks';
import { stateError, unwrap } from '../../shared/errors';
import type { CxlAfu, MockAfuMode } from '../kernel/afu';
import type { CxlContext } from '../kernel/context';
import type { ContextChange, Kernel, MmioAccess } from '../kernel/kernel';
import { KernelContext } from '../kernel/kernel-context';
import { checkMilliseconds } from './card-options';
import { expectAccess, expectChange } from './expectations';
import { MockContext } from './mock-context';

/** Which attach is expected. */
export interface AttachExpectation extends WaitOptions {
  /** The work element descriptor. Default: any. */
  readonly wed?: bigint | undefined;
  /** The number of AFU interrupts. Default: any. */
  readonly interrupts?: number | undefined;
}
const ATTACH_EXPECTATION: OptionNames<AttachExpectation> = {
  ...WAIT_OPTIONS,
  wed: true,
  interrupts: true,
};

/** Which access to registers is expected. */
export interface AccessExpectation extends WaitOptions {
  /** Whether it is a load or a store. Default: either. */
  readonly access?: 'load' | 'store' | undefined;
  /** Bytes from the start of the area that the context maps. Default: any. */
  readonly offset?: number | undefined;
  /** The value that was stored or loaded. Default: any. */
  readonly value?: bigint | undefined;
}
const ACCESS_EXPECTATION: OptionNames<AccessExpectation> = {
  ...WAIT_OPTIONS,
  access: true,
  offset: true,
  value: true,
};

/** An access that was expected. */
export interface ExpectedAccess extends MmioAccess {
  /** The context whose area was accessed. */
  readonly context: MockContext;
}

/**
 * What a test does to an AFU.
 *
 * @example
 * import { createMockCxl } from 'node-cxl/mock';
 *
 * const system = createMockCxl();
 * const afu = system.card(0).afu(0);
 * const attached = afu.expectAttach({ timeout: 1000 });
 * const context = await system.open('/dev/cxl/afu0.0s');
 * await context.attach({ wed: 0x40n, interrupts: 4 });
 * console.log((await attached).wed); // 64n
 * await context.close();
 */
export class MockAfu {
  readonly #kernel: Kernel;
  readonly #what: string;
  readonly #find: () => CxlAfu | undefined;

  /** @internal */
  constructor(kernel: Kernel, what: string, find: () => CxlAfu | undefined) {
    this.#kernel = kernel;
    this.#what = what;
    this.#find = find;
  }

  get #afu(): CxlAfu {
    const afu = this.#find();
    if (afu === undefined) throw stateError(`the card has no ${this.#what} now`);
    return afu;
  }

  /** As in sysfs: 'afu0.0'. */
  get name(): string {
    return this.#afu.name;
  }

  /** The programming model that is active now. */
  get mode(): MockAfuMode {
    return this.#afu.mode;
  }

  /** All contexts, whatever their status. */
  get contexts(): MockContext[] {
    return [...this.#afu.contexts.values()].map((context) => new MockContext(context));
  }

  /** The context with that process element (the driver's index). */
  context(index = 0): MockContext {
    checkInteger('index', index, 0, 0xffff);
    const context = this.#afu.contexts.get(index);
    if (context === undefined) throw stateError(`${this.name} has no context ${index}`);
    return new MockContext(context);
  }

  /** MockContext.raiseInterrupt() of the context with that process element. */
  raiseInterrupt(index: number, ...irqs: number[]): void {
    this.context(index).raiseInterrupt(...irqs);
  }

  /** MockContext.dataStorageFault() of the context with that process element. */
  dataStorageFault(index: number, address: bigint, dsisr?: bigint): void {
    this.context(index).dataStorageFault(address, dsisr);
  }

  /** MockContext.afuError() of the context with that process element. */
  afuError(index: number, error: bigint): void {
    this.context(index).afuError(error);
  }

  /** Raises a slice error. The driver logs it; no process gets an event. */
  sliceError(error: bigint): void {
    this.#afu.sliceError(checkUint64('error', error));
  }

  /** Detaches every context, as recovery does, while the link stays up. */
  detachAll(): void {
    this.#afu.detachAll();
  }

  /**
   * Disables the AFU, as it is for a moment while an in-kernel driver resets it by cxl_afu_reset():
   * until enable() its processes stand still, and a mapping of a problem state area is EBUSY.
   *
   * @throws ERR_INVALID_STATE in a guest, whose driver does not know of it
   */
  disable(): void {
    this.#setEnabled(false);
  }

  /** Undoes disable(). */
  enable(): void {
    this.#setEnabled(true);
  }

  #setEnabled(enabled: boolean): void {
    if (this.#kernel.guest) throw stateError('in a guest an AFU is always enabled');
    this.#afu.enabled = enabled;
    this.#kernel.scheduler.wake();
  }

  /**
   * Indexes of the process elements that the AFU did not give up as their contexts were detached
   * (fault 'detach'). They run until the AFU is reset, or a context gets the same index.
   */
  get keptElements(): number[] {
    return this.#afu.keptElements;
  }

  /** Makes the next START_WORK take so many milliseconds. */
  delayNextAttach(milliseconds: number): void {
    this.#afu.port.delayNextAttach(checkMilliseconds('milliseconds', milliseconds, 0));
  }

  /**
   * Makes a context as an in-kernel AFU driver such as cxlflash does.
   *
   * @throws ENOSPC every process element is taken; ENODEV no mode is active
   */
  createKernelContext(): KernelContext {
    return unwrap(KernelContext.create(this.#afu), 'cxl_dev_context_init', this.name);
  }

  /** Waits for the next context opened on this AFU. Rejects with ETIMEDOUT or AbortError. */
  expectOpen(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('open', options);
  }

  /**
   * Waits for the next context attached, as expectOpen() does.
   *
   * @param options `wed`, `interrupts`: only one that is attached with these
   */
  expectAttach(options: AttachExpectation = {}): Promise<MockContext> {
    const { wed, interrupts, ...wait } = checkOptions(options, ATTACH_EXPECTATION);
    if (wed !== undefined) checkUint64('options.wed', wed);
    if (interrupts !== undefined) checkInteger('options.interrupts', interrupts, 0, 0xffff);
    return this.#expect('attach', wait, (context) => {
      if (interrupts !== undefined && context.interrupts !== interrupts) return false;
      return wed === undefined || context.process?.wed === wed;
    });
  }

  /**
   * Waits until the program waits for events of a context: now, if one does. A test that has fake
   * timers, or that raises an interrupt for a program to find, goes on from there.
   *
   * @example
   * import { createMockCxl } from 'node-cxl/mock';
   *
   * const system = createMockCxl();
   * const context = await system.open('/dev/cxl/afu0.0s');
   * await context.attach({ wed: 0n });
   * const done = context.waitForInterrupt(1, { timeout: 60_000 });
   * const device = await system.card(0).afu(0).expectWait();
   * device.raiseInterrupt(1); // or let fake timers reach the timeout
   * await done;
   * await context.close();
   */
  async expectWait(options: WaitOptions = {}): Promise<MockContext> {
    checkWaitOptions(options, WAIT_OPTIONS);
    const waiting = this.contexts.find((context) => context.waiting);
    return waiting ?? this.#expect('wait', options);
  }

  /**
   * Waits for the next access of the program to registers of a context.
   *
   * @param options `access`, `offset` (bytes from the start of the area that the context maps),
   *   `value`: only an access of that kind, there, of that value
   * @example
   * import { createMockCxl } from 'node-cxl/mock';
   *
   * const system = createMockCxl();
   * const context = await system.open('/dev/cxl/afu1.0s');
   * await context.attach({ wed: 0n });
   * const stored = system.card(1).afu(0).expectAccess({ access: 'store', offset: 0x00 });
   * context.mapProblemState().write64(0x00, 5n);
   * console.log((await stored).value); // 5n
   * await context.close();
   */
  async expectAccess(options: AccessExpectation = {}): Promise<ExpectedAccess> {
    const { access, offset, value, ...wait } = checkOptions(options, ACCESS_EXPECTATION);
    if (access !== undefined) checkOneOf('options.access', access, ['load', 'store']);
    if (offset !== undefined) checkInteger('options.offset', offset, 0, Number.MAX_SAFE_INTEGER);
    if (value !== undefined) checkUint64('options.value', value);
    const { of, ...made } = await expectAccess(
      this.#kernel,
      (one, context) =>
        context.afu === this.#find() &&
        (access === undefined || one.access === access) &&
        (offset === undefined || one.offset === offset) &&
        (value === undefined || one.value === value),
      wait,
    );
    return { ...made, context: new MockContext(of) };
  }

  /** Waits for the next context detached, by close or by force. */
  expectDetach(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('detach', options);
  }

  /** Waits for the next context freed: its file is closed and no mapping is left. */
  expectClose(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('close', options);
  }

  async #expect(
    change: ContextChange,
    options: WaitOptions,
    accepts: (context: CxlContext) => boolean = () => true,
  ): Promise<MockContext> {
    const matches = (context: CxlContext) => context.afu === this.#find() && accepts(context);
    return new MockContext(await expectChange(this.#kernel, change, matches, options));
  }
}
