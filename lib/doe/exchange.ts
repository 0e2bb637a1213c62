/**
 * One exchange of data objects over a mailbox (PCIe 6.0 §6.30.2). The caller holds the lock of the
 * mailbox.
 *
 * Phases: idle → sending → waiting → receiving → idle. When a step fails, the exchange is aborted:
 * aborting → idle, or → dead when the mailbox does not become idle within a second.
 */
import { sleep, throwIfAborted } from '../shared/abort';
import { ALL_ONES_32 } from '../shared/all-ones';
import { checkInteger } from '../shared/checks';
import type { ErrnoName } from '../shared/errno';
import { CxlError, systemError, typeError } from '../shared/errors';
import type { MailboxRegisters } from './registers';

/** Length of the longest data object in 32-bit words, including its header of two. */
export const MAX_OBJECT_DWORDS = 2 ** 18;
/** Length of the longest payload, in bytes. */
export const MAX_PAYLOAD_BYTES = (MAX_OBJECT_DWORDS - 2) * 4;

/** Milliseconds. PCIe 6.0 §6.30.2: a mailbox answers, and completes an abort, within a second. */
export const RESPONSE_TIMEOUT = 1000;
const ABORT_TIMEOUT = 1000;
/** Longest pause between two reads of the status register, in milliseconds. */
const MAX_POLL_INTERVAL = 8;
/** After how many dwords of an answer the status register is checked. */
const DWORDS_PER_CHECK = 1024;
/** After how many dwords of a transfer the event loop may run. */
const DWORDS_PER_YIELD = 64;

/** A data object type: the vendor that defines it, and its number there. */
export interface Protocol {
  /** 16 bits: 0x0001 is the PCI-SIG, 0x1e98 Compute Express Link. */
  readonly vendorId: number;
  /** 8 bits. */
  readonly type: number;
}

/** What an exchange does at the moment; `dead`: the device does not answer any more. */
export type Phase = 'idle' | 'sending' | 'waiting' | 'receiving' | 'aborting' | 'dead';

/** An exchange to perform. */
export interface Transfer {
  readonly registers: MailboxRegisters;
  readonly protocol: Protocol;
  readonly payload: Buffer;
  /** Bytes of the answer's payload to keep; the rest is read and dropped. */
  readonly limit: number;
  /** Milliseconds that the device may take to answer. */
  readonly timeout: number;
  readonly signal: AbortSignal | undefined;
  readonly path: string;
  /** Called at each change of phase; `cause` is given when the mailbox is declared dead. */
  readonly setPhase: (phase: Phase, cause?: CxlError) => void;
}

export interface Answer {
  readonly payload: Buffer;
  /** Bytes of payload that the device sent, including those dropped. */
  readonly length: number;
}

/** @throws CxlError of the step that failed; the mailbox is then idle again, or declared dead */
export async function transact(transfer: Transfer): Promise<Answer> {
  const { registers, path, setPhase, signal } = transfer;
  try {
    const before = registers.status();
    if (before.busy) {
      throw fail(
        'EBUSY',
        'doe(send)',
        path,
        'another process or a driver is using the mailbox: try again later',
      );
    }
    // Not busy, but with an error or an unread answer: an earlier user left it behind.
    if (before.error || before.ready) await abort(transfer);
    throwIfAborted(signal);
    try {
      setPhase('sending');
      await send(transfer);
      setPhase('waiting');
      await answerReady(transfer);
      setPhase('receiving');
      const answer = await receive(transfer);
      setPhase('idle');
      return answer;
    } catch (error) {
      if (!isGone(error)) await abort(transfer, error);
      throw error;
    }
  } catch (error) {
    if (isGone(error)) setPhase('dead', error);
    throw error;
  }
}

/**
 * Aborts, and waits until the mailbox is idle; declares it dead when it does not become idle.
 * @throws `cause`, the failure that led to the abort, when given; else CxlError EIO
 */
export async function abort(
  transfer: Pick<Transfer, 'registers' | 'path' | 'setPhase'>,
  cause?: unknown,
): Promise<void> {
  const { registers, path, setPhase } = transfer;
  setPhase('aborting');
  const deadline = performance.now() + ABORT_TIMEOUT;
  try {
    registers.abort();
    for (let pause = 1; ; pause = Math.min(pause * 2, MAX_POLL_INTERVAL)) {
      const { busy, error, ready } = registers.status();
      if (!busy && !error && !ready) break;
      if (performance.now() >= deadline) {
        throw fail('EIO', 'doe(abort)', path, 'the mailbox was not idle 1 s after an abort');
      }
      await sleep(pause, undefined);
    }
  } catch (error) {
    setPhase('dead', error as CxlError);
    throw cause ?? error;
  }
  setPhase('idle');
}

