/** The device side of an AFU, and the in-kernel driver's. */
import { types } from 'node:util';
import type { WaitOptions } from '../../shared/abort';
import { checkInteger, checkUint64 } from '../../shared/checks';
import { stateError, typeError, unwrap } from '../../shared/errors';
import type { Afu, AfuMode } from '../kernel/afu';
import type { Context, ContextStatus } from '../kernel/context';
import type { Kernel } from '../kernel/kernel';
import { KernelContext } from '../kernel/kernel-context';
import { expectHappening } from './expectations';
import type { ContextRole } from './model';

/** A context as the device sees it. */
export class MockContext {
  readonly #context: Context;

  /** @internal */
  constructor(context: Context) {
    this.#context = context;
  }

  /** The driver's index, from 0: what its events carry. */
  get index(): number {
    return this.#context.processElement;
  }

  get status(): ContextStatus {
    return this.#context.status;
  }

  get role(): ContextRole {
    return this.#context.role;
  }

  /** Work element descriptor; undefined unless STARTED. */
  get wed(): bigint | undefined {
    return this.#context.process?.wed;
  }

  /** Authority mask register; undefined unless STARTED. */
  get amr(): bigint | undefined {
    return this.#context.process?.amr;
  }

  /** AFU interrupts it has. */
  get interrupts(): number {
    return this.#context.interrupts;
  }

  /** Raises AFU interrupts, each from 1 to `interrupts`. */
  raiseInterrupt(...irqs: number[]): void {
    const process = this.#started();
    for (const irq of irqs) checkInteger('irq', irq, 1, process.interrupts);
    for (const irq of irqs) process.raiseInterrupt(irq);
  }

  /** A data storage fault at an address, whether or not anything is mapped there. */
  dataStorageFault(address: bigint, dsisr = 0x4000_0000_4000_0000n): void {
    this.#started();
    this.#context.dataStorageFault(checkUint64('address', address), checkUint64('dsisr', dsisr));
  }

  /** An AFU error. Dropped, and logged, while one is unread. */
  afuError(error: bigint): void {
    this.#started();
    this.#context.afuError(checkUint64('error', error));
  }

  /**
   * Makes one read answer these bytes, 1 to 4096, ahead of all else: an event of a kind that
   * is not known yet, or one that is not well-formed.
   */
  injectEvent(bytes: Uint8Array): void {
    this.#started();
    if (!types.isUint8Array(bytes)) throw typeError('bytes', 'a Buffer or Uint8Array', bytes);
    checkInteger('bytes.length', bytes.length, 1, 4096);
    this.#context.rawEvent(bytes);
  }

  /** Detaches this context alone, by force. */
  detach(): void {
    this.#context.detach();
  }

  #started() {
    const { process } = this.#context;
    if (process === undefined) {
      throw stateError(`context ${this.index} is ${this.status}: the device knows nothing of it`);
    }
    return process;
  }
}

export class MockAfu {
  readonly #kernel: Kernel;
  readonly #what: string;
  readonly #find: () => Afu | undefined;

  /** @internal */
  constructor(kernel: Kernel, what: string, find: () => Afu | undefined) {
    this.#kernel = kernel;
    this.#what = what;
    this.#find = find;
  }

  get #afu(): Afu {
    const afu = this.#find();
    if (afu === undefined) throw stateError(`the card has no ${this.#what} now`);
    return afu;
  }

  /** As sysfs has it: 'afu0.0'. */
  get name(): string {
    return this.#afu.name;
  }

  get mode(): AfuMode {
    return this.#afu.mode;
  }

  /** By process element, whatever their status. */
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

  /** A slice error: the driver logs it, and tells no process. */
  sliceError(error: bigint): void {
    this.#afu.sliceError(checkUint64('error', error));
  }

  /** Detaches every context, as recovery does, the link staying up. */
  detachAll(): void {
    this.#afu.detachAll();
  }

  /** The next START_WORK takes so many milliseconds. */
  delayNextAttach(milliseconds: number): void {
    this.#afu.port.delayNextAttach(milliseconds);
  }

  /**
   * A context made as an in-kernel AFU driver makes one (cxlflash does).
   *
   * @throws ENOSPC every process element is taken; ENODEV no mode is active
   */
  createKernelContext(): KernelContext {
    return unwrap(KernelContext.create(this.#afu), 'cxl_dev_context_init', this.name);
  }

  /** The next context opened on this AFU. Rejects with ETIMEDOUT, or AbortError. */
  expectOpen(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('open', options);
  }

  /** The next context attached. */
  expectAttach(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('attach', options);
  }

  /** The next context detached: by its close, or by force. */
  expectDetach(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('detach', options);
  }

  /** The next context whose last reference goes: its process element is free again. */
  expectClose(options: WaitOptions = {}): Promise<MockContext> {
    return this.#expect('close', options);
  }

  async #expect(
    happening: 'open' | 'attach' | 'detach' | 'close',
    options: WaitOptions,
  ): Promise<MockContext> {
    const matches = (context: Context) => context.afu === this.#find();
    return new MockContext(await expectHappening(this.#kernel, happening, matches, options));
  }
}
