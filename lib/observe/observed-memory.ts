/** Memory whose accesses an observer gets. */
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import { WrappedMemory } from '../binding/wrapped-memory';
import type { AccessName } from './call';
import type { Observer } from './observer';

export class ObservedMemory extends WrappedMemory {
  readonly #observer: Observer;
  #freed = false;

  constructor(region: MemoryRegion, operands: Operands, observer: Observer) {
    const observed = (name: AccessName & keyof MemoryRegion) =>
      observedAccess(name, region, operands, observer);
    super(
      region,
      (width) => observed(`load${width}`),
      (width) => observed(`store${width}`),
    );
    this.#observer = observer;
  }

  override free(): void {
    if (this.#freed) return;
    this.#freed = true;
    const call = this.#observer.begin('free', {}, { address: this.address });
    super.free();
    this.#observer.end(call, undefined);
  }
}

function observedAccess(
  name: AccessName & keyof MemoryRegion,
  region: MemoryRegion,
  { offset, value32, value64 }: Operands,
  observer: Observer,
): () => void {
  const access = region[name] as () => void;
  const { address } = region;
  const wide = name.endsWith('64');
  const isLoad = name.startsWith('load');
  return () => {
    access();
    if (!observer.wantsAccesses) return;
    const value = wide ? value64[0] : value32[0];
    const place = { address, offset: offset[0] };
    if (isLoad) observer.access(name, {}, place, value);
    else observer.access(name, {}, { ...place, value }, undefined);
  };
}
