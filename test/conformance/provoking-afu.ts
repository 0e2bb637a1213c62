/** The memcpy AFU with the provoke block of test/README.md, for the mock. */
import {
  type AfuLogic,
  type AfuModel,
  type AfuPort,
  type AfuProcess,
  type MemcpyAfuOptions,
  type MmioWidth,
  memcpyAfu,
  type ProcessLogic,
  Registers,
} from 'node-cxl/mock';

const register = { command: 0x1000, value: 0x1008, count: 0x1010, done: 0x1018 } as const;

const command = {
  interrupt: 1n,
  dataStorage: 2n,
  afuError: 3n,
  errorState: 4n,
  sliceError: 5n,
  slowAttach: 6n,
  detachAll: 7n,
} as const;

const argumentBits = (1n << 56n) - 1n;
/** Repetitions coalesce until the program reads: more would be no different. */
const mostTimes = 65536n;

export function provokingAfu(options: MemcpyAfuOptions = {}): AfuModel {
  const memcpy = memcpyAfu(options);
  return {
    ...memcpy,
    name: 'memcpy with a provoke block',
    powerOn: (port) => new ProvokingAfu(memcpy.powerOn(port), port),
  };
}

class ProvokingAfu implements AfuLogic {
  readonly #memcpy: AfuLogic;
  readonly #port: AfuPort;

  constructor(memcpy: AfuLogic, port: AfuPort) {
    this.#memcpy = memcpy;
    this.#port = port;
  }

  attach(process: AfuProcess): ProvokingProcess {
    return new ProvokingProcess(this.#memcpy.attach(process), process, this.#port);
  }

  // A master finds its own provoke block where the AFU-wide registers are.
  mmioRead(offset: number, width: MmioWidth, process: ProvokingProcess): bigint {
    if (process.block.has(offset)) return process.block.read(offset, width);
    return this.#memcpy.mmioRead?.(offset, width, process.memcpy) ?? 0n;
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint, process: ProvokingProcess): void {
    if (process.block.has(offset)) process.block.write(offset, width, value);
    else this.#memcpy.mmioWrite?.(offset, width, value, process.memcpy);
  }
}

class ProvokingProcess implements ProcessLogic {
  readonly memcpy: ProcessLogic;
  readonly #process: AfuProcess;
  readonly #port: AfuPort;
  #value = 0n;
  #count = 0n;
  #done = 0n;

  readonly block = new Registers({
    [register.command]: { write: (value) => this.#take(value >> 56n, value & argumentBits) },
    [register.value]: {
      read: () => this.#value,
      write: (value) => {
        this.#value = value;
      },
    },
    [register.count]: {
      read: () => this.#count,
      write: (value) => {
        this.#count = value;
      },
    },
    [register.done]: { read: () => this.#done },
  });

  constructor(memcpy: ProcessLogic, process: AfuProcess, port: AfuPort) {
    this.memcpy = memcpy;
    this.#process = process;
    this.#port = port;
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    if (this.block.has(offset)) return this.block.read(offset, width);
    return this.memcpy.mmioRead(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    if (this.block.has(offset)) this.block.write(offset, width, value);
    else this.memcpy.mmioWrite(offset, width, value);
  }

  step(): boolean {
    return this.memcpy.step?.() ?? false;
  }

  detach(): void {
    this.memcpy.detach?.();
  }

  #take(number: bigint, argument: bigint): void {
    // Some commands end the process that gave them: they are counted first.
    this.#done = BigInt.asUintN(64, this.#done + 1n);
    const times = this.#count === 0n ? 1n : this.#count;
    for (let count = 0n; count < times && count < mostTimes; count++) {
      if (this.#process.attached) this.#provoke(number, argument);
    }
  }

  #provoke(number: bigint, argument: bigint): void {
    switch (number) {
      case command.interrupt:
        this.#raise(argument);
        break;
      case command.dataStorage:
        this.#process.access(this.#value, 1, 'read');
        break;
      case command.afuError:
        this.#process.afuError(this.#value);
        break;
      case command.errorState:
        this.#port.enterErrorState(Number(argument));
        break;
      case command.sliceError:
        this.#port.sliceError(this.#value);
        break;
      case command.slowAttach:
        this.#port.delayNextAttach(Number(argument));
        break;
      case command.detachAll:
        this.#port.detachAll();
        break;
    }
  }

  #raise(bits: bigint): void {
    for (let irq = 1; irq <= this.#process.interrupts; irq++) {
      if ((bits >> BigInt(irq - 1)) & 1n) this.#process.raiseInterrupt(irq);
    }
  }
}
