import { type Command, Option } from 'commander';
import type { Cxl } from '../index';

/** What the commands of one run share. */
export interface Session {
  readonly system: Cxl;
  /** Aborted by Ctrl-C and other signals, and when standard output takes no more. */
  readonly signal: AbortSignal;
}

/** Adds the options that every command has which prints something. */
export function formats(command: Command): Command {
  return command
    .option('--json', 'print JSON')
    .addOption(new Option('--plain', 'print lines of tab-separated fields').conflicts('json'));
}

/** Adds the options that every command has which uses devices. */
export function common(command: Command): Command {
  return formats(command).option('--mock', 'use mock devices instead of real ones');
}

/**
 * Calls `run`, then `undo` whatever happened. Where both fail, `run`'s error is thrown and `undo`'s
 * goes to `report`.
 */
export async function thenUndo<T>(
  run: () => Promise<T>,
  undo: () => Promise<void>,
  report: (error: unknown) => void,
): Promise<T> {
  let result: T;
  try {
    result = await run();
  } catch (error) {
    await undo().catch(report);
    throw error;
  }
  await undo();
  return result;
}
