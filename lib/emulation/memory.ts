/** Memory that a program allocates, at addresses of the address space. */
import { markAsUntransferable } from 'node:worker_threads';
import type { AllocationRequest, MemoryRegion, NegativeErrno } from '../binding';
import { type Operands, operandsOf } from '../binding/operands';
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';
import { ERRNOS } from '../shared/errno';
import type { AddressSpace, Backing } from './address-space';
import { originOf, type Traced } from './origin';

/** What all memory of a process needs of its backend. */
export interface MemoryHost {
  readonly addressSpace: AddressSpace;
  /** Binding.operands. */
  readonly operands: SharedArrayBuffer;
  /** At every access: the AFU does what it does meanwhile. */
  poke(): void;
}

/** What is known of an allocation without keeping it from being collected. */
interface Allocation extends Traced {
  readonly size: number;
}

/** Counts what is allocated. */
export class AllocatedMemory {
  bytes = 0;
  /** What is neither freed nor collected. */
  readonly live = new Set<Allocation>();
  readonly #host: MemoryHost;
  readonly #collected = new FinalizationRegistry<Allocation>((allocation) => {
    this.#end(allocation);
  });

  constructor(host: MemoryHost) {
    this.#host = host;
  }

  allocate(size: number, alignment: number): MemoryRegion {
    const backing = { bytes: new ArrayBuffer(size) };
    const address = this.#host.addressSpace.map(backing, alignment);
    const what = `memory: ${size} bytes at 0x${address.toString(16)}`;
    const allocation = { what, size, origin: originOf(this.allocate) };
    this.live.add(allocation);
    this.#collected.register(backing, allocation, backing);
    this.bytes += size;
    return new AllocatedRegion(this.#host, backing, address, () => {
      this.#host.addressSpace.unmap(backing, address);
      this.#collected.unregister(backing);
      this.#end(allocation);
    });
  }

  #end(allocation: Allocation): void {
    if (this.live.delete(allocation)) this.bytes -= allocation.size;
  }
}

/** The modeled system has one NUMA node. It has no huge pages. */
const NUMA_NODES = 1;

/** Binding.allocate(). */
export function allocateIn(
  memory: AllocatedMemory,
  { size, alignment, hugePages, numaNode }: AllocationRequest,
): MemoryRegion | NegativeErrno {
  if (numaNode >= NUMA_NODES) return -ERRNOS.EINVAL;
  if (hugePages === 'explicit') return -ERRNOS.ENOMEM;
  try {
    return memory.allocate(size, alignment);
  } catch (error) {
    // V8 cannot make a buffer of that size.
    if (error instanceof RangeError) return -ERRNOS.ENOMEM;
    throw error;
  }
}

class AllocatedRegion implements MemoryRegion {
  readonly address: bigint;
  readonly size: number;
  readonly buffer: ArrayBuffer;
  readonly #host: MemoryHost;
  readonly #operands: Operands;
  readonly #backing: Backing;
  readonly #unmap: () => void;
  #view: DataView;
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
    backing: Backing & { bytes: ArrayBuffer },
    address: number,
    unmap: () => void,
  ) {
    const buffer = backing.bytes;
    this.#host = host;
    this.#backing = backing;
    this.#unmap = unmap;
    this.buffer = buffer;
    this.address = BigInt(address);
    this.size = buffer.byteLength;
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

  detach(): void {
    // Node 18 and 20 have no such method.
    const { transfer } = ArrayBuffer.prototype as { transfer?: () => ArrayBuffer };
    if (transfer === undefined) return;
    const bytes = transfer.call(this.buffer);
    this.#backing.bytes = bytes;
    this.#view = new DataView(bytes);
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    this.#unmap();
    this.#backing.bytes = undefined;
    this.#view = new DataView(new ArrayBuffer(0));
  }
}
