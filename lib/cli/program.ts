/** The commands: what the program, its completion and its man page are made of. */
import { Command, Option } from 'commander';
import { duration, integerFrom, registerWrite, unsignedBigInt } from './arguments';
import { build } from './build';
import { completionCommands } from './completion';
import { info, list } from './devices';
import { type DoctorOptions, doctor } from './doctor';
import { doeCommand } from './doe';
import { flashCommand } from './flash';
import { type ImageOptions, image } from './image';
import { type MemcpyCommandOptions, memcpy } from './memcpy';
import type { Format } from './output';
import { recordCommand } from './record';
import { common, type Session } from './session';
import { type ErrorsOptions, errors, type ResetOptions, reset, set } from './settings';
import { traceCommand } from './trace';
import { type WatchOptions, watch } from './watch';

/** What an exit code means, for the help and the man page. */
export const EXIT_CODE_MEANINGS: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  ['1', 'failure: input or output, a detached context, a copy that differs'],
  ['2', 'usage'],
  ['3', 'no such device, or no driver'],
  ['4', 'permission'],
  ['5', 'busy: all process elements or interrupts taken, or the card in use'],
  ['129, 130, 143', 'ended by SIGHUP, SIGINT (Ctrl-C) or SIGTERM'],
];

export const ENVIRONMENT: readonly (readonly [string, string])[] = [
  [
    'NODE_CXL_BACKEND',
    'mock or mock:FILE.json replaces the devices by mocks, replay:FILE by a recording, pslse:HOST:PORT by simulated RTL',
  ],
  ['NODE_CXL_RECORD', 'a file that what is done with the devices is recorded to'],
  ['NODE_DEBUG', 'cxl prints system calls'],
];

function footer(): string {
  const lines = (rows: readonly (readonly [string, string])[]) =>
    rows.map(([name, meaning]) => `  ${name.padEnd(18)}${meaning}`).join('\n');
  return `\nExit codes:\n${lines(EXIT_CODE_MEANINGS)}\n\nEnvironment:\n${lines(ENVIRONMENT)}`;
}

/** Every failure is thrown, so that one place prints it. */
function throwFailures(command: Command, json: boolean): void {
  command.exitOverride().configureOutput({
    outputError: () => {},
    // The help that follows a missing command is no JSON.
    ...(json ? { writeErr: () => {} } : {}),
  });
  for (const inner of command.commands) throwFailures(inner, json);
}

/** `json`: whether errors are wanted as JSON. */
export function newProgram(session: Session, version: string, json = false): Command {
  const { system } = session;
  const program = new Command('node-cxl')
    .description('Coherent accelerators (IBM CAPI, the Linux cxl driver)')
    .version(version)
    // So that `record` and `record test` can have options of the same name.
    .enablePositionalOptions()
    .addHelpText('after', footer());
  common(program.command('list'))
    .description('cards and their AFUs, as a tree')
    .action((options: Format) => list(system, options));
  common(program.command('info'))
    .description('every attribute of a card (card0) or AFU (afu0.0), or of all of them')
    .argument('[name]', 'a card or an AFU; default: all')
    .action((name: string | undefined, options: Format) => info(system, name, options));
  common(program.command('doctor'))
    .description('check driver, nodes, permissions and devices, and say what to do')
    .option('--user <user>', 'check the permissions of this user; default: who runs the command')
    .option('--root <folder>', 'check the system below this folder, such as that of a container')
    .action((options: DoctorOptions) => doctor(session, options));
  common(program.command('build'))
    .description('build the addon from source, for a machine that no compiled one fits')
    .action((options: Format) => build(options));
  common(program.command('reset'))
    .description('reset a card or an AFU')
    .argument('<name>', 'a card (card0) or an AFU (afu0.0)')
    .option('--force', 'a card: even while contexts are attached, which detaches them')
    .action((name: string, options: ResetOptions) => reset(session, name, options));
  common(program.command('set'))
    .description('set an attribute of a card or an AFU')
    .argument('<name>', 'a card (card0) or an AFU (afu0.0)')
    .argument(
      '<attribute=value>',
      'of a card load_image_on_perst, perst_reloads_same_image; of an AFU mode, irqs_max, prefault_mode',
    )
    .action((name: string, assignment: string, options: Format) =>
      set(session, name, assignment, options),
    );
  common(program.command('errors'))
    .description('print the error buffer of an AFU')
    .argument('<name>', 'an AFU (afu0.0)')
    .option('--out <file>', 'write it to this file instead of printing it')
    .action((name: string, options: ErrorsOptions) => errors(session, name, options));
  common(program.command('memcpy'))
    .description('copy a file by the memcpy AFU, and verify the copy')
    .requiredOption('--in <file>', 'the file to copy; - is standard input')
    .requiredOption('--out <file>', 'the copy; - is standard output')
    .option('--afu <name>', 'default: the first AFU with configuration record 1014:4350')
    .option('--poll', 'poll for completion instead of waiting for interrupts')
    .addOption(
      new Option('--timeout <duration>', 'for each batch of work elements')
        .argParser(duration)
        .default(60_000, '60s'),
    )
    .addOption(
      new Option('--progress <when>', 'progress bar on stderr')
        .choices(['auto', 'always', 'never'])
        .default('auto'),
    )
    .action((options: MemcpyCommandOptions) => memcpy(session, options));
  common(program.command('watch'))
    .description('attach a context to an AFU and print the events it gets')
    .argument('<name>', 'an AFU (afu0.0), or one of its nodes (afu0.0m)')
    .addOption(
      new Option('--wed <value>', 'work element descriptor')
        .argParser(unsignedBigInt)
        .default(0n, '0'),
    )
    .option('--interrupts <n>', 'AFU interrupts to attach with; default: irqs_min', integerFrom(0))
    .addOption(
      new Option(
        '--write <offset=value>',
        'write a 64-bit big-endian register once attached; may be repeated',
      )
        .argParser((text: string, previous: WatchOptions['write']) => [
          ...previous,
          registerWrite(text),
        ])
        .default([], 'none'),
    )
    .option('--count <n>', 'stop after this many events', integerFrom(0))
    .option('--for <duration>', 'stop after this time', duration)
    .action((name: string, options: WatchOptions) => watch(session, name, options));
  common(program.command('image'))
    .description(
      'download an adapter image and have it validated (PowerVM guests); resets the card',
    )
    .argument('<card>', 'such as card0')
    .requiredOption('--in <file>', 'the image; - is standard input')
    .option('--need-header', 'the image lacks the adapter image header')
    .option('--yes', 'confirm the reset')
    .action((name: string, options: ImageOptions) => image(session, name, options));
  program.addCommand(flashCommand(session));
  program.addCommand(doeCommand(session));
  recordCommand(program.command('record'));
  program.addCommand(traceCommand(session));
  completionCommands(program, system);
  throwFailures(program, json);
  return program;
}
