/** A mapped problem state area whose accesses are recorded. */
import type { BlockArray, ProblemStateMapping } from '../binding';
import type { Operands } from '../binding/operands';
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';
import { ACCESS_FLAGS } from './access-columns';
import type { Recorder } from './recorder';
import type { RecordedAccessName } from './records';

export class RecordedMapping implements ProblemStateMapping {
  readonly length: number;
  readonly #mapping: ProblemStateMapping;
  /** Bytes of the area before the mapping: offsets in the area are recorded. */
  readonly #start: number;
  readonly #id: number;
  readonly #operands: Operands;
  readonly #recorder: Recorder;
  #mapped = true;

  constructor(
    mapping: ProblemStateMapping,
    start: number,
    id: number,
    operands: Operands,
    recorder: Recorder,
  ) {
    this.#mapping = mapping;
    this.length = mapping.length;
    this.#start = start;
    this.#id = id;
    this.#operands = operands;
    this.#recorder = recorder;
  }

  readonly read32 = (): boolean => {
    const offset = this.#operands.offset[0]!;
    const done = this.#mapping.read32();
    this.#load('read32', offset, done ? this.#operands.value32[0]! : 0, done);
    return done;
  };

  readonly read64 = (): boolean => {
    const offset = this.#operands.offset[0]!;
    const done = this.#mapping.read64();
    this.#load('read64', offset, done ? this.#operands.value64[0]! : 0n, done);
    return done;
  };

  readonly write32 = (): boolean =>
    this.#store('write32', this.#operands.value32[0]!, this.#mapping.write32);

  readonly write64 = (): boolean =>
    this.#store('write64', this.#operands.value64[0]!, this.#mapping.write64);

  readBlock(offset: number, target: BlockArray): number {
    const moved = this.#mapping.readBlock(offset, target);
    this.#recorder.compare('device');
    this.#block('readBlock', offset, target, moved);
    return moved;
  }

  writeBlock(offset: number, source: BlockArray): number {
    this.#recorder.beforeStore(true);
    const moved = this.#mapping.writeBlock(offset, source);
    this.#block('writeBlock', offset, source, moved);
    return moved;
  }

  unmap(): void {
    if (!this.#mapped) return;
    this.#mapped = false;
    const call = this.#recorder.begin('munmap', this.#id, {});
    this.#mapping.unmap();
    this.#recorder.end(call, undefined);
  }

  #load(name: RecordedAccessName, offset: number, value: bigint | number, done: boolean): void {
    const flags = done ? 0 : ACCESS_FLAGS.FAILED;
    this.#recorder.load(name, this.#id, this.#start + offset, value, flags);
  }

  #store(name: 'write32' | 'write64', value: bigint | number, store: () => boolean): boolean {
    const offset = this.#operands.offset[0]!;
    this.#recorder.beforeStore(true);
    const time = this.#recorder.now();
    const done = store();
    const flags = done ? 0 : ACCESS_FLAGS.FAILED;
    this.#recorder.store(name, this.#id, this.#start + offset, value, flags, time);
    return done;
  }

  #block(name: 'readBlock' | 'writeBlock', offset: number, block: BlockArray, moved: number) {
    this.#recorder.write({
      type: 'block',
      time: this.#recorder.now(),
      object: this.#id,
      name,
      offset: this.#start + offset,
      width: block.BYTES_PER_ELEMENT === 8 ? 64 : 32,
      count: block.length,
      moved,
      values: littleEndianBytes(block.subarray(0, moved)),
    });
  }
}

/** The elements of a block, as they are recorded. */
export function littleEndianBytes(block: BlockArray): Buffer {
  const bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (HOST_IS_LITTLE_ENDIAN) return bytes;
  const copy = Buffer.from(bytes);
  return block.BYTES_PER_ELEMENT === 8 ? copy.swap64() : copy.swap32();
}
