/** Memory whose accesses are recorded. */
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';
import { ACCESS_FLAGS } from './access-columns';
import type { Recorder } from './recorder';

type Width = 8 | 16 | 32 | 64;

export class RecordedMemory implements MemoryRegion {
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
  readonly #id: number;
  readonly #recorder: Recorder;
  #freed = false;

  constructor(region: MemoryRegion, id: number, operands: Operands, recorder: Recorder) {
    this.#region = region;
    this.#id = id;
    this.#recorder = recorder;
    this.address = region.address;
    this.size = region.size;
    this.load8 = this.#load(8, operands);
    this.load16 = this.#load(16, operands);
    this.load32 = this.#load(32, operands);
    this.load64 = this.#load(64, operands);
    this.store8 = this.#store(8, operands);
    this.store16 = this.#store(16, operands);
    this.store32 = this.#store(32, operands);
    this.store64 = this.#store(64, operands);
  }

  get buffer(): ArrayBuffer {
    return this.#region.buffer;
  }

  detach(): void {
    // What was written to it until now: nothing can be seen of it afterwards.
    this.#recorder.compare('program');
    this.#region.detach();
  }

  free(): void {
    if (this.#freed) return;
    this.#freed = true;
    const call = this.#recorder.begin('free', this.#id, {});
    this.#region.free();
    this.#recorder.freed(this.#id);
    this.#recorder.end(call, undefined);
  }

  #load(width: Width, { offset, value32, value64, swap }: Operands): () => void {
    const name = `load${width}` as const;
    const load = this.#region[name];
    const recorder = this.#recorder;
    const id = this.#id;
    return () => {
      const at = offset[0]!;
      const flags = swap[0] === 0 ? 0 : ACCESS_FLAGS.SWAPPED;
      load();
      recorder.load(name, id, at, width === 64 ? value64[0]! : value32[0]!, flags);
    };
  }

  #store(width: Width, { offset, value32, value64, swap }: Operands): () => void {
    const name = `store${width}` as const;
    const store = this.#region[name];
    const recorder = this.#recorder;
    const id = this.#id;
    return () => {
      const at = offset[0]!;
      const value = width === 64 ? value64[0]! : value32[0]!;
      const swapped = swap[0] !== 0;
      recorder.beforeStore(false);
      const time = recorder.now();
      const little = swapped !== HOST_IS_LITTLE_ENDIAN;
      recorder.followed(id)?.put(at, bytesOf(width), value, little);
      store();
      recorder.store(name, id, at, value, swapped ? ACCESS_FLAGS.SWAPPED : 0, time);
    };
  }
}

function bytesOf(width: Width): 1 | 2 | 4 | 8 {
  return (width / 8) as 1 | 2 | 4 | 8;
}
