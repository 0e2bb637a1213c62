/** A device file of a backend in JavaScript: the order of its ioctls, and its close. */
import type { DeviceFile, IoctlMap } from '../binding/files';
import { ERRNOS } from '../shared/errno';
import { later } from './later';

/** Carries out one ioctl: its answer's fields, or -errno. */
export type Perform<Calls extends IoctlMap<Calls>> = <Name extends keyof Calls>(
  name: Name,
  input: Calls[Name]['input'],
) => Promise<Calls[Name]['answer'] | number> | Calls[Name]['answer'] | number;

export class QueuedDeviceFile<Calls extends IoctlMap<Calls>> implements DeviceFile<Calls> {
  readonly #perform: Perform<Calls>;
  readonly #close: () => Promise<number> | number;
  readonly #order: 'in-order' | 'concurrent';
  readonly #fd: number;
  readonly #underWay = new Set<Promise<unknown>>();
  #last: Promise<unknown> = Promise.resolve();
  #closing: Promise<number> | undefined;

  /** `order`: as the addon's control thread, or as its pool of threads. */
  constructor(
    fd: number,
    perform: Perform<Calls>,
    order: 'in-order' | 'concurrent',
    close: () => Promise<number> | number,
  ) {
    this.#fd = fd;
    this.#perform = perform;
    this.#order = order;
    this.#close = close;
  }

  get fd(): number {
    return this.#closing === undefined ? this.#fd : -1;
  }

  async ioctl<Name extends keyof Calls>(
    name: Name,
    input: Calls[Name]['input'],
  ): Promise<Calls[Name]['answer'] | number> {
    if (this.#closing !== undefined) return -ERRNOS.EBADF;
    const before = this.#order === 'in-order' ? this.#last : Promise.resolve();
    const done = before.then(() => later()).then(() => this.#perform(name, input));
    this.#last = done.catch(() => undefined);
    this.#underWay.add(done);
    try {
      return await done;
    } finally {
      this.#underWay.delete(done);
    }
  }

  close(): Promise<number> {
    this.#closing ??= Promise.allSettled([...this.#underWay])
      .then(() => later())
      .then(this.#close);
    return this.#closing;
  }
}
