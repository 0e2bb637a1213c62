/**
 * One exchange of data objects over a mailbox (PCIe 6.0 §6.30.2), for a holder of its lock.
 *
 * idle → sending → waiting → receiving → idle. A failure of an exchange of ours leads to
 * aborting, and from there to idle or, when the mailbox does not come back, to dead.
 */
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrnoName } from '../shared/errno';
import { CxlError, systemError } from '../shared/errors';
import { throwIfAborted } from './abort';
import type { MailboxRegisters } from './registers';

/** Dwords of the longest data object, its header of two included. */
export const maxObjectDwords = 2 ** 18;
export const maxPayloadBytes = (maxObjectDwords - 2) * 4;

/** PCIe 6.0 §6.30.2: a mailbox answers, and takes an abort, within a second. */
export const responseTimeoutMs = 1000;
const abortTimeoutMs = 1000;
const longestPollMs = 8;
/** Every so many dwords of an answer the mailbox is asked whether it still has one. */
const dwordsBetweenChecks = 1024;
const dwordsBetweenTurns = 64;

/** A data object type: who defines it, and its number there. */
export interface Protocol {
  /** 16 bits: 0x0001 is the PCI-SIG, 0x1e98 Compute Express Link. */
  readonly vendorId: number;
  /** 8 bits. */
  readonly type: number;
}

export type Phase = 'idle' | 'sending' | 'waiting' | 'receiving' | 'aborting' | 'dead';

export interface Transfer {
  readonly registers: MailboxRegisters;
  readonly protocol: Protocol;
  readonly payload: Buffer;
  /** Bytes of the answer's payload to keep; the rest is drained. */
  readonly limit: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
  readonly path: string;
  /** Called at each change of phase; a mailbox declared dead says why. */
  readonly enter: (phase: Phase, why?: CxlError) => void;
}

export interface Answer {
  readonly payload: Buffer;
  /** Bytes of payload the device sent, those drained included. */
  readonly length: number;
}

/** @throws CxlError of the step that failed; the mailbox is idle again, or declared dead. */
export async function transact(transfer: Transfer): Promise<Answer> {
  const { registers, path, enter, signal } = transfer;
  try {
    const before = registers.status();
    if (before.busy) {
      throw fail('EBUSY', 'doe(send)', path, 'somebody else is using the mailbox; try again later');
    }
    // An error or an answer nobody fetched, with nobody at work: left behind, ours to clear.
    if (before.error || before.ready) await abort(transfer);
    throwIfAborted(signal);
    try {
      enter('sending');
      await send(transfer);
      enter('waiting');
      await answerReady(transfer);
      enter('receiving');
      const answer = await receive(transfer);
      enter('idle');
      return answer;
    } catch (error) {
      if (!isGone(error)) await abort(transfer, error);
      throw error;
    }
  } catch (error) {
    if (isGone(error)) enter('dead', error);
    throw error;
  }
}

/**
 * Aborts, and waits until the mailbox is idle. `because` is the failure that led here: it is
 * what the caller is told, while the mailbox is declared dead behind it.
 */
export async function abort(
  transfer: Pick<Transfer, 'registers' | 'path' | 'enter'>,
  because?: unknown,
): Promise<void> {
  const { registers, path, enter } = transfer;
  enter('aborting');
  const deadline = performance.now() + abortTimeoutMs;
  try {
    registers.abort();
    for (let pause = 1; ; pause = Math.min(pause * 2, longestPollMs)) {
      const { busy, error, ready } = registers.status();
      if (!busy && !error && !ready) break;
      if (performance.now() >= deadline) {
        throw fail('EIO', 'doe(abort)', path, 'the mailbox did not come back from an abort in 1 s');
      }
      await sleep(pause);
    }
  } catch (error) {
    enter('dead', error as CxlError);
    throw because ?? error;
  }
  enter('idle');
}

async function send({ registers, protocol, payload, signal }: Transfer): Promise<void> {
  registers.send((protocol.vendorId | (protocol.type << 16)) >>> 0);
  // The longest object's length does not fit its 18 bits and is written as 0.
  registers.send((2 + payload.length / 4) % maxObjectDwords);
  for (let at = 0; at < payload.length; at += 4) {
    registers.send(payload.readUInt32LE(at));
    if (at % (dwordsBetweenTurns * 4) === 0) await registers.breathe(signal);
  }
  registers.go();
}

async function answerReady({ registers, timeoutMs, signal, path }: Transfer): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let pause = 1; ; pause = Math.min(pause * 2, longestPollMs)) {
    const { error, ready } = registers.status();
    if (error) throw fail('EIO', 'doe(wait)', path, 'the device refused the request');
    if (ready) return;
    if (performance.now() >= deadline) {
      const hint = `no answer in ${timeoutMs} ms: a device drops in silence what it does not know; ask discover() what it offers`;
      throw fail('ETIMEDOUT', 'doe(wait)', path, hint);
    }
    await sleep(pause, undefined, signal === undefined ? {} : { signal });
  }
}

async function receive(transfer: Transfer): Promise<Answer> {
  const { registers, protocol, limit, signal, path } = transfer;
  const header = registers.receive();
  const vendorId = header & 0xffff;
  const type = (header >>> 16) & 0xff;
  if (vendorId !== protocol.vendorId || type !== protocol.type) {
    if (header === 0xffff_ffff) registers.status();
    const hint = `asked ${protocolName(protocol)}, the answer is of ${protocolName({ vendorId, type })}`;
    throw fail('EPROTO', 'doe(receive)', path, hint);
  }
  registers.advance();

  const dwords = registers.receive() % maxObjectDwords || maxObjectDwords;
  if (dwords < 2) {
    throw fail('EBADMSG', 'doe(receive)', path, 'the answer is shorter than its own header');
  }
  const length = (dwords - 2) * 4;
  if (length === 0) stillReady(transfer);
  registers.advance();

  const kept = Math.min(length, limit);
  // Whole dwords: a limit in between would cut the last one in two.
  const payload = Buffer.alloc(Math.ceil(kept / 4) * 4);
  for (let at = 0; at < length; at += 4) {
    const dword = registers.receive();
    if (at < kept) payload.writeUInt32LE(dword, at);
    const count = at / 4 + 1;
    if (at + 4 === length || count % dwordsBetweenChecks === 0) stillReady(transfer);
    registers.advance();
    if (count % dwordsBetweenTurns === 0) await registers.breathe(signal);
  }

  const after = registers.status();
  if (after.error)
    throw fail('EIO', 'doe(receive)', path, 'the device reported an error at the end');
  if (after.ready) {
    throw fail('EBADMSG', 'doe(receive)', path, 'the answer is longer than its header says');
  }
  return { payload: payload.subarray(0, kept), length };
}

function stillReady({ registers, path }: Transfer): void {
  const { ready, error } = registers.status();
  if (!ready) {
    // Going on past the end of an answer makes a device raise its error bit.
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

export function protocolName({ vendorId, type }: Protocol): string {
  return `${vendorId.toString(16).padStart(4, '0')}:${type.toString(16).padStart(2, '0')}`;
}
