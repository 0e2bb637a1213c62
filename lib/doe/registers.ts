/** The registers of one DOE capability (PCIe 6.0 §7.9.24), reached through an open space. */
import { performance } from 'node:perf_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { systemError } from '../shared/errors';
import { throwIfAborted } from './abort';
import type { ConfigSpace } from './pci';

export const doeCapabilityId = 0x2e;
/** Bytes from the header to the end of the read mailbox. */
export const registersLength = 0x18;

export const offsets = {
  capabilities: 0x04,
  control: 0x08,
  status: 0x0c,
  writeMailbox: 0x10,
  readMailbox: 0x14,
} as const;

export const controlBits = { abort: 1, interruptEnable: 2, go: 0x8000_0000 } as const;
export const statusBits = { busy: 1, interrupt: 2, error: 4, ready: 0x8000_0000 } as const;

/** How long the event loop may be kept by accesses in a row, in milliseconds. */
const turnLength = 2;

export interface Status {
  readonly busy: boolean;
  readonly error: boolean;
  /** Data object ready. */
  readonly ready: boolean;
}

/** One dword access a call; a refusal, or a device that is gone, is thrown. */
export class MailboxRegisters {
  #turnStarted = performance.now();

  constructor(
    private readonly space: ConfigSpace,
    private readonly base: number,
    private readonly path: string,
  ) {}

  #read(register: number): number {
    const value = this.space.readDword(this.base + register);
    if (value < 0) throw systemError(value, 'read(config)', this.path, readHint(value));
    return value;
  }

  #write(register: number, value: number): void {
    const answer = this.space.writeDword(this.base + register, value >>> 0);
    if (answer < 0) throw systemError(answer, 'write(config)', this.path, writeHint(answer));
  }

  /** @throws CxlError ENODEV when the register reads all ones: nothing answers any more. */
  status(): Status {
    const value = this.#read(offsets.status);
    if (value === 0xffff_ffff) {
      throw systemError('ENODEV', 'read(config)', this.path, 'the device is gone');
    }
    return {
      busy: (value & statusBits.busy) !== 0,
      error: (value & statusBits.error) !== 0,
      ready: (value & statusBits.ready) !== 0,
    };
  }

  abort(): void {
    this.#write(offsets.control, controlBits.abort);
  }

  go(): void {
    this.#write(offsets.control, controlBits.go);
  }

  send(dword: number): void {
    this.#write(offsets.writeMailbox, dword);
  }

  /** The dword at the head of the answer, which stays until advance(). */
  receive(): number {
    return this.#read(offsets.readMailbox);
  }

  advance(): void {
    this.#write(offsets.readMailbox, 0);
  }

  /** Gives the event loop its turn when this transfer has kept it long enough. */
  async breathe(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#turnStarted < turnLength) return;
    await nextTurn();
    this.#turnStarted = performance.now();
    throwIfAborted(signal);
  }
}

/** What to do when configuration space cannot be read. */
export function readHint(errno: number): string {
  if (errno === -61) return 'extended configuration space is readable by root alone';
  if (errno === -13 || errno === -1) return 'configuration space is open to root alone';
  return 'the device is gone, or its link is down';
}

function writeHint(errno: number): string {
  if (errno === -1) {
    return 'the kernel forbids it: locked down, or not root (CAP_SYS_ADMIN)';
  }
  if (errno === -30) return 'a recorded configuration space has no device behind it';
  return 'the device is gone, or its link is down';
}
