/** What can come next on a command line, for the completion of shells. */
import { readdir } from 'node:fs/promises';
import { type Argument, Command, type Option } from 'commander';
import { preferMock } from '../backend';
import { listLuns } from '../flash';
import type { Cxl } from '../index';
import { SCRIPTS, type Shell } from './completion-scripts';
import { UsageError } from './failure';
import { print } from './output';
import { assignments } from './settings';
import { DEFAULT_COMMAND } from './trace';

/** A word that can come next, and what it means. */
type Candidate = readonly [word: string, description: string];

/** The candidates, or that the shell's own completion of file names applies. */
type Candidates = readonly Candidate[] | 'files';

/** Adds `completion`, and the hidden command that its scripts call. */
export function completionCommands(program: Command, system: Cxl): void {
  program
    .command('completion')
    .description("print a script for a shell's completion; its first lines say how to install it")
    .argument('<shell>', 'bash, zsh or fish')
    .action((shell: string) => {
      if (!Object.hasOwn(SCRIPTS, shell)) {
        throw new UsageError(`unknown shell '${shell}': bash, zsh or fish`);
      }
      print(SCRIPTS[shell as Shell]);
    });
  const hidden = new Command('__complete')
    .argument('<words...>')
    .action(async (words: string[]) => {
      // The completed command would have the mock devices.
      if (words.includes('--mock')) preferMock();
      const found = await complete(program, system, words);
      if (found === 'files') print(':files');
      else for (const [word, description] of found) print(`${word}\t${description}`);
    });
  program.addCommand(hidden, { hidden: true });
}

/** `words`: those after the program's name; the last is the one to complete, perhaps empty. */
async function complete(program: Command, system: Cxl, words: string[]): Promise<Candidates> {
  const current = words.at(-1) ?? '';
  let command = program;
  let taking: Option | undefined;
  const given: string[] = [];
  for (const word of words.slice(0, -1)) {
    if (taking !== undefined) {
      taking = undefined;
    } else if (word.startsWith('-')) {
      const option = optionOf(command, word);
      if (option?.required === true && !word.includes('=')) taking = option;
    } else {
      const inner =
        given.length === 0 ? visible(command).find((each) => each.name() === word) : undefined;
      command = inner ?? (given.length === 0 ? unnamed(command) : command);
      if (inner === undefined) given.push(word);
    }
  }
  if (taking !== undefined) return matching(await valuesOfOption(taking, system), current);
  const [, name, value] = /^(--[^=]+)=(.*)$/s.exec(current) ?? [];
  if (name !== undefined && value !== undefined) {
    const option = optionOf(command, name);
    const values = option === undefined ? [] : await valuesOfOption(option, system);
    if (values === 'files') return [];
    return matching(values, value).map(([word, text]) => [`${name}=${word}`, text]);
  }
  if (current.startsWith('-')) return matching(optionsOf(command), current);
  if (command.commands.length > 0) {
    const names = visible(command).map((each): Candidate => [each.name(), each.description()]);
    const found = matching(names, current);
    if (found.length > 0 || unnamed(command) === command) return found;
    command = unnamed(command);
  }
  const argument = command.registeredArguments[given.length];
  return argument === undefined
    ? matching(optionsOf(command), current)
    : matching(await valuesOfArgument(argument, given, system), current);
}

/** Those that begin as the word does that is to be completed. */
function matching<C extends Candidates>(candidates: C, start: string): C {
  if (candidates === 'files') return candidates;
  return candidates.filter(([word]) => word.startsWith(start)) as readonly Candidate[] as C;
}

function visible(command: Command): Command[] {
  return command.createHelp().visibleCommands(command) as Command[];
}

/** The command that a command without a name of one stands for: of `trace FILE`, `trace show`. */
function unnamed(command: Command): Command {
  return visible(command).find((each) => each.name() === DEFAULT_COMMAND) ?? command;
}

function optionOf(command: Command, word: string): Option | undefined {
  const name = word.replace(/=.*$/s, '');
  return command.options.find(({ long, short }) => name === long || name === short);
}

function optionsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map((option): Candidate => [option.long ?? option.flags, option.description]);
}

async function valuesOfOption(option: Option, system: Cxl): Promise<Candidates> {
  if (option.argChoices !== undefined) return option.argChoices.map((each) => [each, '']);
  const [, placeholder = ''] = /<(.+)>/.exec(option.flags) ?? [];
  if (placeholder === 'file' || placeholder === 'folder') return 'files';
  if (placeholder === 'name') return deviceNames(system, 'afu');
  return [];
}

/** By what the argument is called, and for which the words before it matter. */
async function valuesOfArgument(
  argument: Argument,
  given: readonly string[],
  system: Cxl,
): Promise<Candidates> {
  switch (argument.name()) {
    case 'name':
      return deviceNames(system, /^an AFU/.test(argument.description) ? 'afu' : undefined);
    case 'card':
      return deviceNames(system, 'card');
    case 'attribute=value':
      return assignments(given[0]?.startsWith('card') ? 'card' : 'afu').map((each) => [each, '']);
    case 'lun':
      return lunNames(system);
    case 'BDF':
      return pciFunctions();
    case 'shell':
      return Object.keys(SCRIPTS).map((each) => [each, '']);
    case 'request':
      return [
        ['caps', 'what the device can do'],
        ['status', 'its compliance mode'],
      ];
    case 'FILE':
    case 'A':
    case 'B':
      return 'files';
    default:
      return [];
  }
}

async function deviceNames(system: Cxl, kind: 'card' | 'afu' | undefined): Promise<Candidate[]> {
  const cards = kind === 'afu' ? [] : await system.adapters();
  const afus = kind === 'card' ? [] : await system.afus();
  return [
    ...cards.map(({ name }): Candidate => [name, 'card']),
    ...afus.map(({ name }): Candidate => [name, 'AFU']),
  ];
}

async function lunNames(system: Cxl): Promise<Candidate[]> {
  const luns = await listLuns({ system });
  return luns.flatMap(({ block, generic, port, wwid }) =>
    [block, generic].flatMap((node): Candidate[] =>
      node === undefined ? [] : [[node, `port ${port}, ${wwid ?? 'no WWID'}`]],
    ),
  );
}

/** Every PCI function: that it has a mailbox could be told only by reading its configuration space. */
async function pciFunctions(): Promise<Candidate[]> {
  const names = await readdir('/sys/bus/pci/devices').catch(() => []);
  return names.sort().map((name) => [name, 'PCI function']);
}
