/**
 * The memcpy AFU: the accelerator that IBM's CAPI tests run against, register for register.
 * A process gives it a queue of 32-byte work elements in its memory; it copies, increments,
 * compares and swaps, and raises interrupts. Everything in memory is big-endian.
 */
import type { AfuLogic, AfuModel, AfuPort, AfuProcess, MmioWidth, ProcessLogic } from '../model';
import { Registers } from '../registers';

export interface MemcpyAfuOptions {
  /** Process elements in AFU-directed mode. Default 511, as the image's descriptor says. */
  readonly processes?: number;
  /** irqs_min. Default 4. */
  readonly interruptsMinimum?: number;
  /** Modes the image supports. Default directed alone. */
  readonly modes?: readonly ('dedicated' | 'directed')[];
  /** Contents of afu_err_buff. Default 4096 zero bytes. */
  readonly errorBuffer?: Uint8Array;
}

const areaSize = 0x10000;

const elementSize = 32;
const elementsPerCacheLine = 4;

const command = { copy: 0, interrupt: 1, increment: 4, atomic: 5 } as const;
const commandBits = 0x3f;
const validBit = 0x80;
const wrapBit = 0x40;

const atomicNotEqual = 0x10;
const atomicEqual = 0x11;

const status = {
  complete: 0x80,
  addressError: 0x20,
  invalidInterrupt: 0x04,
  undefinedCommand: 0x01,
} as const;

const stopped = 0x0800_0000_0000_0000n;
const restart = 1n << 63n;
const stopOnInvalidCommand = 0x2000_0000_0000_0000n;

/** PSL9's version of the image copies a cache line at most, and only for these process elements. */
const psl9CopyLimit = 128;
const psl9ProcessElement = { modulus: 4, remainder: 1 };

/** A step ends after so many elements, or so many bytes copied. */
const elementsPerStep = 256;
const bytesPerStep = 4 * 1024 * 1024;

/** The POWER timebase counts at 512 MHz. */
const timebasePerNanosecond = { numerator: 64n, denominator: 125n };

/**
 * A model of the memcpy AFU. What a program needs to know of it, all of it big-endian:
 *
 * | register | meaning (64 bits, byte offset in the problem state area) |
 * | --- | --- |
 * | 0x08 | process handle: bits 63:48 are the process element |
 * | 0x10 | status: bit 59 says that the AFU has stopped, as it does after an interrupt element |
 * | 0x18 | control: storing bit 63 restarts it |
 *
 * The work element descriptor is the address of a page-aligned queue, its low 12 bits the
 * queue's length in cache lines of 128 bytes. An element has 32 bytes:
 *
 * | byte | meaning |
 * | --- | --- |
 * | 0 | 0x80 valid, 0x40 wrap (the other way round at each pass), 5:0 command: 0 copy, 1 interrupt, 4 increment, 5 compare and swap |
 * | 1 | status, written by the AFU: 0x80 complete, 0x20 no such address, 0x04 no such interrupt, 0x01 no such command, or more than 128 bytes on CAIA 2 |
 * | 2, 3 | bytes to copy, or the interrupt to raise |
 * | 4 | of compare and swap: 0x10 to swap when not equal, 0x11 when equal |
 * | 8-15 | its operand |
 * | 16-23 | source address; of compare and swap, the other operand |
 * | 24-31 | target address |
 *
 * The byte 0 is stored last, after a barrier. On CAIA 2 only process elements whose number is 1
 * modulo 4 can copy.
 */
