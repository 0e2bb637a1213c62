/** Measures commands per second of a block device, at a given queue depth. */
import type { BlockDevice } from '../flash';

export interface BenchOptions {
  /** Commands in flight. */
  readonly depth: number;
  readonly seconds: number;
  /** Blocks of each command. */
  readonly blocks: number;
  /** Write instead of reading: the data on the LUN is lost. */
  readonly write?: boolean;
  readonly poll?: boolean;
  /** Aborting ends the measurement without a result. */
  readonly signal?: AbortSignal;
}

export interface BenchResult extends Record<string, unknown> {
  readonly commands: number;
  readonly seconds: number;
  readonly iops: number;
  readonly mibPerSecond: number;
  /** Microseconds from the call to the settled promise. */
  readonly meanLatency: number;
}

export async function bench(device: BlockDevice, options: BenchOptions): Promise<BenchResult> {
  const { depth, blocks } = options;
  const transfer = options.signal === undefined ? {} : { signal: options.signal };
  const span = device.blocks / BigInt(blocks);
  const end = performance.now() + options.seconds * 1000;
  let commands = 0;
  let latency = 0;
  const worker = async (number: number): Promise<void> => {
    const buffer = new Uint8Array(blocks * device.blockSize).fill(number);
    for (let round = 0; performance.now() < end; round += 1) {
      // Worker n uses every depth-th position, so that no two workers use the same blocks at once.
      const lba = (BigInt(round * depth + number) % span) * BigInt(blocks);
      const start = performance.now();
      if (options.write === true) await device.write(lba, buffer, transfer);
      else await device.read(lba, buffer, transfer);
      latency += performance.now() - start;
      commands += 1;
    }
  };
  const start = performance.now();
  await Promise.all([...Array(depth).keys()].map(worker));
  const seconds = (performance.now() - start) / 1000;
  const mebibytes = (commands * blocks * device.blockSize) / 2 ** 20;
  return {
    commands,
    seconds: round(seconds, 2),
    iops: Math.round(commands / seconds),
    mibPerSecond: round(mebibytes / seconds, 1),
    meanLatency: round((latency / Math.max(commands, 1)) * 1000, 1),
  };
}

export function benchText(result: BenchResult): string {
  const { commands, seconds, iops, mibPerSecond, meanLatency } = result;
  return `${commands} commands in ${seconds} s: ${iops} per second, ${mibPerSecond} MiB/s, mean latency ${meanLatency} µs`;
}

function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
