/** Memory whose accesses an observer gets. */
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import type { AccessName } from './call';
import type { Observer } from './observer';

export class ObservedMemory implements MemoryRegion {
  readonly address: bigint;
  readonly size: number;
  readonly load8: () => void;
  readonly load16: () => void;
  readonly load32: () => void;
  readonly load64: () => void;
  readonly store8: () => void;
  readonly store16: () => void;
  readonly store32: () => void;
  readonly store64: () => void;
  readonly #region: MemoryRegion;
  readonly #operands: Operands;
  readonly #observer: Observer;
  #freed = false;

  constructor(region: MemoryRegion, operands: Operands, observer: Observer) {
    this.#region = region;
    this.#operands = operands;
    this.#observer = observer;
    this.address = region.address;
    this.size = region.size;
    this.load8 = this.#observed('load8');
    this.load16 = this.#observed('load16');
    this.load32 = this.#observed('load32');
    this.load64 = this.#observed('load64');
    this.store8 = this.#observed('store8');
    this.store16 = this.#observed('store16');
    this.store32 = this.#observed('store32');
    this.store64 = this.#observed('store64');
  }

  get buffer(): ArrayBuffer {
    return this.#region.buffer;
  }

  detach(): void {
    this.#region.detach();
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    const call = this.#observer.begin('free', {}, { address: this.address });
    this.#region.free();
    this.#observer.end(call, undefined);
  }

  #observed(name: AccessName & keyof MemoryRegion): () => void {
    const access = this.#region[name] as () => void;
    const observer = this.#observer;
    const { offset, value32, value64 } = this.#operands;
    const wide = name.endsWith('64');
    const isLoad = name.startsWith('load');
    return () => {
      access();
      if (!observer.wantsAccesses) return;
      const value = wide ? value64[0] : value32[0];
      const place = { address: this.address, offset: offset[0] };
      if (isLoad) observer.access(name, {}, place, value);
      else observer.access(name, {}, { ...place, value }, undefined);
    };
  }
}
