/** `node-cxl flash`: LUNs of CAPI flash adapters, from the command line. */

import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import type { Cxl } from '../cxl';
import { cxl } from '../default-system';
import { rangeError, stateError, valueError } from '../errors';
import { type AttachOptions, type BlockDevice, type Lun, listLuns, openLun } from '../flash';
import { mountsOf } from '../flash/discovery';
import { type BenchOptions, bench } from './flash-bench';

interface Common {
  readonly json?: boolean;
}

interface AccessOptions extends Common {
  readonly superpipe?: boolean;
  readonly force?: boolean;
}

interface ReadOptions extends AccessOptions {
  readonly lba: bigint;
  readonly count: number;
  readonly out?: string;
}

interface WriteOptions extends AccessOptions {
  readonly lba: bigint;
  readonly in: string;
  readonly pad?: boolean;
}

/** Blocks moved by one call; the device splits them further. */
const pieceBlocks = 256;

/** The `flash` command with its sub-commands; `system` is the one `cxl` stands for unless given. */
export function flashCommand(system: Cxl = cxl): Command {
  const command = new Command('flash').description('LUNs of CAPI flash adapters (cxlflash)');
  command
    .command('list')
    .description('LUNs, a row for each path to one')
    .option('--json', 'as JSON')
    .action((options: Common) => list(system, options));
  command
    .command('status')
    .description('what is known of a LUN, and of its capacity once superpipe is enabled')
    .argument('<lun>', '/dev/sdX or /dev/sgX')
    .option('--json', 'as JSON')
    .action((lun: string, options: Common) => status(system, lun, options));
  accessOptions(command.command('read'))
    .description('read blocks to a file or standard output')
    .option('--lba <n>', 'first block', bigNumber, 0n)
    .requiredOption('--count <n>', 'blocks', number)
    .option('--out <file>', 'default: standard output')
    .action((lun: string, options: ReadOptions) => read(system, lun, options));
  accessOptions(command.command('write'))
    .description('write a file to blocks')
    .option('--lba <n>', 'first block', bigNumber, 0n)
    .requiredOption('--in <file>', 'what to write: whole blocks')
    .option('--pad', 'fill the last block up with zeros')
    .action((lun: string, options: WriteOptions) => write(system, lun, options));
  accessOptions(command.command('bench'))
    .description('measure commands a second; reads, unless told to write')
    .option('--depth <n>', 'commands in flight', number, 16)
    .option('--seconds <n>', 'for so long', number, 5)
    .option('--blocks <n>', 'blocks a command', number, 1)
    .option('--write', 'overwrite the LUN with a pattern')
    .option('--poll', 'look for completions instead of waiting for interrupts')
    .action((lun: string, options: AccessOptions & BenchOptions) => run(system, lun, options));
  return command;
}

function accessOptions(command: Command): Command {
  return command
    .argument('<lun>', '/dev/sdX or /dev/sgX')
    .option('--json', 'the outcome as JSON')
    .option('--superpipe', 'take the LUN from the block layer meanwhile, if it is not in superpipe')
    .option('--force', 'even if it is mounted');
}

async function list(system: Cxl, { json }: Common): Promise<void> {
  const luns = await listLuns({ system });
  if (json === true) {
    print(JSON.stringify(luns, undefined, 2));
    return;
  }
  if (luns.length === 0) {
    process.stderr.write('no flash LUN found: is the cxlflash driver loaded?\n');
    return;
  }
  const table = new Table({
    head: ['address', 'port', 'block', 'generic', 'mode', 'wwid'],
    style: { head: [], border: [] },
  });
  for (const lun of luns) {
    const row = [lun.address, lun.port, lun.block, lun.generic, lun.mode, lun.wwid];
    table.push(row.map((cell) => String(cell ?? '-')));
  }
  print(table.toString());
}

async function describe(system: Cxl, node: string) {
  const luns = await listLuns({ system });
  const found = luns.find((lun) => lun.block === node || lun.generic === node);
  if (found === undefined) throw valueError('lun', 'a LUN that `flash list` shows', node);
  const paths = luns.filter((lun) => lun.wwid !== undefined && lun.wwid === found.wwid);
  const blocks = paths.flatMap((lun) => (lun.block === undefined ? [] : [lun.block]));
  const mounts = await Promise.all(blocks.map((block) => mountsOf(system.binding.sysfs, block)));
  return { ...found, ports: paths.map((lun) => lun.port), mounts: mounts.flat() };
}

async function status(system: Cxl, node: string, { json }: Common): Promise<void> {
  const about = await describe(system, node);
  const capacity = about.mode === 'superpipe' ? await capacityOf(system, node) : undefined;
  const data = { ...about, ...capacity };
  if (json === true) {
    print(JSON.stringify(data, undefined, 2));
    return;
  }
  for (const [key, value] of Object.entries(data)) {
    print(`${key.padEnd(12)} ${Array.isArray(value) ? value.join(', ') || '-' : (value ?? '-')}`);
  }
}

