/** What commands print: the same data as JSON for scripts and as text for people. */

/** Data as commands gather it; bigints are hexadecimal strings already. */
export type Data = { readonly [key: string]: DataValue };
export type DataValue = string | number | boolean | null | readonly DataValue[] | Data;

export function hex(value: bigint | number, digits = 0): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

/** Absent attributes are null, so that every object has the same keys. */
export function present<T>(value: T | undefined): T | null {
  return value ?? null;
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

/** `pretty` for one document, one line each for what comes one by one. */
export function printJson(data: DataValue, pretty = true): void {
  print(JSON.stringify(data, undefined, pretty ? 2 : undefined));
}

/** A value on one line: '-' for what is absent. */
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
