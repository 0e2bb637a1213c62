/** `node-cxl flash`: LUNs of CAPI flash adapters, from the command line. */
import { once } from 'node:events';
import { open } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import Table from 'cli-table3';
import { Command } from 'commander';
import { cxl } from '../default-system';
import type { Cxl } from '../device/cxl';
import {
  type AttachOptions,
  type BlockDevice,
  type Lun,
  type LunInfo,
  listLuns,
  openLun,
} from '../flash';
import { mountsOf } from '../flash/discovery';
import { checkInteger } from '../shared/checks';
import { rangeError, stateError, systemError, valueError } from '../shared/errors';
import { integerFrom, unsignedBigInt } from './arguments';
import { UsageError } from './failure';
import { type BenchOptions, bench, benchText } from './flash-bench';
import { inline, present, print, printJson, words } from './output';

interface Common {
  readonly json?: boolean;
  /** Aborted by Ctrl-C, or when the reader of standard output has ended. */
  readonly signal?: AbortSignal;
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

/** Blocks of one read() or write() call; the block device splits it into commands. */
const BLOCKS_PER_CALL = 256;
const MAX_DEPTH = 4096;

/**
 * The `flash` command with its subcommands. `signal` ends a running subcommand. Tests pass a
 * `system` of their own.
 */
export function flashCommand(system: Cxl = cxl, signal?: AbortSignal): Command {
  const command = new Command('flash')
    .description('LUNs of CAPI flash adapters (cxlflash)')
    .hook('preAction', (_, chosen) => {
      chosen.setOptionValue('signal', signal);
    });
  command
    .command('list')
    .description('list LUNs, one line for each path to a LUN')
    .option('--json', 'as JSON')
    .action((options: Common) => list(system, options));
  command
    .command('status')
    .description('show the attributes of a LUN, and its capacity when superpipe is enabled')
    .argument('<lun>', '/dev/sdX or /dev/sgX, or a link to one')
    .option('--json', 'as JSON')
    .action((lun: string, options: Common) => status(system, lun, options));
  accessOptions(command.command('read'))
    .description('read blocks to a file or standard output')
    .option('--lba <n>', 'first block', unsignedBigInt, 0n)
    .requiredOption('--count <n>', 'number of blocks', integerFrom(1))
    .option('--out <file>', 'file to write to; default: standard output')
    .action((lun: string, options: ReadOptions) => read(system, lun, options));
  accessOptions(command.command('write'))
    .description('write a file to blocks')
    .option('--lba <n>', 'first block', unsignedBigInt, 0n)
    .requiredOption('--in <file>', 'file to write, whole blocks')
    .option('--pad', 'pad the last block with zeros')
    .action((lun: string, options: WriteOptions) => write(system, lun, options));
  accessOptions(command.command('bench'))
    .description('measure commands per second; reads, unless --write is given')
    .option('--depth <n>', 'commands in flight', integerFrom(1), 16)
    .option('--seconds <n>', 'seconds to measure for', integerFrom(1), 5)
    .option('--blocks <n>', 'blocks of each command', integerFrom(1), 1)
    .option('--write', 'write instead of reading: overwrites the LUN')
    .option('--poll', 'poll for completions instead of waiting for interrupts')
    .action((lun: string, options: AccessOptions & BenchOptions) => run(system, lun, options));
  return command;
}

function accessOptions(command: Command): Command {
  return command
    .argument('<lun>', '/dev/sdX or /dev/sgX, or a link to one')
    .option('--json', 'print the result as JSON')
    .option('--superpipe', 'enable superpipe for the duration of the command if it is not enabled')
    .option('--force', 'use the LUN even if it is mounted');
}

/** Absent attributes are null, so that every object has the same keys. */
function lunData(lun: LunInfo) {
  const { address, host, port, block, generic, wwid, mode, vendor, model } = lun;
  return {
    ...{ address, host, port, block: present(block), generic: present(generic) },
    ...{ wwid: present(wwid), mode: present(mode), vendor: present(vendor), model: present(model) },
  };
}

async function list(system: Cxl, { json }: Common): Promise<void> {
  const luns = (await listLuns({ system })).map(lunData);
  if (json === true) {
    printJson(luns);
    return;
  }
  if (luns.length === 0) {
    process.stderr.write(
      'no flash LUN found: is the cxlflash driver loaded (POWER8 and POWER9)? --mock shows mock ones\n',
    );
    return;
  }
  const table = new Table({
    head: ['address', 'port', 'block', 'generic', 'mode', 'wwid'],
    style: { head: [], border: [] },
  });
  for (const { address, port, block, generic, mode, wwid } of luns) {
    table.push([address, port, block, generic, mode, wwid].map((cell) => inline(cell)));
  }
  print(table.toString());
}

async function describe(system: Cxl, node: string) {
  const luns = await listLuns({ system });
  // The names in /dev/disk/by-id are links.
  const real = await system.binding.sysfs.realpath(node);
  const found = luns.find(({ block, generic }) =>
    [block, generic].some((each) => each !== undefined && (each === node || each === real)),
  );
  if (found === undefined) {
    const hint = 'not a LUN of a flash adapter; `node-cxl flash list` lists them';
    throw systemError('ENOENT', 'find', node, hint);
  }
  const paths = luns.filter((lun) => lun.wwid !== undefined && lun.wwid === found.wwid);
  const blocks = paths.flatMap((lun) => (lun.block === undefined ? [] : [lun.block]));
  const mounts = await Promise.all(blocks.map((block) => mountsOf(system.binding.sysfs, block)));
  return { ...lunData(found), ports: paths.map((lun) => lun.port), mounts: mounts.flat() };
}

/** Attributes that are unknown before superpipe is enabled. */
const NO_CAPACITY = { blocks: null, blockSize: null, maxTransfer: null, link: null };

async function status(system: Cxl, node: string, { json }: Common): Promise<void> {
  const about = await describe(system, node);
  const capacity = about.mode === 'superpipe' ? await capacityOf(system, node) : NO_CAPACITY;
  const data = { ...about, ...capacity };
  if (json === true) {
    printJson(data);
    return;
  }
  for (const [key, value] of Object.entries(data)) {
    print(`${words(key).padEnd(12)} ${inline(value)}`);
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

/** Calls `use` with the whole LUN as a block device; then closes it and restores its mode. */
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
      `${node} is mounted on ${about.mounts.join(', ')}: unmount it, or use --force`,
    );
  }
  const legacy = about.mode !== 'superpipe';
  if (legacy && options.superpipe !== true) {
    throw stateError(
      `${node} is not in superpipe mode: use --superpipe to enable it for the duration of the command`,
    );
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
  // Opened first: if this fails, the mode of the LUN has not been changed.
  const file = out === undefined ? undefined : await open(out, 'w');
  try {
    const bytes = await withDevice(system, node, options, { access: 'read' }, async (device) => {
      checkRange(device, lba, count);
      await forEachPart('read', count, options, async (done, blocks) => {
        const data = await device.read(lba + BigInt(done), blocks, transfer(options));
        if (file === undefined) await toStandardOutput(data, options);
        else await file.writeFile(data);
      });
      return count * device.blockSize;
    });
    if (out === undefined) return;
    const text = `${bytes} bytes, ${count} blocks, read to ${out}`;
    report({ read: bytes, blocks: count, file: out }, text, options);
  } finally {
    await file?.close();
  }
}

async function toStandardOutput(data: Uint8Array, options: Common): Promise<void> {
  if (!process.stdout.write(data)) await once(process.stdout, 'drain', transfer(options));
}

async function write(system: Cxl, node: string, options: WriteOptions): Promise<void> {
  const file = await open(options.in, 'r');
  try {
    const stat = await file.stat();
    if (!stat.isFile()) {
      throw new UsageError(`--in ${options.in} is not a regular file, so its length is unknown`);
    }
    const { size } = stat;
    const blocks = await withDevice(system, node, options, {}, async (device) => {
      const count = Math.ceil(size / device.blockSize);
      if (size % device.blockSize !== 0 && options.pad !== true) {
        const whole = `whole blocks of ${device.blockSize} bytes, or --pad`;
        throw valueError(options.in, whole, `${size} bytes`);
      }
      checkRange(device, options.lba, count);
      await forEachPart('write', count, options, async (done, part) => {
        const data = new Uint8Array(part * device.blockSize);
        await file.read(data, 0, data.length, done * device.blockSize);
        await device.write(options.lba + BigInt(done), data, transfer(options));
      });
      return count;
    });
    const text = `${size} bytes, ${blocks} blocks, written from ${options.in}`;
    report({ written: size, blocks, file: options.in }, text, options);
  } finally {
    await file.close();
  }
}

function checkRange(device: BlockDevice, lba: bigint, count: number): void {
  if (lba + BigInt(count) <= device.blocks) return;
  throw rangeError('lba', `so that ${count} blocks from it end below ${device.blocks}`, lba);
}

function transfer({ signal }: Common): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

/** Calls `move` for parts of up to BLOCKS_PER_CALL blocks, with a progress bar on a terminal. */
async function forEachPart(
  label: string,
  count: number,
  { signal }: Common,
  move: (done: number, blocks: number) => Promise<void>,
): Promise<void> {
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: `${label} [{bar}] {percentage}%`,
        stream: process.stderr,
        // Ctrl-C must not end the process before the LUN is restored.
        gracefulExit: false,
      })
    : undefined;
  bar?.start(count, 0);
  try {
    for (let done = 0; done < count; done += BLOCKS_PER_CALL) {
      signal?.throwIfAborted();
      await move(done, Math.min(BLOCKS_PER_CALL, count - done));
      bar?.update(Math.min(count, done + BLOCKS_PER_CALL));
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
    queueDepth: checkInteger('--depth', options.depth, 1, MAX_DEPTH),
  };
  const result = await withDevice(system, node, options, attach, (device) => {
    const max = Math.min(device.resource.maxTransfer, Number(device.blocks));
    checkInteger('--blocks', options.blocks, 1, max);
    return bench(device, options);
  });
  report(result, benchText(result), options);
}

function report(data: Record<string, unknown>, text: string, { json }: Common): void {
  print(json === true ? JSON.stringify(data) : text);
}
