/**
 * The memcpy AFU, the accelerator that IBM's CAPI tests use, with the same registers. A process
 * gives it a queue of 32-byte work elements in memory; it copies, increments, compares and swaps,
 * and raises interrupts. All structures are big-endian.
 */
import {
  checkArray,
  checkBytes,
  checkInteger,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import type { AfuLogic, AfuModel, AfuPort, AfuProcess, MmioWidth, ProcessLogic } from './afu-model';
import { Registers } from './registers';

/** Options of memcpyAfu(). */
export interface MemcpyAfuOptions {
  /** Process elements in AFU-directed mode. Default 511, as in the image's descriptor. */
  readonly processes?: number | undefined;
  /** irqs_min. Default 4. */
  readonly interruptsMinimum?: number | undefined;
  /** Modes the image supports. Default ['directed']. */
  readonly modes?: readonly ('dedicated' | 'directed')[] | undefined;
  /** Contents of afu_err_buff. Default 4096 zero bytes. */
  readonly errorBuffer?: Uint8Array | undefined;
}
const MEMCPY_OPTIONS: OptionNames<MemcpyAfuOptions> = {
  processes: true,
  interruptsMinimum: true,
  modes: true,
  errorBuffer: true,
};

const AREA_SIZE = 0x10000;

const ELEMENT_SIZE = 32;
const ELEMENTS_PER_CACHE_LINE = 4;

const COMMANDS = { copy: 0, interrupt: 1, increment: 4, atomic: 5 } as const;
const COMMAND_BITS = 0x3f;
const VALID_BIT = 0x80;
const WRAP_BIT = 0x40;

const ATOMIC_NOT_EQUAL = 0x10;
const ATOMIC_EQUAL = 0x11;

const ELEMENT_STATUS = {
  complete: 0x80,
  addressError: 0x20,
  invalidInterrupt: 0x04,
  undefinedCommand: 0x01,
} as const;

const STATUS_STOPPED = 0x0800_0000_0000_0000n;
const CONTROL_RESTART = 1n << 63n;
const STOP_ON_INVALID_COMMAND = 0x2000_0000_0000_0000n;

/** The image for PSL9 copies a cache line at most, and only for these process elements. */
const PSL9_COPY_LIMIT = 128;
const PSL9_PROCESS_ELEMENT = { modulus: 4, remainder: 1 };

/** A step ends after so many elements or so many bytes copied. */
const ELEMENTS_PER_STEP = 256;
const BYTES_PER_STEP = 4 * 1024 * 1024;

/** The POWER timebase counts at 512 MHz. */
const TIMEBASE_PER_NANOSECOND = { numerator: 64n, denominator: 125n };

/**
 * A model of the memcpy AFU. Its registers and the structures in memory are big-endian:
 *
 * | register | meaning (64 bits, byte offset in the problem state area) |
 * | --- | --- |
 * | 0x08 | process handle: bits 63:48 are the process element |
 * | 0x10 | status: bit 59 is set when the AFU has stopped, as after an interrupt element |
 * | 0x18 | control: a store with bit 63 set restarts the AFU |
 *
 * The work element descriptor is the address of a page-aligned queue; its low 12 bits are the
 * length of the queue in cache lines of 128 bytes. An element has 32 bytes:
 *
 * | byte | meaning |
 * | --- | --- |
 * | 0 | 0x80 valid, 0x40 wrap (inverted at each pass through the queue), 5:0 command: 0 copy, 1 interrupt, 4 increment, 5 compare and swap |
 * | 1 | status, written by the AFU: 0x80 complete, 0x20 no such address, 0x04 no such interrupt, 0x01 no such command, or more than 128 bytes on CAIA 2 |
 * | 2, 3 | bytes to copy, or the interrupt to raise |
 * | 4 | of compare and swap: 0x10 to swap when not equal, 0x11 when equal |
 * | 8-15 | its operand |
 * | 16-23 | source address; of compare and swap, the other operand |
 * | 24-31 | target address |
 *
 * A program stores byte 0 last, after a barrier. On CAIA 2 only process elements whose number
 * modulo 4 is 1 can copy.
 *
 * @example
 * import { createMockCxl, memcpyAfu } from 'node-cxl/mock';
 *
 * const afus = [{ model: memcpyAfu({ interruptsMinimum: 1 }), interruptsMaximum: 8 }];
 * const system = createMockCxl({ cards: [{ afus }] });
 * const [afu] = await system.afus();
 * console.log(await afu?.irqsMin(), await afu?.irqsMax()); // 1 8
 */
export function memcpyAfu(options: MemcpyAfuOptions = {}): AfuModel {
  checkOptions(options, MEMCPY_OPTIONS);
  const processes = checkInteger('options.processes', options.processes ?? 511, 1, 0xffff);
  return {
    name: 'memcpy',
    descriptor: {
      processes,
      interruptsMinimum: checkInteger(
        'options.interruptsMinimum',
        options.interruptsMinimum ?? 4,
        0,
        2037,
      ),
      modes: checkArray('options.modes', options.modes ?? ['directed']),
      problemStateSize: AREA_SIZE * (processes + 1),
      perProcess: { offset: AREA_SIZE, size: AREA_SIZE },
      configRecords: [{ vendor: 0x1014, device: 0x4350, class: 0x120000 }],
      errorBuffer: checkBytes('options.errorBuffer', options.errorBuffer ?? new Uint8Array(4096)),
    },
    powerOn: (port) => new MemcpyAfu(port),
  };
}

class MemcpyAfu implements AfuLogic {
  readonly caiaMajor: number;
  configuration = 0n;
  readonly #registers = new Registers({
    0: {
      read: () => this.configuration,
      write: (value) => {
        this.configuration = value;
      },
    },
  });

  constructor(port: AfuPort) {
    this.caiaMajor = port.caiaMajor;
  }

  attach(process: AfuProcess): ProcessLogic {
    return new MemcpyProcess(this, process);
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    return this.#registers.read(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    this.#registers.write(offset, width, value);
  }
}

