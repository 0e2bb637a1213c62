/**
 * The table by which the AFU finds the LUNs of chunks, of one adapter. LUNs on several ports take
 * places from its beginning, others from the end of their port's half. No place is ever given back:
 * a LUN whose superpipe mode was disabled takes another one when it is next used. The model of
 * init_luntable() in drivers/scsi/cxlflash/vlun.c.
 */
import { ERRNOS } from '../../shared/errno';
import type { LocalLun } from './lun';

/** The last place of a port that is used (CXLFLASH_NUM_VLUNS / 2 - 1). */
const LAST_PLACE = 255;

export class LunTable {
  /** The next place for a LUN on several ports. */
  #shared = 0;
  /** The next place for a LUN on one port alone, by port. */
  readonly #own: number[];

  constructor(ports: number) {
    this.#own = new Array<number>(ports).fill(LAST_PLACE);
  }

  /** Gives a LUN its place, unless it has one. 0, or -ENOSPC. */
  enter(lun: LocalLun): number {
    if (lun.inTable) return 0;
    const ports = [...this.#own.keys()].filter((port) => (lun.ports & (1 << port)) !== 0);
    if (ports.some((port) => this.#own[port] === this.#shared)) return -ERRNOS.ENOSPC;
    const [first, second] = ports;
    if (second !== undefined) this.#shared += 1;
    else if (first !== undefined) this.#own[first] = (this.#own[first] ?? 0) - 1;
    lun.inTable = true;
    return 0;
  }
}
