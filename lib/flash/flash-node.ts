import { type InspectOptions, inspect } from 'node:util';
import type { DeviceFile, IoctlMap } from '../binding/files';
import { FLASH_IOCTL } from '../shared/channels';
import { checkString } from '../shared/checks';
import { debugCall, debugResult } from '../shared/debug';
import { type CxlError, stateError, systemError, typeError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';

/** An open node of the cxlflash driver. */
export abstract class FlashNode<Ioctls extends IoctlMap<Ioctls>> extends Uncloneable {
  /** Of the node. */
  readonly path: string;
  readonly #file: DeviceFile<Ioctls>;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(file: DeviceFile<Ioctls>, path: string) {
    super();
    this.#file = file;
    this.path = path;
  }

  /** Whether close() was called. */
  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /**
   * One ioctl with the driver's fields, for what the other methods do not cover. A descriptor in the
   * answer (ATTACH, RECOVER_AFU) is the caller's to adopt or to close.
   *
   * @throws CxlError with the driver's errno; ERR_INVALID_STATE after close()
   */
  async call<Name extends keyof Ioctls & string>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer']> {
    return this.request(name, input);
  }

  /** @internal As call(); a descriptor in the answer is not taken yet. */
  request<Name extends keyof Ioctls & string>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer']> {
    if (FLASH_IOCTL.active) {
      return FLASH_IOCTL.promise({ path: this.path, ioctl: name }, () => this.#ioctl(name, input));
    }
    return this.#ioctl(name, input);
  }

  async #ioctl<Name extends keyof Ioctls & string>(
    name: Name,
    input: Ioctls[Name]['input'],
  ): Promise<Ioctls[Name]['answer']> {
    if (this.closed) throw stateError(`${this.path} is closed`);
    const syscall = `ioctl(${checkString('name', name)})`;
    if (typeof input !== 'object' || input === null) throw typeError('input', 'an object', input);
    debugCall(syscall, this.path, input);
    const answer = await this.#file.ioctl(name, input);
    debugResult(syscall, this.path, answer);
    if (typeof answer === 'number') throw this.ioctlError(name, answer);
    return answer;
  }

  /** @internal The error for a negative errno that an ioctl returned. */
  protected ioctlError(name: keyof Ioctls & string, errno: number): CxlError {
    return systemError(errno, `ioctl(${name})`, this.path);
  }

  /** Closes the node, after its calls in progress. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#file.close().then((errno) => {
      debugResult('close', this.path, errno);
      if (errno < 0) throw systemError(errno, 'close', this.path);
    });
    return this.#closing;
  }

  /** @internal The state, for util.inspect() and console.log(). */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, { path: this.path, closed: this.closed });
  }

  /** As close(): for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