export function memcpyAfu(options: MemcpyAfuOptions = {}): AfuModel {
  const processes = options.processes ?? 511;
  return {
    name: 'memcpy',
    descriptor: {
      processes,
      interruptsMinimum: options.interruptsMinimum ?? 4,
      modes: options.modes ?? ['directed'],
      problemStateSize: areaSize * (processes + 1),
      perProcess: { offset: areaSize, size: areaSize },
      configRecords: [{ vendor: 0x1014, device: 0x4350, class: 0x120000 }],
      errorBuffer: options.errorBuffer ?? new Uint8Array(4096),
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
    16: { read: () => (this.#stopped ? stopped : 0n) },
    24: {
      write: (value) => {
        if ((value & restart) !== 0n) this.#stopped = false;
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
    this.#elements = Number(process.wed & 0xfffn) * elementsPerCacheLine;
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    return this.#registers.read(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    this.#registers.write(offset, width, value);
  }

  step(): boolean {
    if (this.#stopped || this.#elements === 0) return false;
    const queue = this.#process.access(this.#queue, this.#elements * elementSize, 'write');
    if (queue === undefined) {
      // No queue, no way to go on until the program puts that right and restarts.
      this.#stopped = true;
      return false;
    }
    const view = viewOf(queue);
    let bytes = 0;
    for (let count = 0; count < elementsPerStep && bytes < bytesPerStep; count++) {
      const at = this.#next * elementSize;
      const cmd = view.getUint8(at);
      if ((cmd & validBit) === 0 || (cmd & wrapBit) !== this.#wrap) {
        if ((this.#afu.configuration & stopOnInvalidCommand) !== 0n) this.#stopped = true;
        return false;
      }
      this.#advance();
      view.setUint8(at + 1, this.#execute(view, at, cmd & commandBits));
      if (this.#stopped) return false;
      bytes += view.getUint16(at + 2);
    }
    return true;
  }

  #advance(): void {
    this.#next += 1;
    if (this.#next < this.#elements) return;
    this.#next = 0;
    this.#wrap ^= wrapBit;
  }

  /** The element's status. */
  #execute(view: DataView, at: number, cmd: number): number {
    switch (cmd) {
      case command.copy:
        return this.#copy(view, at);
      case command.interrupt:
        return this.#interrupt(view.getUint16(at + 2));
      case command.increment:
        return this.#increment(view, at);
      case command.atomic:
        return this.#compareAndSwap(view, at);
      default:
        return status.undefinedCommand;
    }
  }

  #copy(view: DataView, at: number): number {
    const length = view.getUint16(at + 2);
    if (this.#afu.caiaMajor === 2) {
      const { modulus, remainder } = psl9ProcessElement;
      const allowed = this.#process.processElement % modulus === remainder;
      if (!allowed || length > psl9CopyLimit) return status.undefinedCommand;
    }
    if (length === 0) return status.complete;
    const source = this.#process.access(addressAt(view, at + 16), length, 'read');
    if (source === undefined) return status.addressError;
    const target = this.#process.access(addressAt(view, at + 24), length, 'write');
    if (target === undefined) return status.addressError;
    target.set(source);
    return status.complete;
  }

  /**
   * Raises it and stops: the program looks at the status register, and restarts. It stops for a
   * source that is not there too, since the program waits for that in either case.
   */
  #interrupt(source: number): number {
    this.#stopped = true;
    return this.#process.raiseInterrupt(source) ? status.complete : status.invalidInterrupt;
  }

  #increment(view: DataView, at: number): number {
    const source = this.#process.access(addressAt(view, at + 16), 4, 'read');
    if (source === undefined) return status.addressError;
    const target = this.#process.access(addressAt(view, at + 24), 4, 'write');
    if (target === undefined) return status.addressError;
    viewOf(target).setUint32(0, viewOf(source).getUint32(0) + 1);
    return status.complete;
  }

  /** Swaps in the second operand when the first does (or does not) equal the aligned word there. */
  #compareAndSwap(view: DataView, at: number): number {
    const variant = view.getUint8(at + 4);
    if (variant !== atomicEqual && variant !== atomicNotEqual) return status.undefinedCommand;
    if (view.getUint8(at + 31) % 8 !== 0) return status.undefinedCommand;
    const target = this.#process.access(addressAt(view, at + 24), 8, 'write');
    if (target === undefined) return status.addressError;
    const memory = viewOf(target);
    const equal = memory.getBigUint64(0) === view.getBigUint64(at + 8);
    if (equal === (variant === atomicEqual)) memory.setBigUint64(0, view.getBigUint64(at + 16));
    return status.complete;
  }
}

function timebase(): bigint {
  const { numerator, denominator } = timebasePerNanosecond;
  return (process.hrtime.bigint() * numerator) / denominator;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A number where it is exact, which is quicker; no address of ours is beyond. */
function addressAt(view: DataView, at: number): number | bigint {
  const high = view.getUint32(at);
  if (high >= 0x20_0000) return view.getBigUint64(at);
  return high * 0x1_0000_0000 + view.getUint32(at + 4);
}
