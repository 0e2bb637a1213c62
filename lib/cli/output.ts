/** How commands print data: as JSON for scripts, or as text for people. */

/** Data that can be printed as JSON: bigints have been converted to hexadecimal strings. */
export type Data = { readonly [key: string]: DataValue };
export type DataValue = string | number | boolean | null | readonly DataValue[] | Data;

export function hex(value: bigint | number, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** null for undefined: JSON then has the same keys whatever attributes are absent. */
export function present<T>(value: T | undefined): T | null {
  return value ?? null;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** `pretty`: indented, for a command that prints one document; else on one line. */
export function printJson(data: DataValue, pretty = true): void {
  print(JSON.stringify(data, undefined, pretty ? 2 : undefined));
}

/** A value as text on one line; null and empty lists are '-'. */
export function inline(value: DataValue): string {
  if (value === null) return '-';
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
