import { type InspectOptions, inspect } from 'node:util';

/**
 * What an object with #private state returns from its method [inspect.custom], which util.inspect()
 * and console.log() call. `state` is what a reader wants to know of it, taken without a system call:
 * an object must be printable whatever has become of its device.
 *
 * @param depth how deep the caller still wants to see; below 0 only the class
 */
export function shown(
  object: object,
  depth: number,
  options: InspectOptions,
  state: Record<string, unknown>,
): string {
  const { name } = object.constructor;
  if (depth < 0) return `[${name}]`;
  const known = Object.entries(state).filter(([, value]) => value !== undefined);
  return `${name} ${inspect(Object.fromEntries(known), { ...options, depth: 0 })}`;
}

/** An address or id as it is written: a string would be in quotes. */
export function hexadecimal(value: bigint): object {
  const text = `0x${value.toString(16)}`;
  return { [inspect.custom]: () => text };
}
