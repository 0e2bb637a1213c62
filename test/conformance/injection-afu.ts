/** The mock's memcpy AFU with the injection registers of test/README.md. */
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

const REGISTERS = { command: 0x1000, value: 0x1008, count: 0x1010, done: 0x1018 } as const;

const COMMANDS = {
  interrupt: 1n,
  dataStorage: 2n,
  afuError: 3n,
  errorState: 4n,
  sliceError: 5n,
  slowAttach: 6n,
  detachAll: 7n,
} as const;

const ARGUMENT_BITS = (1n << 56n) - 1n;
/** Most repetitions. More make no difference: events coalesce until the program reads them. */
const MAX_COUNT = 65536n;

export function injectionAfu(options: MemcpyAfuOptions = {}): AfuModel {
  const memcpy = memcpyAfu(options);
  return {
    ...memcpy,
    name: 'memcpy with injection registers',
    powerOn: (port) => new InjectionAfu(memcpy.powerOn(port), port),
  };
}

class InjectionAfu implements AfuLogic {
  readonly #memcpy: AfuLogic;
  readonly #port: AfuPort;

  constructor(memcpy: AfuLogic, port: AfuPort) {
    this.#memcpy = memcpy;
    this.#port = port;
  }

  attach(process: AfuProcess): InjectionProcess {
    return new InjectionProcess(this.#memcpy.attach(process), process, this.#port);
  }

  // A master maps the AFU-wide registers, and finds its own injection registers there.
  mmioRead(offset: number, width: MmioWidth, process: InjectionProcess): bigint {
    if (process.block.has(offset)) return process.block.read(offset, width);
    return this.#memcpy.mmioRead?.(offset, width, process.memcpy) ?? 0n;
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint, process: InjectionProcess): void {
    if (process.block.has(offset)) process.block.write(offset, width, value);
    else this.#memcpy.mmioWrite?.(offset, width, value, process.memcpy);
  }
}

class InjectionProcess implements ProcessLogic {
  readonly memcpy: ProcessLogic;
  readonly #process: AfuProcess;
  readonly #port: AfuPort;
  #value = 0n;
  #count = 0n;
  #done = 0n;

  readonly block = new Registers({
    [REGISTERS.command]: { write: (value) => this.#run(value >> 56n, value & ARGUMENT_BITS) },
    [REGISTERS.value]: {
      read: () => this.#value,
      write: (value) => {
        this.#value = value;
      },
    },
    [REGISTERS.count]: {
      read: () => this.#count,
      write: (value) => {
        this.#count = value;
      },
    },
    [REGISTERS.done]: { read: () => this.#done },
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

  #run(number: bigint, argument: bigint): void {
    // Counted first, since a command can detach the process that wrote it.
    this.#done = BigInt.asUintN(64, this.#done + 1n);
    const times = this.#count === 0n ? 1n : this.#count;
    for (let count = 0n; count < times && count < MAX_COUNT; count++) {
      if (this.#process.attached) this.#inject(number, argument);
    }
  }

  #inject(number: bigint, argument: bigint): void {
    switch (number) {
      case COMMANDS.interrupt:
        this.#raise(argument);
        break;
      case COMMANDS.dataStorage:
        this.#process.access(this.#value, 1, 'read');
        break;
      case COMMANDS.afuError:
        this.#process.afuError(this.#value);
        break;
      case COMMANDS.errorState:
        this.#port.enterErrorState(Number(argument));
        break;
      case COMMANDS.sliceError:
        this.#port.sliceError(this.#value);
        break;
      case COMMANDS.slowAttach:
        this.#port.delayNextAttach(Number(argument));
        break;
      case COMMANDS.detachAll:
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
