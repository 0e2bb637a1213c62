/** The device side of a DOE mailbox: its registers, what it answers, and injected faults. */
import type { NegativeErrno } from '../../binding';
import { checkProtocol, MAX_OBJECT_DWORDS, type Protocol } from '../../doe/exchange';
import {
  CAPABILITY_BITS,
  CONTROL_BITS,
  DOE_CAPABILITY_ID,
  OFFSETS,
  STATUS_BITS,
} from '../../doe/registers';
import {
  checkArray,
  checkBoolean,
  checkFunction,
  checkInteger,
  checkOneOf,
  checkOptions,
  type OptionNames,
} from '../../shared/checks';
import { rangeError } from '../../shared/errors';

/** What a mailbox answers to the requests of one protocol. */
export interface MockProtocol extends Protocol {
  /** The payload of the answer; undefined for no answer at all. */
  answer(request: Buffer): Buffer | undefined;
}

/** Injected faults. Each is in effect for as long as it is set. */
export interface MockFaults {
  /** The busy bit is set, as in an exchange of another user. */
  readonly busy?: boolean | undefined;
  /**
   * When the error bit is set: at the first dword of a request, at go, after the first dword of
   * an answer, or after the last.
   */
  readonly errorAt?: 'send' | 'go' | 'receive' | 'end' | undefined;
  /** Time from go to the answer, in milliseconds. Default 0. */
  readonly delay?: number | undefined;
  /** No request is answered. */
  readonly silent?: boolean | undefined;
  /** The protocol in the header of an answer, instead of the request's. */
  readonly answerAs?: Protocol | undefined;
  /** The length in the header of an answer, in dwords, instead of the true one. 0 is 2^18. */
  readonly announce?: number | undefined;
  /** Changes the payload of an answer. */
  readonly mangle?: ((payload: Buffer) => Buffer) | undefined;
  /** The abort bit has no effect. */
  readonly ignoresAbort?: boolean | undefined;
  /** After so many accesses the device is unplugged, or its link is down. */
  readonly goneAfter?:
    | {
        /** Loads and stores of registers. */
        readonly accesses: number;
        /** What happens then. */
        readonly how: 'unplugged' | 'link down';
      }
    | undefined;
}
export const MAILBOX_FAULTS: OptionNames<MockFaults> = {
  busy: true,
  errorAt: true,
  delay: true,
  silent: true,
  answerAs: true,
  announce: true,
  mangle: true,
  ignoresAbort: true,
  goneAfter: true,
};

/** Options of a modeled mailbox. */
export interface MockMailboxOptions {
  /** Capability version, 0 to 15. Default 1. */
  readonly version?: number | undefined;
  /** MSI or MSI-X message number, 0 to 2047. Default: no interrupt support. */
  readonly messageNumber?: number | undefined;
  /** What its capability says of the attention mechanism; the model has none. Default false. */
  readonly attention?: boolean | undefined;
  /** What its capability says of asynchronous messages; the model sends none. Default false. */
  readonly asyncMessages?: boolean | undefined;
  /** In addition to discovery, which lists them. A discovery protocol in here replaces that. */
  readonly protocols?: readonly MockProtocol[] | undefined;
  /** Default: none. */
  readonly faults?: MockFaults | undefined;
}
export const MAILBOX_OPTIONS: OptionNames<MockMailboxOptions> = {
  version: true,
  messageNumber: true,
  attention: true,
  asyncMessages: true,
  protocols: true,
  faults: true,
};

/** One access to a register of a mailbox. */
export interface RegisterAccess {
  /** Whether it was read or written. */
  readonly kind: 'read' | 'write';
  /** Byte offset from the start of the capability. */
  readonly register: number;
  /** 32 bits. */
  readonly value: number;
}

const LOG_LIMIT = 10_000;
const REQUEST_LIMIT = 1000;
/** Bytes of the requests that are kept; the newest one always is. */
const REQUEST_BYTES_LIMIT = 1 << 24;

/**
 * A modeled mailbox (PCIe 6.0 §6.30.2): its registers, and what a test does to it.
 *
 * @example
 * import { spdmProtocol, spdmVersions } from 'node-cxl/doe';
 * import { createMockDoe, spdm } from 'node-cxl/mock';
 *
 * const mailboxes = [{ protocols: [spdm()] }];
 * const doe = createMockDoe({ functions: [{ address: '0d:00.0', mailboxes }] });
 * const mailbox = await doe.find('0d:00.0', spdmProtocol);
 * const device = doe.function('0d:00.0').mailboxes[0];
 * if (device !== undefined) device.faults = { silent: true }; // answers no request
 * const error = await spdmVersions(mailbox, { timeout: 50 }).catch((reason) => reason);
 * console.log(error.code); // ETIMEDOUT
 */
export class MockMailbox {
  readonly #name: string;
  #faults: MockFaults = {};
  /** The newest accesses, in order: 10000 at most. */
  readonly log: RegisterAccess[] = [];
  /** The data objects of the newest requests that were answered, in order: 1000 at most. */
  readonly requests: Buffer[] = [];
  /** Called when the fault `goneAfter` occurs. The function of the mailbox sets it. */
  onGone: (how: 'unplugged' | 'link down') => void = () => {};

