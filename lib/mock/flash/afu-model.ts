/**
 * The AFU of a flash adapter as an AFU model. What a context's registers do depends on the
 * driver: it says so in `next` before it starts the context.
 */
import type { AfuModel, AfuProcess, ProcessLogic } from '../models/afu-model';
import type { DeviceMaker } from './platform';

/** The problem state area: a host-transport page and control registers per context, then global ones. */
const MAX_CONTEXTS = 512;
const HOST_PAGE_SIZE = 65536;
const CONTROL_SIZE = 128;
const GLOBAL_SIZE = 65536;

export class FlashAfuModel implements AfuModel {
  readonly name = 'cxlflash';
  readonly descriptor: AfuModel['descriptor'];
  /** Makes the device of the context that is attached next. */
  next: DeviceMaker | undefined;
  /** Called when a context is detached. */
  onDetach: () => void = () => undefined;

  constructor(contexts: number, interruptsMinimum: number) {
    this.descriptor = {
      processes: contexts,
      interruptsMinimum,
      modes: ['directed'],
      problemStateSize: MAX_CONTEXTS * (HOST_PAGE_SIZE + CONTROL_SIZE) + GLOBAL_SIZE,
      perProcess: { offset: 0, size: HOST_PAGE_SIZE },
      configRecords: [{ vendor: 0x1014, device: 0x0600, class: 0x010000 }],
    };
  }

  powerOn() {
    return { attach: (process: AfuProcess) => this.#attach(process) };
  }

  #attach(process: AfuProcess): ProcessLogic {
    const make = this.next;
    this.next = undefined;
    // Opened through /dev/cxl: cxlflash does not know of it, and the AFU does nothing for it.
    if (make === undefined) return { mmioRead: () => 0n, mmioWrite: () => undefined };
    const access = (address: bigint, length: number, direction: 'read' | 'write') =>
      process.isMapped(address, length)
        ? process.access(address, length, direction)
        : process.access(firstUnmapped(process, address, length), 1, direction);
    const device = make({
      readMemory: (address, length) => access(address, length, 'read'),
      writeMemory(address, bytes) {
        const target = access(address, bytes.length, 'write');
        target?.set(bytes);
        return target !== undefined;
      },
      interrupt: (number) => {
        process.raiseInterrupt(number);
      },
    });
    return {
      mmioRead: (offset, width) => (width === 8 ? device.read64(offset) : 0n),
      mmioWrite(offset, width, value) {
        if (width !== 8) return;
        device.write64(offset, value);
        if (device.busy) process.wake();
      },
      step: () => device.step() && device.busy,
      detach: () => this.onDetach(),
    };
  }
}

/** The first address of a range that cannot be translated, which a data storage event reports. */
function firstUnmapped(process: AfuProcess, address: bigint, length: number): bigint {
  let mapped = 0;
  let beyond = length;
  while (beyond - mapped > 1) {
    const middle = mapped + Math.floor((beyond - mapped) / 2);
    if (process.isMapped(address, middle)) mapped = middle;
    else beyond = middle;
  }
  return address + BigInt(mapped);
}
