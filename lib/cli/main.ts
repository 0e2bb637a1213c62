/** The command-line program. */
import Table from 'cli-table3';
import { Command, CommanderError, Option } from 'commander';
import { cxl } from '../index';
import { integerFrom, unsignedBigInt } from './arguments';
import { deviceInfo, deviceTree, listDevices } from './devices';
import { doeCommand } from './doe';
import { EXIT_CODES, exitCodeOf, failureLine } from './failure';
import { flashCommand } from './flash';
import { type ImageOptions, image } from './image';
import { type MemcpyCommandOptions, memcpy } from './memcpy';
import { type DataValue, inline, print, printJson, words } from './output';
import { parseWrite, type WatchOptions, watch } from './watch';

/** Aborted by Ctrl-C, and when nothing reads the output any more. */
const interruption = new AbortController();

/** Prints an object as a table with a row for each property. */
function printTable(data: { readonly [key: string]: DataValue }): void {
  const table = new Table({
    chars: {
      ...{ top: '', 'top-mid': '', 'top-left': '', 'top-right': '' },
      ...{ bottom: '', 'bottom-mid': '', 'bottom-left': '', 'bottom-right': '' },
      ...{ left: '', 'left-mid': '', mid: '', 'mid-mid': '', right: '', 'right-mid': '' },
      middle: '  ',
    },
    style: { 'padding-left': 0, 'padding-right': 0, head: [], border: [] },
  });
  for (const [key, value] of Object.entries(data)) {
    const lines =
      Array.isArray(value) && value.some((each) => typeof each === 'object')
        ? value.map(inline).join('\n')
        : inline(value);
    table.push([words(key), lines === '' ? '-' : lines]);
  }
  // cli-table3 pads the last column.
  print(table.toString().replaceAll(/ +$/gm, ''));
}

async function list({ json }: { json?: boolean }): Promise<void> {
  const listing = await listDevices(cxl);
  if (json === true) {
    printJson(listing);
  } else if (listing.adapters.length === 0) {
    process.stderr.write(
      'no CAPI card found: is the cxl driver loaded (Linux 3.18 to 6.14, POWER8 and POWER9)? --mock shows a mock card\n',
    );
  } else {
    print(deviceTree(listing));
  }
}

async function info(name: string, { json }: { json?: boolean }): Promise<void> {
  const data = await deviceInfo(cxl, name);
  if (json === true) printJson(data);
  else printTable(data);
}

const EXIT_CODE_HELP = `
Exit codes: 0 done, 1 failure, 2 usage, 3 no such device or driver, 4 permission,
5 busy (all process elements or interrupts taken), 130 interrupted.
Environment: NODE_CXL_BACKEND=mock or mock:FILE.json replaces the devices by mocks;
NODE_DEBUG=cxl prints system calls.`;

/** Sets what all commands share: the format of errors, and the --mock option. */
function configure(command: Command): Command {
  command.exitOverride().configureOutput({
    outputError: (text, write) => write(`node-cxl: ${text.replace(/^error: /, '')}`),
  });
  for (const inner of command.commands) configure(inner);
  const hasMock = command.options.some((option) => option.long === '--mock');
  if (command.commands.length === 0 && !hasMock) {
    command.option('--mock', 'mock devices instead of real ones');
  }
  return command;
}

function newProgram(): Command {
  const program = new Command('node-cxl')
    .description('Coherent accelerators (IBM CAPI, the Linux cxl driver)')
    // biome-ignore lint/suspicious/noExplicitAny: package.json has no type declaration
    .version((require('../../package.json') as any).version)
    .addHelpText('afterAll', EXIT_CODE_HELP);
  program
    .command('list')
    .description('cards and their AFUs, as a tree')
    .option('--json', 'as JSON')
    .action(list);
  program
    .command('info')
    .description('every attribute of a card (card0) or AFU (afu0.0)')
    .argument('<name>')
    .option('--json', 'as JSON')
    .action(info);
  program
    .command('memcpy')
    .description('copy a file by the memcpy AFU, and verify the copy')
    .requiredOption('--in <file>', 'the file to copy')
    .requiredOption('--out <file>', 'the copy')
    .option('--afu <name>', 'default: the first AFU with configuration record 1014:4350')
    .option('--poll', 'poll for completion instead of waiting for interrupts')
    .option('--timeout <ms>', 'for each batch of work elements', integerFrom(0), 60_000)
    .addOption(
      new Option('--progress <when>', 'progress bar on stderr')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .option('--json', 'print the result as JSON')
    .action((options: MemcpyCommandOptions) => memcpy(cxl, options, interruption.signal));
  program
    .command('watch')
    .description('attach a context to an AFU and print the events it gets')
    .argument('<name>', 'an AFU (afu0.0), or one of its nodes (afu0.0m)')
    .option('--wed <value>', 'work element descriptor', unsignedBigInt, 0n)
    .option('--interrupts <n>', 'AFU interrupts to attach with; default: irqs_min', integerFrom(0))
    .option(
      '--write <offset=value>',
      'write a 64-bit big-endian register once attached; may be repeated',
      (text: string, previous: WatchOptions['write']) => [...previous, parseWrite(text)],
      [],
    )
    .option('--count <n>', 'stop after this many events', integerFrom(0))
    .option('--for <ms>', 'stop after this time', integerFrom(0))
    .option('--json', 'print a JSON object per line')
    .action((name: string, options: WatchOptions) =>
      watch(cxl, name, options, interruption.signal),
    );
  program
    .command('image')
    .description(
      'download an adapter image and have it validated (PowerVM guests); resets the card',
    )
    .argument('<card>', 'such as card0')
    .requiredOption('--in <file>', 'the image')
    .option('--need-header', 'the image lacks the adapter image header')
    .option('--yes', 'confirm the reset')
    .action((name: string, options: ImageOptions) =>
      image(cxl, name, options, interruption.signal),
    );
  program.addCommand(doeCommand(interruption.signal));
  program.addCommand(flashCommand(cxl, interruption.signal));
  return configure(program).hook('preAction', (_, command) => {
    if (command.opts()['mock'] === true && !process.env['NODE_CXL_BACKEND']?.startsWith('mock')) {
      process.env['NODE_CXL_BACKEND'] = 'mock';
    }
  });
}

async function main(): Promise<number> {
  let outputClosed = false;
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    // The reader of a pipe (`| head`) has ended. That is not a failure, but the command must
    // close its contexts, and give LUNs back to the block layer.
    outputClosed = true;
    interruption.abort();
  });
  // Once: if closing a context hangs, the second Ctrl-C ends the process.
  process.once('SIGINT', () => interruption.abort());
  try {
    await newProgram().parseAsync();
    return EXIT_CODES.ok;
  } catch (error) {
    if (error instanceof CommanderError) {
      return error.exitCode === 0 ? EXIT_CODES.ok : EXIT_CODES.usage;
    }
    const code = exitCodeOf(error);
    if (outputClosed && (code === EXIT_CODES.interrupted || isBrokenPipe(error)))
      return EXIT_CODES.ok;
    if (code !== EXIT_CODES.interrupted) process.stderr.write(`${failureLine(error)}\n`);
    return code;
  }
}

function isBrokenPipe(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'EPIPE';
}

main().then((code) => {
  process.exitCode = code;
});
