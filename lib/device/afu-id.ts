import { AFU_ID_FLAGS, type AfuIoctls } from '../binding/cxl-ioctls';

/** What GET_AFU_ID returns. */
export interface AfuId {
  /** Whether this is a slave context's file. */
  readonly slave: boolean;
  /** The X of afuX.Y. */
  readonly adapterNumber: number;
  /** The Y of afuX.Y. */
  readonly slice: number;
  /** The AFU's programming model. */
  readonly mode: 'dedicated_process' | 'afu_directed' | 'unknown';
}

/** CXL_MODE_DEDICATED and CXL_MODE_DIRECTED of the driver. */
const MODES = { 1: 'dedicated_process', 2: 'afu_directed' } as const;

export function decodeAfuId(raw: AfuIoctls['GET_AFU_ID']['answer']): AfuId {
  return {
    slave: (raw.flags & AFU_ID_FLAGS.SLAVE) !== 0n,
    adapterNumber: raw.cardId,
    slice: raw.afuOffset,
    mode: MODES[raw.afuMode as 1 | 2] ?? 'unknown',
  };
}