  readonly #version: number;
  readonly #capabilities: number;
  readonly #protocols: readonly MockProtocol[];
  #accesses = 0;
  #error = false;
  #request: number[] = [];
  #answer: number[] = [];
  #fetched = 0;
  #answerDue = 0;

  /** `name`: what errors name. */
  constructor(options: MockMailboxOptions = {}, name = 'mailbox') {
    checkOptions(options, MAILBOX_OPTIONS, name);
    this.#name = name;
    const { version = 1, messageNumber, protocols = [], faults = {} } = options;
    this.#version = checkInteger(`${name}.version`, version, 0, 15);
    if (messageNumber !== undefined) {
      checkInteger(`${name}.messageNumber`, messageNumber, 0, 0x7ff);
    }
    const { attention = false, asyncMessages = false } = options;
    const bits = [
      messageNumber === undefined ? 0 : CAPABILITY_BITS.interrupt | (messageNumber << 1),
      checkBoolean(`${name}.attention`, attention) ? CAPABILITY_BITS.attention : 0,
      checkBoolean(`${name}.asyncMessages`, asyncMessages) ? CAPABILITY_BITS.asyncMessages : 0,
    ];
    this.#capabilities = bits.reduce((all, each) => all | each);
    checkArray(`${name}.protocols`, protocols).forEach(checkMockProtocol);
    const isDiscovery = (p: Protocol) => p.vendorId === 1 && p.type === 0;
    this.#protocols = protocols.some(isDiscovery)
      ? protocols
      : [this.#discovery(protocols), ...protocols];
    this.faults = faults;
  }

  /** The injected faults: to be replaced as a whole. */
  get faults(): MockFaults {
    return this.#faults;
  }

  /** Replaces them all. @throws ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE */
  set faults(faults: MockFaults) {
    this.#faults = checkFaults(faults, `${this.#name}.faults`);
  }

  /** The header of its extended capability; `next` is the offset of the next one, 0 for none. */
  header(next: number): number {
    checkInteger('next', next, 0, 0xfff);
    return (DOE_CAPABILITY_ID | (this.#version << 16) | (next << 20)) >>> 0;
  }

  /** Leaves the mailbox with the error bit set, or with an answer that nobody has read. */
  leaveBehind(what: 'error' | 'ready'): void {
    checkOneOf('what', what, ['error', 'ready']);
    if (what === 'error') this.#error = true;
    else this.#put([0x0001, 3, 0]);
  }

  /** The DOE status register, 32 bits: bit 0 busy, bit 2 error, bit 31 data object ready. */
  get status(): number {
    const ready = this.#ready() ? STATUS_BITS.ready : 0;
    const error = this.#error ? STATUS_BITS.error : 0;
    return (ready | error | (this.faults.busy === true ? STATUS_BITS.busy : 0)) >>> 0;
  }

  /** Ready for the next exchange: no error, no answer, no incomplete request. */
  get idle(): boolean {
    return this.status === 0 && this.#request.length === 0;
  }

  /** A load of the register at a byte offset from the start of the capability. */
  read(register: number): number | NegativeErrno {
    this.#count();
    const value = this.#value(register);
    this.#record({ kind: 'read', register, value });
    return value;
  }

  /** A store to the register at a byte offset from the start of the capability. */
  write(register: number, value: number): void {
    this.#count();
    this.#record({ kind: 'write', register, value });
    if (register === OFFSETS.control) this.#control(value);
    else if (register === OFFSETS.writeMailbox) this.#receive(value);
    else if (register === OFFSETS.readMailbox) this.#advance();
  }

  /** How many accesses there have been, those that the log has no more included. */
  get accesses(): number {
    return this.#accesses;
  }

  #record(access: RegisterAccess): void {
    this.log.push(access);
    if (this.log.length > LOG_LIMIT) this.log.shift();
  }

  #keep(request: Buffer): void {
    this.requests.push(request);
    const bytes = this.requests.reduce((sum, { length }) => sum + length, 0);
    let excess = bytes - REQUEST_BYTES_LIMIT;
    while (this.requests.length > REQUEST_LIMIT || (excess > 0 && this.requests.length > 1)) {
      excess -= this.requests.shift()!.length;
    }
  }

  #count(): void {
    const { goneAfter } = this.faults;
    this.#accesses += 1;
    if (goneAfter !== undefined && this.#accesses > goneAfter.accesses) this.onGone(goneAfter.how);
  }

  #value(register: number): number {
    switch (register) {
      case OFFSETS.capabilities:
        return this.#capabilities;
      case OFFSETS.status:
        return this.status;
      case OFFSETS.readMailbox:
        return this.#ready() ? (this.#answer[this.#fetched] as number) : 0;
      default:
        return 0;
    }
  }

