import type { AttachAnswer } from '../binding/flash';

/** What ATTACH says of a LUN. */
export interface Geometry {
  /** Bytes. */
  readonly blockSize: number;
  /** Blocks of the whole LUN. */
  readonly blocks: bigint;
  /** Blocks a command can move. */
  readonly maxTransfer: number;
}

/** @internal */
export function geometryOf(answer: AttachAnswer): Geometry {
  return {
    blockSize: Number(answer.blockSize),
    maxTransfer: Number(answer.maxXfer),
    blocks: answer.lastLba + 1n,
  };
}
