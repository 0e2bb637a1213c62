/** `node-cxl memcpy`: copies a file by the memcpy AFU, and verifies the copy. */
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import { systemError } from '../shared/errors';
import { findAfu } from './devices';
import { UsageError } from './failure';
import { type InputFile, openInput } from './input-file';
import { findMemcpyAfu, isMemcpyAfu, MemcpyJob } from './memcpy-job';
import { bytes, complain, type Format, print, show } from './output';
import { type OutputFile, openOutput } from './output-file';
import { type Session, thenUndo } from './session';

export interface MemcpyCommandOptions extends Format {
  in: string;
  out: string;
  afu?: string;
  poll?: boolean;
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

async function refuseSameFile(input: InputFile, output: string): Promise<void> {
  const old = await stat(output).catch(() => undefined);
  if (old?.isFile() && old.dev === input.stat.dev && old.ino === input.stat.ino) {
    throw new UsageError('--in and --out are the same file');
  }
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

export async function memcpy(session: Session, options: MemcpyCommandOptions): Promise<void> {
  const input = openInput(options.in, session.signal);
  try {
    await refuseSameFile(input, options.out);
    const output = await openOutput(options.out, session.signal);
    try {
      const result = await copyByAfu(session, input, output, options);
      await output.commit();
      if (!output.isStandardOutput) report(result, options);
    } finally {
      await output.close();
    }
  } finally {
    input.close();
  }
}

async function copyByAfu(
  { system, signal }: Session,
  input: InputFile,
  output: OutputFile,
  options: MemcpyCommandOptions,
): Promise<Result> {
  const afu =
    options.afu === undefined ? await findMemcpyAfu(system) : await findAfu(system, options.afu);
  if (afu === undefined) {
    const hint = 'no AFU has the configuration record 1014:4350; choose one with --afu';
    throw systemError('ENODEV', 'find', 'memcpy AFU', hint);
  }
  if (options.afu !== undefined && !(await isMemcpyAfu(afu))) {
    // Only a warning: an image built by the user may lack the record.
    const warning = `${afu.name} has no configuration record of the memcpy AFU (1014:4350)`;
    complain('warning', warning, options);
  }
  const job = await MemcpyJob.start(system, afu, {
    poll: options.poll === true,
    timeout: options.timeout,
    signal,
  });
  const { processElement } = job;
  if (options.json !== true && options.plain !== true && !output.isStandardOutput) {
    print(`card${afu.adapterNumber}, ${afu.name}, process element ${processElement}`);
  }
  const total = input.stat.isFile() ? input.stat.size : 0;
  const size = batchSize(total, job.capacity);
  const memory = [system.allocate(size), system.allocate(size)] as const;
  const [source, target] = memory;
  const sum = createHash('sha256');
  const copyAll = async () => {
    const bar = progressBar(total, options.progress);
    try {
      for (;;) {
        const read = await input.read(new Uint8Array(source.buffer, 0, size));
        if (read === 0) break;
        await job.copy(source, target, read);
        const copied = Buffer.from(target.buffer, 0, read);
        if (!copied.equals(new Uint8Array(source.buffer, 0, read))) {
          const hint = `the copy differs from its source, within the first ${bytes(job.counts.bytes)}`;
          throw systemError('EIO', 'memcpy', options.out, hint);
        }
        sum.update(copied);
        await output.write(copied);
        bar?.update(Math.min(job.counts.bytes, total));
      }
    } finally {
      bar?.stop();
    }
  };
  const close = async () => {
    await job.close();
    for (const each of memory) each.free({ force: true });
  };
  await thenUndo(copyAll, close, (error) => complain('error', error, options));
  return { afu: afu.name, processElement, counts: job.counts, sha256: sum.digest('hex') };
}

interface Result {
  readonly afu: string;
  readonly processElement: number;
  readonly counts: MemcpyJob['counts'];
  readonly sha256: string;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function report({ afu, processElement, counts, sha256 }: Result, options: MemcpyCommandOptions) {
  const seconds = counts.busy / 1000;
  const throughput = seconds > 0 ? Math.round(counts.bytes / seconds) : 0;
  const data = {
    afu,
    processElement,
    bytes: counts.bytes,
    workElements: counts.elements,
    events: counts.events,
    durationMilliseconds: Math.round(counts.busy * 1000) / 1000,
    bytesPerSecond: throughput,
    sha256,
    identical: true,
  };
  show(options, data, {
    text: () =>
      [
        `${bytes(counts.bytes)} in ${plural(counts.elements, 'work element')}, ${counts.busy.toFixed(1)} ms: ${bytes(throughput)}/s`,
        `${plural(counts.events, 'AFU interrupt')} received${options.poll ? ' (polling)' : ''}`,
        `sha256 ${sha256}: identical`,
      ].join('\n'),
  });
}
