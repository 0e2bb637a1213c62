/** `node-cxl watch`: opens and attaches a context, and prints its events. */
import { type Context, type Cxl, type CxlEvent, formatEvent } from '../index';
import { findAfu } from './devices';
import { complain, type Data, type Format, hex, inline, print, printFields } from './output';
import { type Session, thenUndo } from './session';

export interface WatchOptions extends Format {
  wed: bigint;
  interrupts?: number;
  /** Stop after this many events. */
  count?: number;
  /** Stop after this many milliseconds. */
  for?: number;
  /** Registers to write once attached: [byte offset, value]. */
  write: readonly (readonly [number, bigint])[];
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

function printEvent(event: CxlEvent, { json, plain }: Format): void {
  const time = new Date().toISOString();
  if (json === true) {
    print(JSON.stringify({ time, ...eventData(event) }));
  } else if (plain === true) {
    const { type, processElement, ...rest } = eventData(event);
    printFields([time, type ?? null, processElement ?? null, inline(rest)]);
  } else {
    print(`${time}  ${formatEvent(event)}`);
  }
}

/** Opens the node called `name` (afu0.0m); by the name of an AFU (afu0.0), its default node. */
async function open(system: Cxl, name: string, signal: AbortSignal): Promise<Context> {
  const afu = await findAfu(system, name);
  return system.open(/[dms]$/.test(name) ? name : afu.name, { signal });
}

export async function watch(
  { system, signal }: Session,
  name: string,
  options: WatchOptions,
): Promise<void> {
  const context = await open(system, name, signal);
  await thenUndo(
    () => printEvents(context, options, signal),
    () => context.close(),
    (error) => complain('error', error, options),
  );
}

async function printEvents(
  context: Context,
  options: WatchOptions,
  signal: AbortSignal,
): Promise<void> {
  await context.attach({
    wed: options.wed,
    signal,
    ...(options.interrupts === undefined ? {} : { interrupts: options.interrupts }),
  });
  const { path, processElement } = context;
  complain('note', `watching ${path}, process element ${processElement ?? 'unknown'}`, options);
  if (options.write.length > 0) {
    const registers = context.mapProblemState();
    for (const [offset, value] of options.write) registers.write64(offset, value);
  }
  const end = options.for === undefined ? undefined : AbortSignal.timeout(options.for);
  const stop = new AbortController();
  const onEnd = () => stop.abort();
  for (const each of [signal, end]) each?.addEventListener('abort', onEnd, { once: true });
  if (signal.aborted) onEnd();
  let left = options.count ?? Number.POSITIVE_INFINITY;
  try {
    for await (const event of context.events({ signal: stop.signal })) {
      printEvent(event, options);
      left -= 1;
      if (left <= 0) break;
    }
  } catch (error) {
    // The time of --for is up, which is not a failure.
    if (!(end?.aborted && !signal.aborted)) throw error;
  }
}
