/**
 * The AFU image of a flash adapter as the mock's kernel loads it. Contexts get their logic
 * from the flash driver, which announces each before it starts it.
 */
import type { AfuModel, AfuProcess, ProcessLogic } from '../device/model';
import type { ContextDevice } from './platform';
import type { ContextPort } from './sislite-afu';

const mostContexts = 512;
const hostPageBytes = 65536;
const controlBytes = 128;
const globalBytes = 65536;

export type DeviceMaker = (port: ContextPort) => ContextDevice;

export class FlashAfuModel implements AfuModel {
  readonly name = 'cxlflash';
  readonly descriptor: AfuModel['descriptor'];
  /** What the next context that is attached shall be. */
  next: DeviceMaker | undefined;
  /** Told when a context is detached while its device lives. */
  onDetach: () => void = () => undefined;

  constructor(contexts: number, interruptsMinimum: number) {
    this.descriptor = {
      processes: contexts,
      interruptsMinimum,
      modes: ['directed'],
      problemStateSize: mostContexts * (hostPageBytes + controlBytes) + globalBytes,
      perProcess: { offset: 0, size: hostPageBytes },
      configRecords: [{ vendor: 0x1014, device: 0x0600, class: 0x010000 }],
    };
  }

  powerOn() {
    return { attach: (process: AfuProcess) => this.attach(process) };
  }

  private attach(process: AfuProcess): ProcessLogic {
    const make = this.next;
    this.next = undefined;
    // Opened as a plain cxl device: the driver gave it no right to anything.
    if (make === undefined) return { mmioRead: () => 0n, mmioWrite: () => undefined };
    const device = make({
      readMemory: (address, length) => process.access(address, length, 'read'),
      writeMemory(address, bytes) {
        const target = process.access(address, bytes.length, 'write');
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
