/**
 * The echo AFU: a whole accelerator in a few lines, as an example of an AFU model.
 *
 * | register | meaning |
 * | --- | --- |
 * | 0x00 ECHO | reads as what was written last; at first the work element descriptor |
 * | 0x08 COUNT | how often ECHO was written |
 * | 0x10 ADDRESS | at a store the AFU writes ECHO, big-endian, to that effective address and raises interrupt 1 |
 */
import type { AfuModel, AfuProcess, MmioWidth, ProcessLogic } from './afu-model';
import { Registers } from './registers';

/** A model of the echo AFU: 16 processes, one interrupt. */
export function echoAfu(): AfuModel {
  return {
    name: 'echo',
    descriptor: {
      processes: 16,
      interruptsMinimum: 1,
      modes: ['directed', 'dedicated'],
      problemStateSize: 0x10000 * 17,
      perProcess: { offset: 0x10000, size: 0x10000 },
      configRecords: [{ vendor: 0x1014, device: 0xec40, class: 0x120000 }],
    },
    powerOn: () => ({ attach: (process) => new EchoProcess(process) }),
  };
}

class EchoProcess implements ProcessLogic {
  readonly #process: AfuProcess;
  #echo: bigint;
  #count = 0n;

  readonly #registers = new Registers({
    0: {
      read: () => this.#echo,
      write: (value) => {
        this.#echo = value;
        this.#count += 1n;
      },
    },
    8: { read: () => this.#count },
    16: { write: (address) => this.#writeBack(address) },
  });

  constructor(process: AfuProcess) {
    this.#process = process;
    this.#echo = process.wed;
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    return this.#registers.read(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    this.#registers.write(offset, width, value);
  }

  #writeBack(address: bigint): void {
    const target = this.#process.access(address, 8, 'write');
    // Nothing is mapped there; access() has raised a data storage fault.
    if (target === undefined) return;
    new DataView(target.buffer, target.byteOffset, 8).setBigUint64(0, this.#echo);
    this.#process.raiseInterrupt(1);
  }
}
