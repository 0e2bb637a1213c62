/** Memory whose accesses are recorded. */
import type { MemoryRegion } from '../binding';
import type { Operands } from '../binding/operands';
import { type MakeAccess, type MemoryWidth, WrappedMemory } from '../binding/wrapped-memory';
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';
import { ACCESS_FLAGS } from './access-columns';
import type { Recorder } from './recorder';

export class RecordedMemory extends WrappedMemory {
  readonly #id: number;
  readonly #recorder: Recorder;
  #freed = false;

  constructor(region: MemoryRegion, id: number, operands: Operands, recorder: Recorder) {
    const { offset, value32, value64, swap } = operands;
    const load: MakeAccess = (width) => {
      const name = `load${width}` as const;
      const access = region[name];
      return () => {
        const at = offset[0]!;
        const flags = swap[0] === 0 ? 0 : ACCESS_FLAGS.SWAPPED;
        access();
        recorder.load(name, id, at, width === 64 ? value64[0]! : value32[0]!, flags);
      };
    };
    const store: MakeAccess = (width) => {
      const name = `store${width}` as const;
      const access = region[name];
      return () => {
        const at = offset[0]!;
        const value = width === 64 ? value64[0]! : value32[0]!;
        const swapped = swap[0] !== 0;
        recorder.beforeStore(false);
        const time = recorder.now();
        const little = swapped !== HOST_IS_LITTLE_ENDIAN;
        recorder.followed(id)?.put(at, bytesOf(width), value, little);
        access();
        recorder.store(name, id, at, value, swapped ? ACCESS_FLAGS.SWAPPED : 0, time);
      };
    };
    super(region, load, store);
    this.#id = id;
    this.#recorder = recorder;
  }

  override detach(): void {
    // What was written to it until now: nothing can be seen of it afterwards.
    this.#recorder.compare('program');
    super.detach();
  }

  override free(): void {
    if (this.#freed) return;
    this.#freed = true;
    const call = this.#recorder.begin('free', this.#id, {});
    super.free();
    this.#recorder.freed(this.#id);
    this.#recorder.end(call, undefined);
  }
}

function bytesOf(width: MemoryWidth): 1 | 2 | 4 | 8 {
  return (width / 8) as 1 | 2 | 4 | 8;
}