  #control(value: number): void {
    if ((value & CONTROL_BITS.abort) !== 0) {
      if (this.faults.ignoresAbort === true) return;
      this.#error = false;
      this.#request = [];
      this.#answer = [];
    } else if ((value & CONTROL_BITS.go) !== 0) {
      const object = this.#request;
      this.#request = [];
      if (this.faults.errorAt === 'go') this.#error = true;
      else this.#process(object);
    }
  }

  #receive(dword: number): void {
    this.#request.push(dword);
    if (this.faults.errorAt === 'send') this.#error = true;
  }

  #process(object: number[]): void {
    const [head = 0, announced = 0] = object;
    const length = announced % MAX_OBJECT_DWORDS || MAX_OBJECT_DWORDS;
    if (object.length < 2 || length !== object.length || this.#error) return;
    const whole = Buffer.alloc(object.length * 4);
    object.forEach((dword, index) => {
      whole.writeUInt32LE(dword, index * 4);
    });
    const asked = { vendorId: head & 0xffff, type: (head >>> 16) & 0xff };
    const protocol = this.#protocols.find(
      ({ vendorId, type }) => vendorId === asked.vendorId && type === asked.type,
    );
    const plain = protocol?.answer(whole.subarray(8));
    if (plain === undefined || this.faults.silent === true) return;
    this.#keep(whole);
    const payload = this.faults.mangle?.(plain) ?? plain;
    const { vendorId, type } = this.faults.answerAs ?? asked;
    const dwords = [(vendorId | (type << 16)) >>> 0, this.#announce(payload)];
    for (let at = 0; at < payload.length; at += 4) dwords.push(payload.readUInt32LE(at));
    this.#put(dwords);
    this.#answerDue = performance.now() + (this.faults.delay ?? 0);
  }

  #announce(payload: Buffer): number {
    return this.faults.announce ?? (2 + payload.length / 4) % MAX_OBJECT_DWORDS;
  }

  #put(dwords: number[]): void {
    this.#answer = dwords;
    this.#fetched = 0;
    this.#answerDue = 0;
  }

  #ready(): boolean {
    return this.#fetched < this.#answer.length && performance.now() >= this.#answerDue;
  }

  #advance(): void {
    if (!this.#ready()) {
      this.#error = true;
      return;
    }
    const { errorAt } = this.faults;
    this.#fetched += 1;
    if (errorAt === 'receive' && this.#fetched === 1) this.#error = true;
    if (errorAt === 'end' && this.#fetched === this.#answer.length) this.#error = true;
  }

  #discovery(others: readonly Protocol[]): MockProtocol {
    const list = [{ vendorId: 0x0001, type: 0 }, ...others];
    return {
      vendorId: 0x0001,
      type: 0,
      answer: (request) => {
        const asked = request.length === 4 ? request.readUInt32LE() : undefined;
        if (asked === undefined) return undefined;
        if (this.#version >= 2 && ((asked >>> 8) & 0xff) !== 2) return undefined;
        const index = asked & 0xff;
        // For an index past the end QEMU's devices answer with vendor 0xffff.
        const { vendorId, type } = list[index] ?? { vendorId: 0xffff, type: 0xff };
        const next = index === list.length - 1 ? 0 : (index + 1) & 0xff;
        const answer = Buffer.alloc(4);
        answer.writeUInt32LE((vendorId | (type << 16) | (next << 24)) >>> 0);
        return answer;
      },
    };
  }
}

function checkMockProtocol(protocol: MockProtocol): void {
  checkProtocol(protocol);
  checkFunction('protocol.answer', protocol.answer);
}

function checkFaults(faults: MockFaults, name: string): MockFaults {
  checkOptions(faults, MAILBOX_FAULTS, name);
  const { errorAt, delay, answerAs, announce, mangle, goneAfter } = faults;
  for (const flag of ['busy', 'silent', 'ignoresAbort'] as const) {
    if (faults[flag] !== undefined) checkBoolean(`${name}.${flag}`, faults[flag]);
  }
  if (errorAt !== undefined) {
    checkOneOf(`${name}.errorAt`, errorAt, ['send', 'go', 'receive', 'end']);
  }
  if (delay !== undefined && !(typeof delay === 'number' && delay >= 0 && delay < 2 ** 31)) {
    throw rangeError(`${name}.delay`, 'milliseconds, from 0 to 2^31 - 1', delay);
  }
  if (answerAs !== undefined) {
    checkProtocol(checkOptions(answerAs, PROTOCOL, `${name}.answerAs`));
  }
  if (announce !== undefined) {
    checkInteger(`${name}.announce`, announce, 0, MAX_OBJECT_DWORDS - 1);
  }
  if (mangle !== undefined) checkFunction(`${name}.mangle`, mangle);
  if (goneAfter !== undefined) {
    checkOptions(goneAfter, GONE_AFTER, `${name}.goneAfter`);
    checkInteger(`${name}.goneAfter.accesses`, goneAfter.accesses, 0, Number.MAX_SAFE_INTEGER);
    checkOneOf(`${name}.goneAfter.how`, goneAfter.how, ['unplugged', 'link down']);
  }
  return faults;
}

const PROTOCOL: OptionNames<Protocol> = { vendorId: true, type: true };
const GONE_AFTER: OptionNames<NonNullable<MockFaults['goneAfter']>> = {
  accesses: true,
  how: true,
};
