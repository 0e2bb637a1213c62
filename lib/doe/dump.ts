/** Configuration space that `lspci -xxxx` recorded: readable, without a device behind it. */
import type { NegativeErrno } from '../binding';
import type { ConfigSpace, Owner, PciBus } from '../binding/configuration-space';
import { checkBytes, checkString } from '../shared/checks';
import { ERRNOS } from '../shared/errno';
import { valueError } from '../shared/errors';
import { parseAddress } from './address';

const FUNCTION_LINE = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[01][0-9a-f]\.[0-7]) /i;
const DATA_LINE = /^([0-9a-f]{2,3}):((?: [0-9a-f]{2}){1,16})\s*$/i;

/**
 * The functions of a dump and the bytes of each (64, 256 or 4096).
 * @throws TypeError ERR_INVALID_ARG_VALUE for text that is no such dump
 */
export function parseLspciDump(text: string): Map<string, Buffer> {
  checkString('text', text);
  const functions = new Map<string, Buffer>();
  let bytes: number[] | undefined;
  let address = '';
  const finish = () => {
    if (bytes === undefined) return;
    if (![64, 256, 4096].includes(bytes.length)) {
      const expected = '64, 256 or 4096 bytes of configuration space a function';
      throw valueError('dump', expected, `${bytes.length} bytes for ${address}`);
    }
    functions.set(address, Buffer.from(bytes));
  };
  for (const line of text.split(/\r?\n/)) {
    const head = FUNCTION_LINE.exec(line);
    if (head !== null) {
      finish();
      address = parseAddress(head[1] as string);
      bytes = [];
      continue;
    }
    const data = DATA_LINE.exec(line);
    if (data === null) continue;
    if (bytes === undefined || Number.parseInt(data[1] as string, 16) !== bytes.length) {
      throw valueError('dump', 'in the form of lspci -xxxx, each row after the one before', line);
    }
    for (const byte of (data[2] as string).trim().split(' ')) bytes.push(Number.parseInt(byte, 16));
  }
  finish();
  if (functions.size === 0) {
    throw valueError('dump', 'in the form of lspci -xxxx; it has no function', text.slice(0, 60));
  }
  return functions;
}

/** A function's configuration space in the form of `lspci -xxxx`. */
export function formatLspciDump(address: string, bytes: Uint8Array, title = ''): string {
  const lines = [`${parseAddress(address)} ${checkString('title', title)}`];
  checkBytes('bytes', bytes);
  for (let at = 0; at < bytes.length; at += 16) {
    const data = Buffer.from(bytes.subarray(at, at + 16))
      .toString('hex')
      .match(/../g);
    lines.push(`${at.toString(16).padStart(2, '0')}: ${(data ?? []).join(' ')}`);
  }
  return `${lines.join('\n')}\n`;
}

/** A PCI bus of recorded functions. Refuses to open one for writing (EROFS). */
export class DumpPci implements PciBus {
  /** Tells the backends apart. */
  readonly kind = 'dump';
  readonly #functions: Map<string, Buffer>;

  constructor(text: string) {
    this.#functions = parseLspciDump(text);
  }

  path(address: string): string {
    return `dump:${address}`;
  }

  async functions(): Promise<string[]> {
    return [...this.#functions.keys()].sort();
  }

  /**
   * Opens the configuration space that the dump has, for reading alone. -ENOENT: it has no such
   * function; -EROFS for `write`.
   */
  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    const bytes = this.#functions.get(address);
    if (bytes === undefined) return -ERRNOS.ENOENT;
    if (access === 'write') return -ERRNOS.EROFS;
    return {
      size: bytes.length,
      readDword: (offset) =>
        offset + 4 <= bytes.length ? bytes.readUInt32LE(offset) : -ERRNOS.ENODATA,
      writeDword: () => -ERRNOS.EROFS,
      lock: () => -ERRNOS.EROFS,
      unlock: () => 0,
      close: () => {},
    };
  }

  /** Nobody: a dump has no driver. */
  async owner(): Promise<Owner> {
    return { kernelFeatures: [], kernelTables: [] };
  }

  async driver() {
    return undefined;
  }

  async unbind() {
    return -ERRNOS.EROFS;
  }

  async bind() {
    return -ERRNOS.EROFS;
  }
}
