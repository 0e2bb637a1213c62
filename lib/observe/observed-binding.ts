/** A backend whose calls an observer gets. */
import type {
  AfuFile,
  AllocationRequest,
  Binding,
  DeviceFile,
  MemoryRegion,
  NegativeErrno,
  SysFs,
} from '../binding';
import type { CardIoctls } from '../binding/cxl-ioctls';
import type { FlashBinding } from '../binding/flash';
import { operandsOf } from '../binding/operands';
import type { CallName } from './call';
import { ObservedAfuFile, ObservedFile } from './observed-files';
import { ObservedMemory } from './observed-memory';
import type { Observer, Subject } from './observer';

/** The same backend; `observer` gets each call of it. */
export class ObservedBinding implements Binding {
  readonly kind: Binding['kind'];
  readonly pageSize: number;
  readonly operands: SharedArrayBuffer;
  readonly sysfs: SysFs;
  readonly flash: FlashBinding | undefined;
  readonly #binding: Binding;
  readonly #observer: Observer;

  constructor(binding: Binding, observer: Observer) {
    this.#binding = binding;
    this.#observer = observer;
    this.kind = binding.kind;
    this.pageSize = binding.pageSize;
    this.operands = binding.operands;
    this.sysfs = new ObservedSysFs(binding.sysfs, observer);
    this.flash = binding.flash && observeFlash(binding.flash, observer);
  }

  async openAfu(path: string): Promise<AfuFile | NegativeErrno> {
    const open = () => this.#binding.openAfu(path);
    const file = await observed(this.#observer, 'open', { path }, {}, open, describeFile);
    return typeof file === 'number' ? file : this.#observeAfuFile(file, path);
  }

  adoptAfu(fd: number, owned: boolean): AfuFile | NegativeErrno {
    const call = this.#observer.begin('adopt', { fd }, { owned });
    const file = this.#binding.adoptAfu(fd, owned);
    this.#observer.end(call, typeof file === 'number' ? file : undefined);
    return typeof file === 'number' ? file : this.#observeAfuFile(file, `fd ${fd}`);
  }

  async openCard(path: string): Promise<DeviceFile<CardIoctls> | NegativeErrno> {
    const open = () => this.#binding.openCard(path);
    const file = await observed(this.#observer, 'open', { path }, {}, open, describeFile);
    return typeof file === 'number' ? file : new ObservedFile(file, path, this.#observer);
  }

  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno {
    const call = this.#observer.begin('allocate', {}, { ...request });
    const region = this.#binding.allocate(request);
    if (typeof region === 'number') {
      this.#observer.end(call, region);
      return region;
    }
    this.#observer.end(call, { address: region.address });
    return new ObservedMemory(region, operandsOf(this.operands), this.#observer);
  }

  addressOf(view: ArrayBufferView): bigint {
    return this.#binding.addressOf(view);
  }

  memoryBarrier(): void {
    this.#binding.memoryBarrier();
    if (this.#observer.wantsAccesses) {
      this.#observer.access('memoryBarrier', NOTHING, NO_INPUT, undefined);
    }
  }

  #observeAfuFile(file: AfuFile, path: string): AfuFile {
    return new ObservedAfuFile(file, path, operandsOf(this.operands), this.#observer);
  }
}

const NOTHING: Subject = {};
const NO_INPUT = {};

/** Makes a call, and tells the observer. `describe` makes of the result what the observer gets. */
async function observed<T>(
  observer: Observer,
  name: CallName,
  subject: Subject,
  input: Readonly<Record<string, unknown>>,
  make: () => Promise<T>,
  describe: (result: T) => unknown = (result) => result,
): Promise<T> {
  const call = observer.begin(name, subject, input);
  const result = await make();
  observer.end(call, describe(result));
  return result;
}

function describeFile(file: { readonly fd: number } | NegativeErrno): unknown {
  return typeof file === 'number' ? file : { fd: file.fd };
}

function describeBytes(result: Uint8Array | NegativeErrno): unknown {
  return typeof result === 'number' ? result : Buffer.from(result).toString('latin1');
}

function observeFlash(flash: FlashBinding, observer: Observer): FlashBinding {
  return {
    processId: flash.processId,
    parentProcessId: flash.parentProcessId,
    takeDescriptor: (fd) => flash.takeDescriptor(fd),
    closeDescriptor(fd) {
      return observed(observer, 'close', { fd }, {}, () => flash.closeDescriptor(fd));
    },
    async openLun(path) {
      const open = () => flash.openLun(path);
      const file = await observed(observer, 'open', { path }, {}, open, describeFile);
      return typeof file === 'number' ? file : new ObservedFile(file, path, observer);
    },
    async openHost(path) {
      const open = () => flash.openHost(path);
      const file = await observed(observer, 'open', { path }, {}, open, describeFile);
      return typeof file === 'number' ? file : new ObservedFile(file, path, observer);
    },
  };
}

class ObservedSysFs implements SysFs {
  readonly #sysfs: SysFs;
  readonly #observer: Observer;

  constructor(sysfs: SysFs, observer: Observer) {
    this.#sysfs = sysfs;
    this.#observer = observer;
  }

  readdir(path: string): Promise<string[] | NegativeErrno> {
    const read = () => this.#sysfs.readdir(path);
    return observed(this.#observer, 'sysfs.readdir', { path }, {}, read);
  }

  read(path: string, offset?: number, length?: number): Promise<Uint8Array | NegativeErrno> {
    const input = offset === undefined ? {} : { offset, length };
    const read = () => this.#sysfs.read(path, offset, length);
    return observed(this.#observer, 'sysfs.read', { path }, input, read, describeBytes);
  }

  readSync(path: string): Uint8Array | NegativeErrno {
    const call = this.#observer.begin('sysfs.read', { path }, {});
    const result = this.#sysfs.readSync(path);
    this.#observer.end(call, describeBytes(result));
    return result;
  }

  write(path: string, data: string): Promise<number> {
    const write = () => this.#sysfs.write(path, data);
    return observed(this.#observer, 'sysfs.write', { path }, { data }, write);
  }

  realpath(path: string): Promise<string | NegativeErrno> {
    const resolve = () => this.#sysfs.realpath(path);
    return observed(this.#observer, 'sysfs.realpath', { path }, {}, resolve);
  }
}
