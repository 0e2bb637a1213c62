/** The LUNs of a flash adapter and the paths to them, each with its device nodes. */
import { type LunPath, Medium } from './lun';
import type { CheckedOptions, FlashLunOptions } from './options';
import { FileStorage, MemoryStorage } from './storage';

/** The bits of a LUN id from this one on are the SCSI target. */
const TARGET_SHIFT = 48n;

export class LunPaths {
  readonly ports: number;
  /** `letter` numbers the device nodes of a path: see blockName() and genericName(). */
  readonly paths: { readonly path: LunPath; readonly letter: number }[] = [];
  readonly #media: Medium[];
  readonly #nextLetter: () => number;
  readonly #nextWwid: () => string;

  /** Adds the medium of each LUN to `media`. */
  constructor(
    { ports, luns }: Pick<CheckedOptions, 'ports' | 'luns'>,
    media: Medium[],
    nextLetter: () => number,
    nextWwid: () => string,
  ) {
    this.ports = ports;
    this.#media = media;
    this.#nextLetter = nextLetter;
    this.#nextWwid = nextWwid;
    for (const [index, lun] of luns.entries()) this.#addLun(lun, index);
  }

  #addLun(lun: FlashLunOptions, target: number): void {
    const blockSize = lun.blockSize ?? 4096;
    const blocks = BigInt(lun.blocks);
    const bytes = blocks * BigInt(blockSize);
    const storage = lun.file === undefined ? new MemoryStorage() : new FileStorage(lun.file, bytes);
    const medium = new Medium(storage, blockSize, blocks);
    this.#media.push(medium);
    const wwid = lun.wwid ?? this.#nextWwid();
    const ports = lun.ports ?? [...new Array(this.ports).keys()];
    for (const port of ports) {
      const path: LunPath = { port, target, lun: 0, wwid, medium, local: undefined };
      this.paths.push({ path, letter: this.#nextLetter() });
    }
  }

  /** The path that has that node: /dev/sdX or /dev/sgN. */
  find(node: string): LunPath | undefined {
    return this.paths.find(
      ({ letter }) => node === blockName(letter) || node === genericName(letter),
    )?.path;
  }

  /** The LUNs of a port: their sizes in 4 KiB blocks, by LUN id. */
  provisioned(port: number): ReadonlyMap<bigint, bigint> {
    const luns = new Map<bigint, bigint>();
    for (const { path } of this.paths) {
      if (path.port !== port) continue;
      const blocks = (path.medium.blocks * BigInt(path.medium.blockSize)) / 4096n;
      luns.set(BigInt(path.target) << TARGET_SHIFT, blocks);
    }
    return luns;
  }

  /** Makes a LUN of so many 4 KiB blocks that is reached by one port. */
  create(port: number, blocks: bigint): { lunId: bigint; wwid: Uint8Array } {
    const target = this.paths.reduce((most, { path }) => Math.max(most, path.target), -1) + 1;
    this.#addLun({ blocks, ports: [port] }, target);
    const path = this.paths[this.paths.length - 1]?.path as LunPath;
    return {
      lunId: BigInt(target) << TARGET_SHIFT,
      wwid: Uint8Array.from(Buffer.from(path.wwid, 'hex')),
    };
  }

  /** Removes the path of a port to a LUN. */
  remove(port: number, lunId: bigint): void {
    const at = this.paths.findIndex(
      ({ path }) => path.port === port && BigInt(path.target) << TARGET_SHIFT === lunId,
    );
    if (at >= 0) this.paths.splice(at, 1);
  }

  /** Removes every path. */
  removeAll(): void {
    this.paths.length = 0;
  }

  /** Closes the files that keep LUNs. */
  dispose(): void {
    for (const medium of this.#media) medium.storage.close();
  }
}

/** /dev/sdX of a path. */
export function blockName(letter: number): string {
  return `/dev/sd${String.fromCharCode(0x62 + (letter % 25))}`;
}

/** /dev/sgN of a path. */
export function genericName(letter: number): string {
  return `/dev/sg${letter + 1}`;
}
