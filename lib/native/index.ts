/** The seam over real devices: the addon, dressed as a Binding. */
import { constants } from 'node:buffer';
import { types } from 'node:util';
import type {
  AfuFile,
  AllocationRequest,
  Binding,
  CardFile,
  EventSink,
  MemoryRegion,
  NegativeErrno,
  ProblemStateMapping,
  RawAfuId,
  StartWork,
} from '../binding';
import { errnos, typeError, valueError } from '../shared/errors';
import {
  type Addon,
  type AddonAfuFile,
  type AddonCardFile,
  type AddonMemory,
  loadAddon,
} from './addon';
import { nativeFlash } from './flash';
import { nativeSysFs } from './sysfs';

let binding: Binding | undefined;

/**
 * The one binding to this system's devices; loads the addon when first asked.
 *
 * @throws Error with code ERR_CXL_NO_NATIVE where there is none.
 */
export function nativeBinding(): Binding {
  binding ??= bind(loadAddon());
  return binding;
}

function bind(addon: Addon): Binding {
  return {
    kind: 'native',
    flash: nativeFlash(addon),
    pageSize: addon.pageSize,
    sysfs: nativeSysFs(addon),
    async openAfu(path) {
      if (path.includes('\0')) return -errnos.ENOENT;
      const file = await new Promise<AddonAfuFile | number>((settle) =>
        addon.openAfu(path, settle),
      );
      return typeof file === 'number' ? file : new NativeAfuFile(file);
    },
    adoptAfu(fd, owned) {
      const file = addon.adoptAfu(fd, owned);
      return typeof file === 'number' ? file : new NativeAfuFile(file);
    },
    async openCard(path) {
      if (path.includes('\0')) return -errnos.ENOENT;
      const card = await new Promise<AddonCardFile | number>((settle) =>
        addon.openCard(path, settle),
      );
      return typeof card === 'number' ? card : new NativeCardFile(card);
    },
    allocate: (request) => allocate(addon, request),
    addressOf: (view) => addressOf(addon, view),
    memoryBarrier: addon.memoryBarrier,
  };
}

const startFlags = { amr: 1n, interrupts: 2n, errFf: 4n, tid: 8n } as const;

function flagsOf(work: StartWork, tid: boolean): bigint {
  return (
    (work.amr === undefined ? 0n : startFlags.amr) |
    (work.interrupts === undefined ? 0n : startFlags.interrupts) |
    (work.errFf === true ? startFlags.errFf : 0n) |
    (tid ? startFlags.tid : 0n)
  );
}

class NativeAfuFile implements AfuFile {
  readonly #file: AddonAfuFile;

  constructor(file: AddonAfuFile) {
    this.#file = file;
  }

  get fd(): number {
    return this.#file.fd;
  }

  startWork(work: StartWork): Promise<number> {
    // The control thread is no thread to wake: `tid` has no meaning there.
    const flags = flagsOf(work, false);
    return new Promise((settle) =>
      this.#file.startWork(flags, work.wed, work.amr ?? 0n, work.interrupts ?? 0, settle),
    );
  }

  startWorkSync(work: StartWork): number {
    const flags = flagsOf(work, work.tid === true);
    return this.#file.startWorkSync(flags, work.wed, work.amr ?? 0n, work.interrupts ?? 0);
  }

  processElement(): number {
    return this.#file.processElement();
  }

  afuId(): RawAfuId | NegativeErrno {
    return this.#file.afuId();
  }

  map(
    offset: number,
    length: number,
    endian: 'big' | 'little',
  ): ProblemStateMapping | NegativeErrno {
    return this.#file.map(offset, length, endian === 'big');
  }

  onEvents(sink: EventSink): void {
    this.#file.onEvents(sink);
  }

  arm(): void {
    this.#file.arm();
  }

  disarm(): void {
    this.#file.disarm();
  }

  close(): Promise<number> {
    return new Promise((settle) => this.#file.close(settle));
  }
}

class NativeCardFile implements CardFile {
  readonly #card: AddonCardFile;

  constructor(card: AddonCardFile) {
    this.#card = card;
  }

  get fd(): number {
    return this.#card.fd;
  }

  transfer(
    operation: 'download' | 'validate',
    needHeader: boolean,
    data: Uint8Array,
    imageLength: number,
  ): Promise<number> {
    return new Promise((settle) =>
      this.#card.transfer(operation === 'validate', needHeader, data, imageLength, settle),
    );
  }

  close(): Promise<number> {
    return new Promise((settle) => this.#card.close(settle));
  }
}

class NativeMemory implements MemoryRegion {
  readonly address: bigint;
  readonly size: number;
  readonly buffer: ArrayBuffer;
  readonly #memory: AddonMemory;

  constructor(memory: AddonMemory) {
    this.address = memory.address;
    this.size = memory.size;
    this.buffer = memory.buffer;
    this.#memory = memory;
    for (const method of ['transfer', 'transferToFixedLength']) {
      Object.defineProperty(this.buffer, method, { value: refuseTransfer });
    }
  }

  load(offset: number, width: 1 | 2 | 4, endian: 'big' | 'little'): number {
    return this.#memory.load(offset, width, endian === 'big');
  }

  load64(offset: number, endian: 'big' | 'little'): bigint {
    return this.#memory.load64(offset, endian === 'big');
  }

  store(offset: number, width: 1 | 2 | 4, value: number, endian: 'big' | 'little'): void {
    this.#memory.store(offset, width, value, endian === 'big');
  }

  store64(offset: number, value: bigint, endian: 'big' | 'little'): void {
    this.#memory.store64(offset, value, endian === 'big');
  }

  free(force: boolean): number {
    return this.#memory.free(force);
  }
}

/** A new owner would not know when the memory is freed. */
function refuseTransfer(): never {
  throw Object.assign(new TypeError('the buffer of a Memory cannot be transferred'), {
    code: 'ERR_INVALID_STATE',
  });
}

const hugePages = { none: 0, transparent: 1, explicit: 2 } as const;

function allocate(addon: Addon, request: AllocationRequest): MemoryRegion | NegativeErrno {
  // Node makes no larger buffer.
  if (request.size > constants.MAX_LENGTH) return -errnos.ENOMEM;
  const memory = addon.allocate(
    request.size,
    request.alignment,
    hugePages[request.hugePages],
    request.numaNode,
  );
  return typeof memory === 'number' ? memory : new NativeMemory(memory);
}

function addressOf(addon: Addon, view: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): bigint {
  const isView = ArrayBuffer.isView(view);
  const buffer = isView ? view.buffer : view;
  const isShared = types.isSharedArrayBuffer(buffer);
  if (!types.isAnyArrayBuffer(buffer)) {
    throw typeError('view', 'an ArrayBuffer, a SharedArrayBuffer or a view of one', view);
  }
  const { resizable, growable } = buffer as { resizable?: boolean; growable?: boolean };
  if (resizable === true || growable === true) {
    throw valueError('view', 'over a buffer of fixed length: one that can grow moves', view);
  }
  return addon.addressOf(isShared && !isView ? new Uint8Array(buffer) : (view as ArrayBufferView));
}
