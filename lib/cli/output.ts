/** How commands print data: as text for people, as JSON or as tab-separated fields for scripts. */
import { errorData, messageOf } from './failure';

/** Data that can be printed as JSON: bigints have been converted to hexadecimal strings. */
export type Data = { readonly [key: string]: DataValue };
export type DataValue = string | number | boolean | null | readonly DataValue[] | Data;

/** The options that every command has. */
export interface Format {
  readonly json?: boolean;
  readonly plain?: boolean;
}

/** Numbers and words that identify something, and register values, are printed in hexadecimal. */
export function hex(value: bigint | number, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** hex(), with null for undefined. */
export function presentHex(value: bigint | number | undefined, digits = 0): string | null {
  return value === undefined ? null : hex(value, digits);
}

/** null for undefined: JSON then has the same keys whatever attributes are absent. */
export function present<T>(value: T | undefined): T | null {
  return value ?? null;
}

export function print(text: string): void {
  process.stdout.write(`${printable(text)}\n`);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
const CONTROLS = /[\0-\x08\x0b-\x1f\x7f-\x9f]/g;

/** A device or a recording must not command the terminal. In JSON the escapes mean the same text. */
function printable(text: string): string {
  return text.replace(CONTROLS, (control) => {
    return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

export interface Forms {
  /** For people; may have several lines. */
  readonly text: () => string;
  /** For --plain: a line each. Default: a line with name and value for each property of `data`. */
  readonly rows?: () => readonly (readonly DataValue[])[];
}

/** Prints `data` in the form that the options ask for. */
export function show({ json, plain }: Format, data: Data, forms: Forms): void {
  if (json === true) {
    print(JSON.stringify(data, undefined, 2));
  } else if (plain === true) {
    const rows = forms.rows?.() ?? Object.entries(data);
    for (const row of rows) printFields(row);
  } else {
    const text = forms.text();
    if (text !== '') print(text);
  }
}

/** Prints a line of tab-separated fields. */
export function printFields(fields: readonly DataValue[]): void {
  print(fields.map((field) => inline(field).replaceAll(/[\t\n]/g, ' ')).join('\t'));
}

/** Prints an error, or a note or warning, as one line on stderr; as JSON where that was asked for. */
export function complain(
  kind: 'error' | 'warning' | 'note',
  error: unknown,
  { json }: Format,
): void {
  const prefix = kind === 'error' ? 'node-cxl' : kind;
  const line =
    json === true
      ? JSON.stringify({
          [kind]: kind === 'error' ? errorData(error) : { message: messageOf(error) },
        })
      : `${prefix}: ${messageOf(error)}`;
  process.stderr.write(`${printable(line)}\n`);
}

/** A value as text on one line; null and empty lists are '-'. */
export function inline(value: DataValue): string {
  if (value === null || value === '') return '-';
  if (Array.isArray(value)) return value.length === 0 ? '-' : value.map(inline).join(', ');
  if (typeof value === 'object') {
    return Object.entries(value)
      .map(([key, inner]) => `${words(key)} ${inline(inner as DataValue)}`)
      .join(', ');
  }
  return String(value);
}

/** 'perProcessMmioLength' as 'per process mmio length'. */
export function words(key: string): string {
  return key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
}

/** A number of bytes with its unit, such as '1.5 KiB'. */
export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || Number.isInteger(value) ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Bytes as a dump: offset, hexadecimal, text. Repeated lines are one `*`, as hexdump has them. */
export function dumpText(data: Uint8Array): string {
  const lines: string[] = [];
  let previous: string | undefined;
  for (let at = 0; at < data.length; at += 16) {
    const row = Buffer.from(data.subarray(at, at + 16));
    const digits = (row.toString('hex').match(/../g) ?? []).join(' ').padEnd(47);
    if (digits === previous && at + 16 < data.length) {
      if (lines.at(-1) !== '*') lines.push('*');
      continue;
    }
    previous = digits;
    const text = row.toString('latin1').replace(/[^ -~]/g, '.');
    lines.push(`${at.toString(16).padStart(4, '0')}  ${digits}  ${text}`);
  }
  return lines.join('\n');
}
