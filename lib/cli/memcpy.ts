/** `node-cxl memcpy`: copies a file by the memcpy AFU, and verifies the copy. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import type { Cxl, Memory } from '../index';
import { systemError } from '../shared/errors';
import { findAfu } from './devices';
import { UsageError } from './failure';
import { findMemcpyAfu, isMemcpyAfu, MemcpyJob } from './memcpy-job';
import { bytes, print, printJson } from './output';

export interface MemcpyCommandOptions {
  in: string;
  out: string;
  afu?: string;
  poll?: boolean;
  json?: boolean;
  /** Milliseconds for each batch of work elements. */
  timeout: number;
  /** 'auto': when stderr is a terminal. */
  progress: 'auto' | 'always' | 'never';
}

/** Bytes copied by one batch of work elements. Small files have several too, to show progress. */
const MAX_BATCH_SIZE = 4 * 1024 * 1024;
const MIN_BATCH_SIZE = 1024;
const MIN_BATCHES = 8;

function batchSize(total: number, capacity: number): number {
  const wanted = total === 0 ? MAX_BATCH_SIZE : Math.ceil(total / MIN_BATCHES);
  const rounded = Math.ceil(wanted / MIN_BATCH_SIZE) * MIN_BATCH_SIZE;
  return Math.min(rounded, MAX_BATCH_SIZE, capacity);
}

async function checkFiles(from: string, to: string): Promise<number> {
  const input = await stat(from);
  if (input.isDirectory()) throw new UsageError(`--in ${from} is a directory`);
  const output = await stat(to).catch(() => undefined);
  if (output?.isDirectory()) throw new UsageError(`--out ${to} is a directory`);
  if (output !== undefined && output.dev === input.dev && output.ino === input.ino) {
    throw new UsageError('--in and --out are the same file');
  }
  return input.isFile() ? input.size : 0;
}

function progressBar(total: number, when: MemcpyCommandOptions['progress']) {
  if (when === 'never' || (when === 'auto' && !process.stderr.isTTY) || total === 0) {
    return undefined;
  }
  const bar = new SingleBar({
    format: 'copying [{bar}] {percentage}% of {size}',
    barsize: 30,
    stream: process.stderr,
    noTTYOutput: true,
    notTTYSchedule: 2000,
    // The program handles Ctrl-C itself, to close the context.
    gracefulExit: false,
  });
  bar.start(total, 0, { size: bytes(total) });
  return bar;
}

export async function memcpy(
  system: Cxl,
  options: MemcpyCommandOptions,
  signal: AbortSignal,
): Promise<void> {
  const total = await checkFiles(options.in, options.out);
  const afu =
    options.afu === undefined ? await findMemcpyAfu(system) : await findAfu(system, options.afu);
  if (afu === undefined) {
    const hint = 'no AFU has the configuration record 1014:4350; choose one with --afu';
    throw systemError('ENODEV', 'find', 'memcpy AFU', hint);
  }
  if (options.afu !== undefined && !(await isMemcpyAfu(afu))) {
    // Only a warning: an image built by the user may lack the record.
    process.stderr.write(
      `warning: ${afu.name} has no configuration record of the memcpy AFU (1014:4350)\n`,
    );
  }
  const job = await MemcpyJob.start(system, afu, {
    poll: options.poll === true,
    timeout: options.timeout,
    signal,
  });
  const memory: Memory[] = [];
  const sums = { in: createHash('sha256'), out: createHash('sha256') };
  if (options.json !== true) {
    print(`card${afu.adapterNumber}, ${afu.name}, process element ${job.processElement}`);
  }
  try {
    const size = batchSize(total, job.capacity);
    const source = system.allocate(size);
    const target = system.allocate(size);
    memory.push(source, target);
    const input = await open(options.in, 'r');
    try {
      const output = await open(options.out, 'w');
      const bar = progressBar(total, options.progress);
      try {
        for (;;) {
          const { bytesRead } = await input.read(Buffer.from(source.buffer), 0, size, null);
          if (bytesRead === 0) break;
          sums.in.update(new Uint8Array(source.buffer, 0, bytesRead));
          await job.copy(source, target, bytesRead);
          const copied = Buffer.from(target.buffer, 0, bytesRead);
          sums.out.update(copied);
          await output.writeFile(copied);
          bar?.update(Math.min(job.counts.bytes, total));
        }
      } finally {
        bar?.stop();
        await output.close();
      }
    } finally {
      await input.close();
    }
  } finally {
    await job.close();
    for (const each of memory) each.free({ force: true });
  }
  report(afu.name, job, sums.in.digest('hex'), sums.out.digest('hex'), options);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function report(
  afu: string,
  { counts, processElement }: MemcpyJob,
  sourceSum: string,
  copySum: string,
  options: MemcpyCommandOptions,
): void {
  const identical = sourceSum === copySum;
  const seconds = counts.busy / 1000;
  const throughput = seconds > 0 ? Math.round(counts.bytes / seconds) : 0;
  if (options.json === true) {
    printJson({
      afu,
      processElement,
      bytes: counts.bytes,
      workElements: counts.elements,
      events: counts.events,
      milliseconds: Math.round(counts.busy * 1000) / 1000,
      bytesPerSecond: throughput,
      sha256: copySum,
      identical,
    });
  } else {
    print(
      `${bytes(counts.bytes)} in ${plural(counts.elements, 'work element')}, ${counts.busy.toFixed(1)} ms: ${bytes(throughput)}/s`,
    );
    print(`${plural(counts.events, 'AFU interrupt')} received${options.poll ? ' (polling)' : ''}`);
    print(`sha256 ${copySum}: ${identical ? 'identical' : `the source has ${sourceSum}`}`);
  }
  if (!identical) {
    throw systemError('EIO', 'memcpy', options.out, 'the copy differs from its source');
  }
}
