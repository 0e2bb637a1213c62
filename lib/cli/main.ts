/** The command-line program. */
import { CommanderError } from 'commander';
import { preferMock } from '../backend';
import { cxl } from '../index';
import { EXIT_CODES, exitCodeOf } from './failure';
import { Interruption } from './interruption';
import { complain } from './output';
import { newProgram } from './program';
import { ProgramEnded } from './record';

// biome-ignore lint/suspicious/noExplicitAny: package.json has no type declaration
const { version } = require('../../package.json') as any;

/** Errors are printed in this form also when the command line cannot be understood. */
const json = process.argv.includes('--json');

/** A failure's exit code, after one line about it. */
function report(error: unknown, interruption: Interruption): number {
  if (error instanceof ProgramEnded) return error.exitCode;
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return EXIT_CODES.ok; // The help or the version was asked for.
    // Without a command, the help is what is printed.
    const help = error.code === 'commander.help';
    if (!help || json)
      complain('error', help ? new CommanderError(1, error.code, 'a command is needed') : error, {
        json,
      });
    return exitCodeOf(error);
  }
  if ((error as Error | undefined)?.name === 'AbortError') return interruption.exitCode;
  if (interruption.readerEnded && (error as NodeJS.ErrnoException).code === 'EPIPE') {
    return EXIT_CODES.ok;
  }
  complain('error', error, { json });
  return exitCodeOf(error);
}

async function main(): Promise<number> {
  const interruption = new Interruption();
  const program = newProgram({ system: cxl, signal: interruption.signal }, version, json);
  program.hook('preAction', (_, command) => {
    if (command.opts()['mock'] === true) preferMock();
  });
  let code: number = EXIT_CODES.ok;
  try {
    await program.parseAsync();
  } catch (error) {
    code = report(error, interruption);
  }
  await interruption.flush();
  const { outputError, readerEnded } = interruption;
  if (outputError === undefined || readerEnded) return code;
  complain('error', new Error(`standard output: ${outputError.message}`), { json });
  return EXIT_CODES.failure;
}

main().then((code) => {
  process.exitCode = code;
});
