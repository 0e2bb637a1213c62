/** The addon as C++ has it, and how it is found. */
import { endianness } from 'node:os';
import path from 'node:path';

/** Receives an operation's answer, unless the environment ends before. */
export type Settle<T> = (answer: T) => void;

export interface AddonAfuFile {
  readonly fd: number;
  startWork(
    flags: bigint,
    wed: bigint,
    amr: bigint,
    interrupts: number,
    settle: Settle<number>,
  ): void;
  startWorkSync(flags: bigint, wed: bigint, amr: bigint, interrupts: number): number;
  processElement(): number;
  afuId(): { flags: bigint; cardId: number; afuOffset: number; afuMode: number } | number;
  map(offset: number, length: number, bigEndian: boolean): AddonMapping | number;
  onEvents(sink: (bytes: Uint8Array, length: number, errno: number) => void): void;
  arm(): void;
  disarm(): void;
  close(settle: Settle<number>): void;
}

type BlockArray = Uint32Array | Int32Array | BigUint64Array | BigInt64Array;

export interface AddonMapping {
  readonly length: number;
  read32(offset: number): number | undefined;
  read64(offset: number): bigint | undefined;
  write32(offset: number, value: number): boolean;
  write64(offset: number, value: bigint): boolean;
  readBlock(offset: number, target: BlockArray): number;
  writeBlock(offset: number, source: BlockArray): number;
  unmap(): void;
}

export interface AddonMemory {
  readonly address: bigint;
  readonly size: number;
  readonly buffer: ArrayBuffer;
  load(offset: number, width: number, bigEndian: boolean): number;
  load64(offset: number, bigEndian: boolean): bigint;
  store(offset: number, width: number, value: number, bigEndian: boolean): void;
  store64(offset: number, value: bigint, bigEndian: boolean): void;
  free(force: boolean): number;
}

export interface AddonCardFile {
  readonly fd: number;
  transfer(
    validate: boolean,
    needHeader: boolean,
    data: Uint8Array,
    imageLength: number,
    settle: Settle<number>,
  ): void;
  close(settle: Settle<number>): void;
}

export interface AddonFlashFile {
  readonly fd: number;
  /** Bytes that were handed in as `data` come back, filled, as `data` of the answer. */
  call(
    name: string,
    input: object,
    settle: Settle<(Record<string, unknown> & { data?: Uint8Array }) | number>,
  ): void;
  close(settle: Settle<number>): void;
}

export interface Addon {
  readonly pageSize: number;
  openAfu(path: string, settle: Settle<AddonAfuFile | number>): void;
  adoptAfu(fd: number, owned: boolean): AddonAfuFile | number;
  openCard(path: string, settle: Settle<AddonCardFile | number>): void;
  openFlash(path: string, settle: Settle<AddonFlashFile | number>): void;
  writeAttribute(path: string, data: string, settle: Settle<number>): void;
  readAttribute(path: string): Uint8Array | number;
  /** `hugePages`: 0 none, 1 transparent, 2 explicit. `numaNode`: -1 for any. */
  allocate(
    size: number,
    alignment: number,
    hugePages: number,
    numaNode: number,
  ): AddonMemory | number;
  addressOf(view: ArrayBufferView | ArrayBuffer): bigint;
  memoryBarrier(): void;
  /** F_OFD_SETLK on a byte range: takes the write lock, or lets go of it. 0 or -errno. */
  ofdLock(fd: number, offset: number, length: number, exclusive: boolean): number;
  /** Does nothing: what the benchmark measures calls against. */
  nothing(): void;
  /** Bytes that the collector has given up and attached contexts keep mapped. */
  orphanedMemory(): number;
}

/** The folder of the package: two above this file, in the sources as in dist. */
const root = path.resolve(__dirname, '../..');

function noNative(reason: string, solutions: string[], cause?: unknown): Error {
  const advice = [...solutions, 'set NODE_CXL_BACKEND=mock to run the program without a card'];
  const message = `node-cxl cannot open real devices: ${reason}\nPossible solutions:\n${advice
    .map((solution) => `  - ${solution}`)
    .join('\n')}`;
  return Object.assign(new Error(message, cause === undefined ? undefined : { cause }), {
    code: 'ERR_CXL_NO_NATIVE' as const,
  });
}

/**
 * Finds and loads the addon: one built here, else a prebuilt one.
 *
 * @throws Error with code ERR_CXL_NO_NATIVE, its message saying what can be done.
 */
export function loadAddon(): Addon {
  if (process.platform !== 'linux') {
    throw noNative(`the cxl driver is part of Linux, and this is ${process.platform}`, [
      'run the program on Linux (POWER8 or POWER9, with the cxl driver of Linux 3.18 to 6.14)',
    ]);
  }
  try {
    if (process.arch === 'ppc64' && endianness() === 'BE') {
      // A prebuilt addon's folder tells the processor but not its byte order.
      return require(path.join(root, 'build/Release/node_cxl.node')) as Addon;
    }
    return (require('node-gyp-build') as (folder: string) => Addon)(root);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw noNative(
      `its compiled part does not load on ${process.platform}-${process.arch} (${reason})`,
      [
        'install make, g++ and python3, then run `npm rebuild node-cxl` (in a clone: `npm run build`)',
        'check that npm was not told to leave out install scripts (--ignore-scripts)',
      ],
      error,
    );
  }
}