async function send({ registers, protocol, payload, signal }: Transfer): Promise<void> {
  registers.send((protocol.vendorId | (protocol.type << 16)) >>> 0);
  // The field has 18 bits: the length of the longest object is written as 0.
  registers.send((2 + payload.length / 4) % MAX_OBJECT_DWORDS);
  for (let at = 0; at < payload.length; at += 4) {
    registers.send(payload.readUInt32LE(at));
    if (at % (DWORDS_PER_YIELD * 4) === 0) await registers.yieldToEventLoop(signal);
  }
  registers.go();
}

async function answerReady({ registers, timeout, signal, path }: Transfer): Promise<void> {
  const deadline = performance.now() + timeout;
  for (let pause = 1; ; pause = Math.min(pause * 2, MAX_POLL_INTERVAL)) {
    const { error, ready } = registers.status();
    if (error) throw fail('EIO', 'doe(wait)', path, 'the device refused the request');
    if (ready) return;
    if (performance.now() >= deadline) {
      const hint = `no answer in ${timeout} ms: a device ignores requests of protocols it does not know; discover() lists those it knows`;
      throw fail('ETIMEDOUT', 'doe(wait)', path, hint);
    }
    await sleep(pause, signal);
  }
}

async function receive(transfer: Transfer): Promise<Answer> {
  const { registers, protocol, limit, signal, path } = transfer;
  const header = registers.receive();
  const vendorId = header & 0xffff;
  const type = (header >>> 16) & 0xff;
  if (vendorId !== protocol.vendorId || type !== protocol.type) {
    // status() throws ENODEV when the device is gone.
    if (header === ALL_ONES_32) registers.status();
    const hint = `asked ${protocolName(protocol)}, the answer is of ${protocolName({ vendorId, type })}`;
    throw fail('EPROTO', 'doe(receive)', path, hint);
  }
  registers.advance();

  const dwords = registers.receive() % MAX_OBJECT_DWORDS || MAX_OBJECT_DWORDS;
  if (dwords < 2) {
    throw fail('EBADMSG', 'doe(receive)', path, 'the answer is shorter than its own header');
  }
  const length = (dwords - 2) * 4;
  if (length === 0) checkReady(transfer);
  registers.advance();

  const kept = Math.min(length, limit);
  // Rounded up to whole dwords: the last one may lie across the limit.
  const payload = Buffer.alloc(Math.ceil(kept / 4) * 4);
  for (let at = 0; at < length; at += 4) {
    const dword = registers.receive();
    if (at < kept) payload.writeUInt32LE(dword, at);
    const count = at / 4 + 1;
    if (at + 4 === length || count % DWORDS_PER_CHECK === 0) checkReady(transfer);
    registers.advance();
    if (count % DWORDS_PER_YIELD === 0) await registers.yieldToEventLoop(signal);
  }

  const after = registers.status();
  if (after.error)
    throw fail('EIO', 'doe(receive)', path, 'the device reported an error at the end');
  if (after.ready) {
    throw fail('EBADMSG', 'doe(receive)', path, 'the answer is longer than its header says');
  }
  return { payload: payload.subarray(0, kept), length };
}

/** Checks that the mailbox still has an answer before advance() goes on to its next dword. */
function checkReady({ registers, path }: Transfer): void {
  const { ready, error } = registers.status();
  if (!ready) {
    // Reading past the end of an answer makes a device set its error bit.
    throw fail('EBADMSG', 'doe(receive)', path, 'the answer is shorter than its header says');
  }
  if (error) throw fail('EIO', 'doe(receive)', path, 'the device reported an error');
}

function isGone(error: unknown): error is CxlError {
  return error instanceof CxlError && error.code === 'ENODEV';
}

function fail(code: ErrnoName, step: string, path: string, hint: string): CxlError {
  return systemError(code, step, path, hint, fail);
}

/**
 * Such as `1e98:02`: vendor and type in hexadecimal.
 *
 * @example
 * import { protocolName, tableAccessProtocol } from 'node-cxl/doe';
 *
 * console.log(protocolName(tableAccessProtocol)); // 1e98:02
 */
export function protocolName(protocol: Protocol): string {
  const { vendorId, type } = checkProtocol(protocol);
  return `${vendorId.toString(16).padStart(4, '0')}:${type.toString(16).padStart(2, '0')}`;
}

/** @internal A data object type. */
export function checkProtocol(protocol: Protocol): Protocol {
  if (typeof protocol !== 'object' || protocol === null) {
    throw typeError('protocol', 'an object { vendorId, type }', protocol);
  }
  return {
    vendorId: checkInteger('protocol.vendorId', protocol.vendorId, 0, 0xffff),
    type: checkInteger('protocol.type', protocol.type, 0, 0xff),
  };
}
