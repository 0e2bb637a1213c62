/** Memory that a program allocates, at addresses of the modeled address space. */
import { markAsUntransferable } from 'node:worker_threads';
import type { MemoryRegion } from '../../binding';
import { type Operands, operandsOf } from '../../binding/operands';
import { HOST_IS_LITTLE_ENDIAN } from '../../shared/endian';
import { ERRNOS } from '../../shared/errno';
import type { AddressSpace } from './address-space';

/** What all memory of a process needs of the modeled kernel. */
export interface MemoryHost {
  readonly addressSpace: AddressSpace;
  /** Binding.operands. */
  readonly operands: SharedArrayBuffer;
  /** Gives the AFU models a step, at every access. */
  poke(): void;
  /** Whether a context of this process is attached. */
  attached(): boolean;
}

/**
 * Counts what is allocated, and keeps it alive while a context is attached, because an AFU may
 * access memory that JavaScript has no reference to.
 */
export class MemoryPool {
  bytes = 0;
  readonly #host: MemoryHost;
  readonly #live = new Set<WeakRef<ArrayBuffer>>();
  readonly #pinned = new Set<ArrayBuffer>();
  readonly #collected = new FinalizationRegistry<{ ref: WeakRef<ArrayBuffer>; size: number }>(
    ({ ref, size }) => this.#drop(ref, size),
  );
  readonly #records = new WeakMap<ArrayBuffer, WeakRef<ArrayBuffer>>();

  constructor(host: MemoryHost) {
    this.#host = host;
  }

  allocate(size: number, alignment: number): MemoryRegion {
    const buffer = new ArrayBuffer(size);
    const address = this.#host.addressSpace.addressOf(buffer, alignment);
    const ref = new WeakRef(buffer);
    this.#live.add(ref);
    this.#records.set(buffer, ref);
    this.#collected.register(buffer, { ref, size }, buffer);
    this.bytes += size;
    if (this.#host.attached()) this.#pinned.add(buffer);
    return new MockMemory(this.#host, this, buffer, BigInt(address), size);
  }

  /** Keeps all memory alive: the first context of the process was attached. */
  pin(): void {
    for (const ref of this.#live) {
      const buffer = ref.deref();
      if (buffer !== undefined) this.#pinned.add(buffer);
    }
  }

  /** Undoes pin(): the last context was detached. */
  unpin(): void {
    this.#pinned.clear();
  }

  release(buffer: ArrayBuffer, size: number): void {
    this.#host.addressSpace.remove(buffer);
    this.#pinned.delete(buffer);
    this.#collected.unregister(buffer);
    const ref = this.#records.get(buffer);
    if (ref !== undefined) this.#drop(ref, size);
    // The buffer is detached, as that of the addon is, if this version of Node can detach a buffer
    // that is marked as untransferable (22 can).
    try {
      (ArrayBuffer.prototype as { transfer?: () => ArrayBuffer }).transfer?.call(buffer);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
  }

  #drop(ref: WeakRef<ArrayBuffer>, size: number): void {
    if (!this.#live.delete(ref)) return;
    this.bytes -= size;
  }
}

class MockMemory implements MemoryRegion {
  readonly address: bigint;
  readonly size: number;
  readonly buffer: ArrayBuffer;
  readonly #host: MemoryHost;
  readonly #pool: MemoryPool;
  readonly #operands: Operands;
  readonly #view: DataView;
  #freed = false;
  readonly load8 = () => this.#load(1);
  readonly load16 = () => this.#load(2);
  readonly load32 = () => this.#load(4);
  readonly load64 = () => this.#load(8);
  readonly store8 = () => this.#store(1);
  readonly store16 = () => this.#store(2);
  readonly store32 = () => this.#store(4);
  readonly store64 = () => this.#store(8);

  constructor(
    host: MemoryHost,
    pool: MemoryPool,
    buffer: ArrayBuffer,
    address: bigint,
    size: number,
  ) {
    this.#host = host;
    this.#pool = pool;
    this.buffer = buffer;
    this.address = address;
    this.size = size;
    this.#operands = operandsOf(host.operands);
    this.#view = new DataView(buffer);
    // A transfer would take the bytes away while an AFU accesses them. The buffers of the addon
    // need no mark, since Node never transfers external buffers.
    markAsUntransferable(buffer);
  }

  #load(width: 1 | 2 | 4 | 8): void {
    this.#host.poke();
    const { value32, value64 } = this.#operands;
    const offset = this.#operands.offset[0]!;
    const little = this.#littleEndian;
    if (width === 1) value32[0] = this.#view.getUint8(offset);
    else if (width === 2) value32[0] = this.#view.getUint16(offset, little);
    else if (width === 4) value32[0] = this.#view.getUint32(offset, little);
    else value64[0] = this.#view.getBigUint64(offset, little);
  }

  #store(width: 1 | 2 | 4 | 8): void {
    const { value32, value64 } = this.#operands;
    const offset = this.#operands.offset[0]!;
    const little = this.#littleEndian;
    if (width === 1) this.#view.setUint8(offset, value32[0]!);
    else if (width === 2) this.#view.setUint16(offset, value32[0]!, little);
    else if (width === 4) this.#view.setUint32(offset, value32[0]!, little);
    else this.#view.setBigUint64(offset, value64[0]!, little);
    this.#host.poke();
  }

  get #littleEndian(): boolean {
    const swap = this.#operands.swap[0] !== 0;
    return swap !== HOST_IS_LITTLE_ENDIAN;
  }

  free(force: boolean): number {
    if (this.#freed) return 0;
    if (!force && this.#host.attached()) return -ERRNOS.EBUSY;
    this.#freed = true;
    this.#pool.release(this.buffer, this.size);
    return 0;
  }
}