async function capacityOf(system: Cxl, node: string) {
  const lun = await openLun(node, { system });
  try {
    const context = await lun.attach({ access: 'read' });
    try {
      const { blocks, blockSize, maxTransfer } = context.geometry();
      const link = context.isHealthy() ? 'up' : 'in error';
      return { blocks: Number(blocks), blockSize, maxTransfer, link };
    } finally {
      await context.close();
    }
  } finally {
    await lun.close();
  }
}

/** The whole LUN as a block device, and everything put back afterwards. */
async function withDevice<T>(
  system: Cxl,
  node: string,
  options: AccessOptions,
  attach: AttachOptions,
  use: (device: BlockDevice) => Promise<T>,
): Promise<T> {
  const about = await describe(system, node);
  if (about.mounts.length > 0 && options.force !== true) {
    throw stateError(
      `${node} is mounted on ${about.mounts.join(', ')}: unmount it, or say --force`,
    );
  }
  const legacy = about.mode !== 'superpipe';
  if (legacy && options.superpipe !== true) {
    throw stateError(`${node} is not in superpipe mode: say --superpipe to enable it meanwhile`);
  }
  const lun = await openLun(node, { system });
  try {
    if (legacy) await lun.enableSuperpipe();
    try {
      return await withContext(lun, attach, use);
    } finally {
      if (legacy) await lun.disableSuperpipe();
    }
  } finally {
    await lun.close();
  }
}

async function withContext<T>(
  lun: Lun,
  attach: AttachOptions,
  use: (device: BlockDevice) => Promise<T>,
): Promise<T> {
  const context = await lun.attach(attach);
  try {
    return await use((await context.openDirect()).blockDevice());
  } finally {
    await context.close();
  }
}

async function read(system: Cxl, node: string, options: ReadOptions): Promise<void> {
  const { lba, count, out } = options;
  const bytes = await withDevice(system, node, options, { access: 'read' }, async (device) => {
    if (lba + BigInt(count) > device.blocks) {
      throw rangeError('lba', `with ${count} blocks from it below ${device.blocks}`, lba);
    }
    const target = out === undefined ? process.stdout : createWriteStream(out);
    await overPieces('read', count, async (done, blocks) => {
      const data = await device.read(lba + BigInt(done), blocks);
      if (!target.write(data)) await once(target, 'drain');
    });
    if (target !== process.stdout) {
      target.end();
      await once(target, 'close');
    }
    return count * device.blockSize;
  });
  if (out !== undefined) report({ read: bytes, blocks: count, file: out }, options);
}

async function write(system: Cxl, node: string, options: WriteOptions): Promise<void> {
  const file = await open(options.in, 'r');
  try {
    const { size } = await file.stat();
    const blocks = await withDevice(system, node, options, {}, async (device) => {
      const count = Math.ceil(size / device.blockSize);
      if (size % device.blockSize !== 0 && options.pad !== true) {
        const whole = `whole blocks of ${device.blockSize} bytes, or --pad`;
        throw valueError(options.in, whole, `${size} bytes`);
      }
      if (options.lba + BigInt(count) > device.blocks) {
        throw rangeError('lba', `with ${count} blocks from it below ${device.blocks}`, options.lba);
      }
      await overPieces('write', count, async (done, part) => {
        const data = new Uint8Array(part * device.blockSize);
        await file.read(data, 0, data.length, done * device.blockSize);
        await device.write(options.lba + BigInt(done), data);
      });
      return count;
    });
    report({ written: size, blocks, file: options.in }, options);
  } finally {
    await file.close();
  }
}

async function overPieces(
  phase: string,
  count: number,
  move: (done: number, blocks: number) => Promise<void>,
): Promise<void> {
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: `${phase} [{bar}] {percentage}%`, stream: process.stderr })
    : undefined;
  bar?.start(count, 0);
  try {
    for (let done = 0; done < count; done += pieceBlocks) {
      await move(done, Math.min(pieceBlocks, count - done));
      bar?.update(Math.min(count, done + pieceBlocks));
    }
  } finally {
    bar?.stop();
  }
}

async function run(
  system: Cxl,
  node: string,
  options: AccessOptions & BenchOptions,
): Promise<void> {
  const attach: AttachOptions = {
    access: options.write === true ? 'read-write' : 'read',
    completion: options.poll === true ? 'poll' : 'interrupt',
    queueDepth: Math.max(options.depth, 1),
  };
  const result = await withDevice(system, node, options, attach, (device) =>
    bench(device, options),
  );
  report(result, options);
}

function report(data: Record<string, unknown>, { json }: Common): void {
  const words = Object.entries(data).map(([key, value]) => `${key} ${value}`);
  print(json === true ? JSON.stringify(data) : words.join(', '));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 1) {
    throw new InvalidArgumentError('expected a whole number from 1.');
  }
  return value;
}

function bigNumber(text: string): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) {
    throw new InvalidArgumentError('expected a number, decimal or 0x….');
  }
  return BigInt(text);
}
