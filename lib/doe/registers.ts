/** The registers of one DOE capability (PCIe 6.0 §7.9.24). */
// The real clock, also where a test has replaced the global one: it measures what has blocked.
import { performance } from 'node:perf_hooks';
import { setImmediate as nextEventLoopTurn } from 'node:timers/promises';
import type { ConfigSpace } from '../binding/configuration-space';
import { throwIfAborted } from '../shared/abort';
import { ALL_ONES_32 } from '../shared/all-ones';
import { ERRNOS } from '../shared/errno';
import { systemError } from '../shared/errors';

export const DOE_CAPABILITY_ID = 0x2e;
/** Bytes from the header to the end of the read mailbox. */
export const REGISTERS_LENGTH = 0x18;

export const OFFSETS = {
  capabilities: 0x04,
  control: 0x08,
  status: 0x0c,
  writeMailbox: 0x10,
  readMailbox: 0x14,
} as const;

/** Of the DOE capabilities register. The message number has 11 bits. */
export const CAPABILITY_BITS = {
  interrupt: 1,
  attention: 0x1000,
  asyncMessages: 0x2000,
} as const;
export const CONTROL_BITS = { abort: 1, interruptEnable: 2, go: 0x8000_0000 } as const;
export const STATUS_BITS = {
  busy: 1,
  interrupt: 2,
  error: 4,
  asyncMessage: 8,
  atAttention: 0x10,
  ready: 0x8000_0000,
} as const;

/** Longest time, in milliseconds, that register accesses may block the event loop. */
const MAX_BLOCKING_TIME = 2;

/** The status register of a mailbox. */
export interface Status {
  /** DOE Busy (bit 0): the mailbox cannot take a request now. */
  readonly busy: boolean;
  /** An interrupt was raised and not acknowledged. */
  readonly interrupt: boolean;
  /** DOE Error (bit 2): the last exchange failed; only an abort clears it. */
  readonly error: boolean;
  /** The device has an asynchronous message (after PCIe 6.0). */
  readonly asyncMessage: boolean;
  /** The mailbox is ready to answer at once (after PCIe 6.0). */
  readonly atAttention: boolean;
  /** Data object ready. */
  readonly ready: boolean;
}

/** Each call is one 32-bit access of the device. Throws when the access is refused. */
export class MailboxRegisters {
  readonly #space: ConfigSpace;
  readonly #base: number;
  readonly #path: string;
  #blockingSince = performance.now();

  /** `base`: offset of the capability in `space`; `path`: what errors name. */
  constructor(space: ConfigSpace, base: number, path: string) {
    this.#space = space;
    this.#base = base;
    this.#path = path;
  }

  #read(register: number): number {
    const value = this.#space.readDword(this.#base + register);
    if (value < 0) throw systemError(value, 'read(config)', this.#path, readHint(value));
    return value;
  }

  #write(register: number, value: number): void {
    const answer = this.#space.writeDword(this.#base + register, value >>> 0);
    if (answer < 0) throw systemError(answer, 'write(config)', this.#path, writeHint(answer));
  }

  /** @throws CxlError ENODEV when the register reads all ones: no device answers */
  status(): Status {
    const value = this.#read(OFFSETS.status);
    if (value === ALL_ONES_32) {
      throw systemError('ENODEV', 'read(config)', this.#path, 'the device is gone');
    }
    const names = Object.keys(STATUS_BITS) as (keyof Status)[];
    const bits = names.map((name) => [name, (value & STATUS_BITS[name]) !== 0]);
    return Object.fromEntries(bits) as Status;
  }

  abort(): void {
    this.#write(OFFSETS.control, CONTROL_BITS.abort);
  }

  go(): void {
    this.#write(OFFSETS.control, CONTROL_BITS.go);
  }

  send(dword: number): void {
    this.#write(OFFSETS.writeMailbox, dword);
  }

  /** The current dword of the answer. advance() goes to the next one. */
  receive(): number {
    return this.#read(OFFSETS.readMailbox);
  }

  advance(): void {
    this.#write(OFFSETS.readMailbox, 0);
  }

  /**
   * Lets the event loop run when these accesses have blocked it for MAX_BLOCKING_TIME.
   * @throws AbortError
   */
  async yieldToEventLoop(signal: AbortSignal | undefined): Promise<void> {
    if (performance.now() - this.#blockingSince < MAX_BLOCKING_TIME) return;
    await nextEventLoopTurn();
    this.#blockingSince = performance.now();
    throwIfAborted(signal);
  }
}

/** What an error says about configuration space that cannot be read. */
export function readHint(errno: number): string {
  if (errno === -ERRNOS.ENODATA) return 'only root can read extended configuration space';
  if (errno === -ERRNOS.EACCES || errno === -ERRNOS.EPERM)
    return 'only root can open configuration space';
  return 'the device is gone, or its link is down';
}

function writeHint(errno: number): string {
  if (errno === -ERRNOS.EPERM) {
    return 'the kernel forbids it: it is locked down, or the process is not root (CAP_SYS_ADMIN)';
  }
  if (errno === -ERRNOS.EROFS) return 'a recorded configuration space has no device behind it';
  return 'the device is gone, or its link is down';
}
