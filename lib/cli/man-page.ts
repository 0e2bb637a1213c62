/** The man page node-cxl(1), made from the commands: the build writes it beside the program. */
import type { Command } from 'commander';
import { ENVIRONMENT, EXIT_CODE_MEANINGS } from './program';

/** Text in the man macros: backslashes, hyphens, and control characters at the start of a line. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\(rs')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll("'", '\\(aq')
    .replace(/^\./gm, '\\&.');
}

/** A term and its explanation. */
function item(term: string, text: string): string {
  return `.TP\n\\fB${roff(term)}\\fR\n${roff(text)}`;
}

/** The commands that do something, in the order of the help, with all words of their names. */
export function leaves(command: Command, above: readonly string[] = []): [string, Command][] {
  const names = [...above, command.name()];
  const inner = visible(command);
  if (inner.length === 0) return [[names.join(' '), command]];
  return inner.flatMap((each) => leaves(each, names));
}

function visible(command: Command): Command[] {
  const help = command.createHelp();
  return (help.visibleCommands(command) as Command[]).filter((each) => each.name() !== 'help');
}

function section(name: string, command: Command): string {
  const help = command.createHelp();
  const usage = command.usage().replace(/^\[options\] ?/, '');
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help');
  return [
    `.SS "${roff(`${name} ${usage}`.trim())}"`,
    roff(sentence(command.description())),
    ...help
      .visibleArguments(command)
      .filter(({ description }) => description !== '')
      .map((argument) => item(help.argumentTerm(argument), help.argumentDescription(argument))),
    ...options.map((option) => item(help.optionTerm(option), help.optionDescription(option))),
  ].join('\n');
}

function sentence(text: string): string {
  return `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}.`;
}

export function manPage(program: Command, version: string): string {
  return `${[
    `.TH NODE\\-CXL 1 "" "node\\-cxl ${roff(version)}" "User Commands"`,
    '.SH NAME',
    `node\\-cxl \\- ${roff(program.description())}`,
    '.SH SYNOPSIS',
    '.B node\\-cxl\n.I command\n.RI [ options ]',
    '.SH DESCRIPTION',
    roff(
      'Lists and operates coherent accelerators (IBM CAPI cards, through the Linux cxl driver), LUNs of CAPI flash adapters, and PCI Data Object Exchange mailboxes.',
    ),
    '.PP',
    roff(
      'A duration is a number with its unit: 500ms, 5s, 2m or 1h. A file that an option --out names is replaced when all of it has been written; a device, a FIFO or a descriptor is written to directly; - is standard output.',
    ),
    '.PP',
    roff(
      'With --json a command prints one object (watch: one a line). Absent values are null; names of numbers end with their unit; ids, addresses and register values are hexadecimal strings. With --plain it prints lines of tab-separated fields without a heading. A failure is one line on standard error; with --json an object with the property "error".',
    ),
    '.PP',
    roff(
      'SIGINT, SIGTERM and SIGHUP end a command after it has undone what it had begun, such as superpipe mode of a LUN.',
    ),
    '.SH COMMANDS',
    ...leaves(program).map(([name, command]) => section(name, command)),
    '.SH EXIT STATUS',
    ...EXIT_CODE_MEANINGS.map(([code, meaning]) => item(code, meaning)),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.map(([name, meaning]) => item(name, meaning)),
  ].join('\n')}\n`;
}
