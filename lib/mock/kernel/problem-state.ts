/** A mapping of a problem state area: a program's loads and stores go to the AFU. */
import { types } from 'node:util';
import type { BlockArray, ProblemStateMapping } from '../../binding';
import { type Operands, operandsOf } from '../../binding/operands';
import { originOf, type Traced } from '../../emulation/origin';
import type { MmioWidth } from '../models/afu-model';
import { ALL_ONES } from './afu';
import type { CxlContext, MappingOps } from './context';
import type { FaultPlace } from './fault-spec';
import type { OpenFile } from './open-file';

function swapped(value: bigint, width: MmioWidth): bigint {
  const view = new DataView(new ArrayBuffer(8));
  if (width === 4) {
    view.setUint32(0, Number(value));
    return BigInt(view.getUint32(0, true));
  }
  view.setBigUint64(0, value);
  return view.getBigUint64(0, true);
}

export class MockMapping implements ProblemStateMapping, Traced {
  readonly length: number;
  readonly origin = originOf(MockMapping);
  readonly #context: CxlContext;
  readonly #file: OpenFile;
  readonly #start: number;
  readonly #endian: 'big' | 'little';
  readonly #swap: boolean;
  readonly #operands: Operands;
  #mapped = true;
  /** The pages that are present, by number, where another driver handles the faults. */
  readonly #pages = new Map<number, 'device' | Uint8Array>();
  #unmappings = 0;

  constructor(
    context: CxlContext,
    file: OpenFile,
    start: number,
    length: number,
    endian: 'big' | 'little',
  ) {
    this.#context = context;
    this.#file = file;
    this.#start = start;
    this.length = length;
    this.#endian = endian;
    this.#swap = endian !== (context.afu.descriptor.endian ?? 'big');
    this.#operands = operandsOf(context.afu.kernel.operands);
    file.get();
    context.afu.kernel.mappings.add(this);
  }

  get what(): string {
    return `a mapping: ${this.#context.afu.name}, process element ${this.#context.processElement}`;
  }

  readonly read32 = (): boolean => {
    const value = this.#load(this.#operands.offset[0]!, 4);
    if (value !== undefined) this.#operands.value32[0] = Number(value);
    return value !== undefined;
  };

  readonly read64 = (): boolean => {
    const value = this.#load(this.#operands.offset[0]!, 8);
    if (value !== undefined) this.#operands.value64[0] = value;
    return value !== undefined;
  };

  readonly write32 = (): boolean =>
    this.#store(this.#operands.offset[0]!, 4, BigInt(this.#operands.value32[0]!));

  readonly write64 = (): boolean =>
    this.#store(this.#operands.offset[0]!, 8, this.#operands.value64[0]!);

  readBlock(offset: number, target: BlockArray): number {
    for (let index = 0; index < target.length; index++) {
      const width = target.BYTES_PER_ELEMENT as MmioWidth;
      const value = this.#load(offset + index * width, width);
      if (value === undefined) return index;
      // Signed arrays convert the value on assignment.
      target[index] =
        types.isBigUint64Array(target) || types.isBigInt64Array(target) ? value : Number(value);
    }
    return target.length;
  }

  writeBlock(offset: number, source: BlockArray): number {
    for (let index = 0; index < source.length; index++) {
      const width = source.BYTES_PER_ELEMENT as MmioWidth;
      const value = BigInt.asUintN(width * 8, BigInt(source[index]!));
      if (!this.#store(offset + index * width, width, value)) return index;
    }
    return source.length;
  }

  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    this.#context.afu.kernel.mappings.delete(this);
    this.#file.put();
  }

  #load(offset: number, width: MmioWidth): bigint | undefined {
    const place = this.#touch(offset, 'load');
    if (place === undefined) return undefined;
    if (place !== 'device') return this.#pageLoad(place, offset, width);
    if (this.#linkInError(offset, 'load')) return ALL_ONES[width];
    const value = this.#context.afu.mmioRead(this.#context, this.#start + offset, width);
    this.#run();
    const loaded = this.#swap ? swapped(value, width) : value;
    this.#tell('load', offset, width, loaded);
    return loaded;
  }

  #store(offset: number, width: MmioWidth, value: bigint): boolean {
    const place = this.#touch(offset, 'store');
    if (place === undefined) return false;
    if (place !== 'device') {
      this.#pageStore(place, offset, width, value);
      return true;
    }
    if (this.#linkInError(offset, 'store')) return true;
    const wire = this.#swap ? swapped(value, width) : value;
    this.#context.afu.mmioWrite(this.#context, this.#start + offset, width, wire);
    this.#run();
    this.#tell('store', offset, width, value);
    return true;
  }

  #tell(access: 'load' | 'store', offset: number, width: MmioWidth, value: bigint): void {
    const { kernel } = this.#context.afu;
    if (kernel.accessWatchers.size === 0) return;
    kernel.accessed(this.#context, { access, offset: this.#start + offset, width, value });
  }

  #touch(offset: number, access: 'load' | 'store'): 'device' | Uint8Array | undefined {
    if (!this.#mapped) return undefined;
    const { adapter, kernel } = this.#context.afu;
    const { faults } = kernel;
    if (faults.any) {
      const at = this.#place(offset, access);
      if (faults.happens('link-down', at)) adapter.linkDown();
      if (faults.happens('detach-all', at)) this.#context.afu.detachAll();
      if (faults.happens('unplug', at)) adapter.unplug();
      if (faults.happens('mmio', at)) return undefined;
    }
    const ops = this.#context.mappingOps;
    const place = ops === undefined ? this.#context.touch() : this.#page(offset, ops);
    return place === 'sigbus' ? undefined : place;
  }

  /** A page stays what the fault that made it present has put there, until it is taken away. */
  #page(offset: number, ops: MappingOps): 'device' | Uint8Array | 'sigbus' {
    const context = this.#context;
    if (this.#unmappings !== context.unmappings) {
      this.#unmappings = context.unmappings;
      this.#pages.clear();
    }
    const number = Math.floor(offset / context.afu.kernel.pageSize);
    const present = this.#pages.get(number);
    if (present !== undefined) return present;
    const answer = ops.fault() ?? context.touch();
    const place = answer === 'ones' ? context.errorPage() : answer;
    if (place !== 'sigbus') this.#pages.set(number, place);
    return place;
  }

  /** While the link is in error (EEH), loads read as all ones and stores are lost, without a fault. */
  #linkInError(offset: number, access: 'load' | 'store'): boolean {
    const { adapter, kernel } = this.#context.afu;
    if (!adapter.linkOk) return true;
    return kernel.faults.any && kernel.faults.happens('all-ones', this.#place(offset, access));
  }

  #place(offset: number, access: 'load' | 'store'): FaultPlace {
    return { ...this.#context.place, offset: this.#start + offset, access };
  }

  #run(): void {
    const { process } = this.#context;
    if (process !== undefined) this.#context.afu.kernel.scheduler.run(process);
  }

  // After a detach with ERR_FF every page of the mapping is this ordinary page of memory.
  #pageLoad(page: Uint8Array, offset: number, width: MmioWidth): bigint {
    const view = new DataView(page.buffer);
    const at = offset % page.length;
    const little = this.#endian === 'little';
    return width === 8 ? view.getBigUint64(at, little) : BigInt(view.getUint32(at, little));
  }

  #pageStore(page: Uint8Array, offset: number, width: MmioWidth, value: bigint): void {
    const view = new DataView(page.buffer);
    const at = offset % page.length;
    const little = this.#endian === 'little';
    if (width === 8) view.setBigUint64(at, value, little);
    else view.setUint32(at, Number(value), little);
  }
}
