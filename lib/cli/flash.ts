/** `node-cxl flash`: LUNs of CAPI flash adapters, from the command line. */
import { Command, Option } from 'commander';
import { listLuns, openLun } from '../flash';
import type { Cxl } from '../index';
import { systemError } from '../shared/errors';
import { duration, integerFrom, unsignedBigInt } from './arguments';
import { type BenchOptions, bench } from './flash-bench';
import { describeLun, lunData } from './flash-device';
import { type ReadOptions, read, type WriteOptions, write } from './flash-transfer';
import { type Format, show } from './output';
import { common, type Session } from './session';
import { properties, table } from './table';

/** The `flash` command with its subcommands. */
export function flashCommand(session: Session): Command {
  const command = new Command('flash').description('LUNs of CAPI flash adapters (cxlflash)');
  common(command.command('list'))
    .description('list LUNs, one line for each path to a LUN')
    .action((options: Format) => list(session.system, options));
  common(command.command('status'))
    .description('show the attributes of a LUN, and its capacity when superpipe is enabled')
    .argument('<lun>', '/dev/sdX or /dev/sgX, or a link to one')
    .action((lun: string, options: Format) => status(session.system, lun, options));
  accessOptions(command.command('read'))
    .description('read blocks to a file or standard output')
    .addOption(firstBlock())
    .requiredOption('--count <n>', 'number of blocks', integerFrom(1))
    .addOption(new Option('--out <file>', 'file to write to').default('-', 'standard output'))
    .action((lun: string, options: ReadOptions) => read(session, lun, options));
  accessOptions(command.command('write'))
    .description('write a file to blocks')
    .addOption(firstBlock())
    .requiredOption('--in <file>', 'regular file to write, whole blocks')
    .option('--pad', 'pad the last block with zeros')
    .option('--yes', 'confirm that blocks of the LUN are overwritten')
    .action((lun: string, options: WriteOptions) => write(session, lun, options));
  accessOptions(command.command('bench'))
    .description('measure commands per second; reads, unless --write is given')
    .option('--depth <n>', 'commands in flight', integerFrom(1), 16)
    .addOption(
      new Option('--for <duration>', 'how long to measure').argParser(duration).default(5000, '5s'),
    )
    .option('--blocks <n>', 'blocks of each command', integerFrom(1), 1)
    .option('--write', 'write instead of reading: overwrites the LUN')
    .option('--yes', 'confirm that the LUN is overwritten')
    .option('--poll', 'poll for completions instead of waiting for interrupts')
    .action((lun: string, options: BenchOptions) => bench(session, lun, options));
  return command;
}

function firstBlock(): Option {
  return new Option('--lba <n>', 'first block').argParser(unsignedBigInt).default(0n, '0');
}

function accessOptions(command: Command): Command {
  return common(command)
    .argument('<lun>', '/dev/sdX or /dev/sgX, or a link to one')
    .option('--superpipe', 'enable superpipe for the duration of the command if it is not enabled')
    .option('--force', 'use the LUN even if it is mounted');
}

async function list(system: Cxl, format: Format): Promise<void> {
  const luns = (await listLuns({ system })).map(lunData);
  const cells = () =>
    luns.map(({ address, port, block, generic, mode, wwid }) => {
      return [address, port, block, generic, mode, wwid];
    });
  show(
    format,
    { backend: system.backend, luns },
    {
      text: () =>
        luns.length === 0
          ? ''
          : table(['address', 'port', 'block', 'generic', 'mode', 'wwid'], cells()),
      rows: cells,
    },
  );
  if (luns.length > 0) return;
  const hint =
    'no flash LUN found: is the cxlflash driver loaded (POWER8 and POWER9)? --mock shows mock ones';
  throw systemError('ENODEV', 'find', '/sys/class/scsi_device', hint);
}

/** Attributes that are unknown before superpipe is enabled. */
const NO_CAPACITY = { blocks: null, blockSizeBytes: null, maxTransferBlocks: null, link: null };

async function status(system: Cxl, node: string, format: Format): Promise<void> {
  const about = await describeLun(system, node);
  const capacity = about.mode === 'superpipe' ? await capacityOf(system, node) : NO_CAPACITY;
  const data = { ...about, ...capacity };
  show(format, data, { text: () => properties(data) });
}

async function capacityOf(system: Cxl, node: string) {
  const lun = await openLun(node, { system });
  try {
    const context = await lun.attach({ access: 'read' });
    try {
      const { blocks, blockSize, maxTransfer } = context.geometry();
      return {
        blocks: Number(blocks),
        blockSizeBytes: blockSize,
        maxTransferBlocks: maxTransfer,
        link: context.isHealthy() ? 'up' : 'in error',
      };
    } finally {
      await context.close();
    }
  } finally {
    await lun.close();
  }
}
