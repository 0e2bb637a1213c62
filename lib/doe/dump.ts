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
 * @example
 * import { parseLspciDump } from 'node-cxl/doe';
 *
 * const zeros = ' 00'.repeat(16);
 * const lines = [`00: 14 10 77 04${' 00'.repeat(12)}`, ...['10', '20', '30'].map((at) => `${at}:${zeros}`)];
 * const dump = ['01:00.0 Processing accelerators', ...lines].join('\n');
 * const config = parseLspciDump(dump).get('0000:01:00.0');
 * console.log(config?.readUInt16LE(2).toString(16)); // 477
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

/**
 * A function's configuration space in the form of `lspci -xxxx`.
 *
 * @example
 * import { formatLspciDump } from 'node-cxl/doe';
 *
 * const config = Buffer.alloc(64);
 * config.writeUInt16LE(0x1014, 0);
 * const [title, line] = formatLspciDump('0000:01:00.0', config, 'A card').split('\n');
 * console.log(title, '/', line?.slice(0, 9)); // 0000:01:00.0 A card / 00: 14 10
 */
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

/**
 * A PCI bus of recorded functions. Refuses to open one for writing (EROFS).
 *
 * @example
 * import { Doe, DumpPci, formatLspciDump } from 'node-cxl/doe';
 *
 * const bridge = formatLspciDump('00:1f.0', new Uint8Array(256), 'ISA bridge');
 * const card = formatLspciDump('01:00.0', new Uint8Array(256), 'Processing accelerators');
 * const doe = new Doe(new DumpPci(`${bridge}\n${card}`));
 * console.log(await doe.functions()); // [ '0000:00:1f.0', '0000:01:00.0' ]
 */
export class DumpPci implements PciBus {
  /** Tells the backends apart. */
  readonly kind = 'dump';
  readonly #functions: Map<string, Buffer>;

  /**
   * Reads the dump.
   *
   * @param text what `lspci -xxxx` printed
   * @throws as parseLspciDump()
   */
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