class MemcpyProcess implements ProcessLogic {
  readonly #afu: MemcpyAfu;
  readonly #process: AfuProcess;
  readonly #queue: number;
  readonly #elements: number;
  #next = 0;
  /** The wrap bit's value on this pass through the queue. */
  #wrap = 0;
  #stopped = false;
  #timebase = 0n;

  readonly #registers = new Registers({
    0: { read: () => this.#process.wed },
    8: { read: () => BigInt(this.#process.processElement) << 48n },
    16: { read: () => (this.#stopped ? STATUS_STOPPED : 0n) },
    24: {
      write: (value) => {
        if ((value & CONTROL_RESTART) !== 0n) this.#stopped = false;
      },
    },
    64: {
      read: () => this.#timebase,
      write: () => {
        this.#timebase = timebase();
      },
    },
  });

  constructor(afu: MemcpyAfu, process: AfuProcess) {
    this.#afu = afu;
    this.#process = process;
    this.#queue = Number(process.wed & ~0xfffn);
    this.#elements = Number(process.wed & 0xfffn) * ELEMENTS_PER_CACHE_LINE;
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    return this.#registers.read(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    this.#registers.write(offset, width, value);
  }

  step(): boolean {
    if (this.#stopped || this.#elements === 0) return false;
    const queue = this.#process.access(this.#queue, this.#elements * ELEMENT_SIZE, 'write');
    if (queue === undefined) {
      // The queue is not mapped. The program can map it and restart.
      this.#stopped = true;
      return false;
    }
    const view = viewOf(queue);
    let bytes = 0;
    for (let count = 0; count < ELEMENTS_PER_STEP && bytes < BYTES_PER_STEP; count++) {
      const at = this.#next * ELEMENT_SIZE;
      const cmd = view.getUint8(at);
      if ((cmd & VALID_BIT) === 0 || (cmd & WRAP_BIT) !== this.#wrap) {
        if ((this.#afu.configuration & STOP_ON_INVALID_COMMAND) !== 0n) this.#stopped = true;
        return false;
      }
      this.#advance();
      view.setUint8(at + 1, this.#execute(view, at, cmd & COMMAND_BITS));
      if (this.#stopped) return false;
      bytes += view.getUint16(at + 2);
    }
    return true;
  }

  #advance(): void {
    this.#next += 1;
    if (this.#next < this.#elements) return;
    this.#next = 0;
    this.#wrap ^= WRAP_BIT;
  }

  /** Carries out an element. Returns its status. */
  #execute(view: DataView, at: number, cmd: number): number {
    switch (cmd) {
      case COMMANDS.copy:
        return this.#copy(view, at);
      case COMMANDS.interrupt:
        return this.#interrupt(view.getUint16(at + 2));
      case COMMANDS.increment:
        return this.#increment(view, at);
      case COMMANDS.atomic:
        return this.#compareAndSwap(view, at);
      default:
        return ELEMENT_STATUS.undefinedCommand;
    }
  }

  #copy(view: DataView, at: number): number {
    const length = view.getUint16(at + 2);
    if (this.#afu.caiaMajor === 2) {
      const { modulus, remainder } = PSL9_PROCESS_ELEMENT;
      const allowed = this.#process.processElement % modulus === remainder;
      if (!allowed || length > PSL9_COPY_LIMIT) return ELEMENT_STATUS.undefinedCommand;
    }
    if (length === 0) return ELEMENT_STATUS.complete;
    const source = this.#process.access(addressAt(view, at + 16), length, 'read');
    if (source === undefined) return ELEMENT_STATUS.addressError;
    const target = this.#process.access(addressAt(view, at + 24), length, 'write');
    if (target === undefined) return ELEMENT_STATUS.addressError;
    target.set(source);
    return ELEMENT_STATUS.complete;
  }

  /**
   * Raises an interrupt and stops, as the program expects: it reads the status register and
   * restarts. That holds for an interrupt that the process does not have, too.
   */
  #interrupt(source: number): number {
    this.#stopped = true;
    return this.#process.raiseInterrupt(source)
      ? ELEMENT_STATUS.complete
      : ELEMENT_STATUS.invalidInterrupt;
  }

  #increment(view: DataView, at: number): number {
    const source = this.#process.access(addressAt(view, at + 16), 4, 'read');
    if (source === undefined) return ELEMENT_STATUS.addressError;
    const target = this.#process.access(addressAt(view, at + 24), 4, 'write');
    if (target === undefined) return ELEMENT_STATUS.addressError;
    viewOf(target).setUint32(0, viewOf(source).getUint32(0) + 1);
    return ELEMENT_STATUS.complete;
  }

  /** Stores the second operand when the word at the target equals (or does not equal) the first. */
  #compareAndSwap(view: DataView, at: number): number {
    const variant = view.getUint8(at + 4);
    if (variant !== ATOMIC_EQUAL && variant !== ATOMIC_NOT_EQUAL)
      return ELEMENT_STATUS.undefinedCommand;
    if (view.getUint8(at + 31) % 8 !== 0) return ELEMENT_STATUS.undefinedCommand;
    const target = this.#process.access(addressAt(view, at + 24), 8, 'write');
    if (target === undefined) return ELEMENT_STATUS.addressError;
    const memory = viewOf(target);
    const equal = memory.getBigUint64(0) === view.getBigUint64(at + 8);
    if (equal === (variant === ATOMIC_EQUAL)) memory.setBigUint64(0, view.getBigUint64(at + 16));
    return ELEMENT_STATUS.complete;
  }
}

function timebase(): bigint {
  const { numerator, denominator } = TIMEBASE_PER_NANOSECOND;
  return (process.hrtime.bigint() * numerator) / denominator;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** An address as a number if it is exact, which is faster than a bigint. */
function addressAt(view: DataView, at: number): number | bigint {
  const high = view.getUint32(at);
  if (high >= 0x20_0000) return view.getBigUint64(at);
  return high * 0x1_0000_0000 + view.getUint32(at + 4);
}
