/** `node-cxl watch`: opens and attaches a context, and prints its events. */
import type { Context, Cxl, CxlEvent } from '../index';
import { findAfu } from './devices';
import { UsageError } from './failure';
import { type Data, hex, inline, print, printJson } from './output';

export interface WatchOptions {
  json?: boolean;
  wed: bigint;
  interrupts?: number;
  /** Stop after this many events. */
  count?: number;
  /** Stop after this many milliseconds. */
  for?: number;
  /** Registers to write once attached: [byte offset, value]. */
  write: readonly (readonly [number, bigint])[];
}

/** Parses 'OFFSET=VALUE'; each is decimal, or hexadecimal with 0x. */
export function parseWrite(text: string): [number, bigint] {
  const match = /^(0x[0-9a-f]+|\d+)=(0x[0-9a-f]+|\d+)$/i.exec(text);
  if (match === null) throw new UsageError(`--write '${text}': expected OFFSET=VALUE`);
  return [Number(match[1]), BigInt(match[2] as string)];
}

/** An event for printing, with addresses, values and bytes in hexadecimal. */
export function eventData(event: CxlEvent): Data {
  switch (event.type) {
    case 'data-storage':
      return { ...event, address: hex(event.address), dsisr: hex(event.dsisr) };
    case 'afu-error':
      return { ...event, error: hex(event.error) };
    case 'afu-driver':
      return {
        type: event.type,
        processElement: event.processElement,
        data: Buffer.from(event.data).toString('hex'),
      };
    case 'unknown':
      return { ...event, data: Buffer.from(event.data).toString('hex') };
    default:
      return { ...event };
  }
}

function printEvent(event: CxlEvent, json: boolean): void {
  const data = eventData(event);
  if (json) {
    printJson({ time: new Date().toISOString(), ...data }, false);
    return;
  }
  const { type, ...rest } = data;
  print(`${new Date().toISOString()}  ${type}  ${inline(rest)}`);
}

/** Opens the node called `name` (afu0.0m); by the name of an AFU (afu0.0), its default node. */
async function open(system: Cxl, name: string): Promise<Context> {
  const afu = await findAfu(system, name);
  if (/[dms]$/.test(name)) return system.open(name);
  return afu.open();
}

export async function watch(
  system: Cxl,
  name: string,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  const context = await open(system, name);
  try {
    await context.attach({
      wed: options.wed,
      ...(options.interrupts === undefined ? {} : { interrupts: options.interrupts }),
    });
    const json = options.json === true;
    const { path, processElement } = context;
    process.stderr.write(`watching ${path}, process element ${processElement ?? 'unknown'}\n`);
    if (options.write.length > 0) {
      const registers = context.mapProblemState();
      for (const [offset, value] of options.write) registers.write64(offset, value);
    }
    const end = options.for === undefined ? undefined : AbortSignal.timeout(options.for);
    const stop = new AbortController();
    const onEnd = () => stop.abort();
    for (const each of [signal, end]) each?.addEventListener('abort', onEnd, { once: true });
    let left = options.count ?? Number.POSITIVE_INFINITY;
    try {
      for await (const event of context.events({ signal: stop.signal })) {
        printEvent(event, json);
        left -= 1;
        if (left <= 0) break;
      }
    } catch (error) {
      // The time of --for is up, which is not a failure.
      if (!(end?.aborted && !signal.aborted)) throw error;
    }
  } finally {
    await context.close();
  }
}
