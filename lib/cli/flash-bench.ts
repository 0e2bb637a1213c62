/** `node-cxl flash bench`: commands per second of a LUN, at a given queue depth. */
import type { BlockDevice, FlashAttachOptions } from '../flash';
import { checkInteger } from '../shared/checks';
import { UsageError } from './failure';
import { type AccessOptions, withDevice } from './flash-device';
import { show } from './output';
import type { Session } from './session';

export interface BenchOptions extends AccessOptions {
  /** Commands in flight. */
  readonly depth: number;
  /** Milliseconds. */
  readonly for: number;
  /** Blocks of each command. */
  readonly blocks: number;
  /** Write instead of reading: the data on the LUN is lost. */
  readonly write?: boolean;
  readonly yes?: boolean;
  readonly poll?: boolean;
}

const MAX_DEPTH = 4096;

export async function bench(session: Session, node: string, options: BenchOptions): Promise<void> {
  if (options.write === true && options.yes !== true) {
    throw new UsageError(`--write overwrites ${node}: pass --yes to confirm`);
  }
  const attach: FlashAttachOptions = {
    access: options.write === true ? 'read-write' : 'read',
    completion: options.poll === true ? 'poll' : 'interrupt',
    queueDepth: checkInteger('--depth', options.depth, 1, MAX_DEPTH),
  };
  const result = await withDevice(session, node, options, attach, (device) => {
    const max = Math.min(device.resource.maxTransfer, Number(device.blocks));
    checkInteger('--blocks', options.blocks, 1, max);
    return measure(device, options, session.signal);
  });
  const { commands, durationMilliseconds, iops, mibPerSecond, meanLatencyMicroseconds } = result;
  show(options, result, {
    text: () =>
      `${commands} commands in ${(durationMilliseconds / 1000).toFixed(2)} s: ${iops} per second, ${mibPerSecond} MiB/s, mean latency ${meanLatencyMicroseconds} µs`,
  });
}

async function measure(device: BlockDevice, options: BenchOptions, signal: AbortSignal) {
  const { depth, blocks } = options;
  const span = device.blocks / BigInt(blocks);
  const end = performance.now() + options.for;
  let commands = 0;
  let latency = 0;
  const worker = async (number: number): Promise<void> => {
    const buffer = new Uint8Array(blocks * device.blockSize).fill(number);
    for (let round = 0; performance.now() < end; round += 1) {
      // Worker n uses every depth-th position, so that no two workers use the same blocks at once.
      const lba = (BigInt(round * depth + number) % span) * BigInt(blocks);
      const start = performance.now();
      if (options.write === true) await device.write(lba, buffer, { signal });
      else await device.read(lba, buffer, { signal });
      latency += performance.now() - start;
      commands += 1;
    }
  };
  const start = performance.now();
  await Promise.all([...Array(depth).keys()].map(worker));
  const milliseconds = performance.now() - start;
  const mebibytes = (commands * blocks * device.blockSize) / 2 ** 20;
  return {
    commands,
    durationMilliseconds: round(milliseconds, 1),
    iops: Math.round((commands / milliseconds) * 1000),
    mibPerSecond: round((mebibytes / milliseconds) * 1000, 1),
    /** From the call to the settled promise. */
    meanLatencyMicroseconds: round((latency / Math.max(commands, 1)) * 1000, 1),
  };
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
