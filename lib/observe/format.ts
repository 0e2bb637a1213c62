/** A call as one line of text, much as strace prints system calls. */
import { inspect } from 'node:util';
import type { Call } from './call';

/** Fields of numbers that are written in hexadecimal: places, not counts. */
const PLACES = new Set(['offset', 'address']);
const MAX_BYTES_SHOWN = 16;

/**
 * `/dev/cxl/afu0.0s(4096) write64 {offset: 0x10, value: 0x1n}`, then ` = ` with the answer, or the
 * error. 64-bit values and offsets are in hexadecimal.
 */
export function formatCall(call: Call): string {
  const { path, fd, name, input } = call;
  const where = path === undefined ? '' : `${path}${fd === undefined ? '' : `(${fd})`} `;
  const fields = Object.values(input).some((value) => value !== undefined);
  return `${where}${name}${fields ? ` ${formatValue(input)}` : ''}${formatResult(call)}`;
}

function formatResult({ error, answer, duration }: Call): string {
  if (error !== undefined) return ` = ${error}`;
  if (duration === undefined) return ' …';
  return answer === undefined ? '' : ` = ${formatValue(answer)}`;
}

/** A value of a call, short, on one line. */
export function formatValue(value: unknown, name = ''): string {
  if (typeof value === 'bigint') return `0x${value.toString(16)}n`;
  if (typeof value === 'number' && PLACES.has(name)) return `0x${value.toString(16)}`;
  if (value instanceof Uint8Array) {
    const hex = Buffer.from(value.subarray(0, MAX_BYTES_SHOWN)).toString('hex');
    return `<${value.length} bytes: ${hex}${value.length > MAX_BYTES_SHOWN ? '…' : ''}>`;
  }
  if (Array.isArray(value)) return `[${value.map((one) => formatValue(one)).join(', ')}]`;
  if (typeof value === 'object' && value !== null && !(value instanceof RegExp)) {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return `{${fields.map(([key, field]) => `${key}: ${formatValue(field, key)}`).join(', ')}}`;
  }
  if (typeof value === 'function') return value.name === '' ? 'a match' : value.name;
  return inspect(value, { breakLength: Number.POSITIVE_INFINITY });
}
