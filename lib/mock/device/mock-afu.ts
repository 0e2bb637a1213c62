/** The device side of an AFU, and the contexts that an in-kernel driver makes on it. */
import type { WaitOptions } from '../../shared/abort';
import { checkUint64 } from '../../shared/checks';
import { stateError, unwrap } from '../../shared/errors';
import type { AfuMode, CxlAfu } from '../kernel/afu';
import type { CxlContext } from '../kernel/context';
import type { ContextChange, Kernel } from '../kernel/kernel';
import { KernelContext } from '../kernel/kernel-context';
import { expectChange } from './expectations';
import { MockContext } from './mock-context';

/** What a test does to an AFU. */
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

  get mode(): AfuMode {
    return this.#afu.mode;
  }

  /** All contexts, whatever their status. */
  get contexts(): MockContext[] {
    return [...this.#afu.contexts.values()].map((context) => new MockContext(context));
  }

  /** The context with that process element (the driver's index). */
  context(index = 0): MockContext {
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
    this.#afu.port.delayNextAttach(milliseconds);
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

  /** Waits for the next context attached, as expectOpen() does. */
  expectAttach(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('attach', options);
  }

  /** Waits for the next context detached, by close or by force. */
  expectDetach(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('detach', options);
  }

  /** Waits for the next context freed: its file is closed and no mapping is left. */
  expectClose(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('close', options);
  }

  async #expect(change: ContextChange, options: WaitOptions): Promise<MockContext> {
    const matches = (context: CxlContext) => context.afu === this.#find();
    return new MockContext(await expectChange(this.#kernel, change, matches, options));
  }
}
