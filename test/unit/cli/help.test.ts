/** The help of every command, and the man page, which are made of the same definitions. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { runHere } from './in-process';
import { manifest, run, TIMEOUT } from './run';

/** The commands in a help text: the words at the start of the lines under its heading. */
function commandsIn(help: string): string[] {
  const [, list = ''] = /^Commands:\n((?: {2}.*\n?)+)/m.exec(help) ?? [];
  return [...list.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name as string);
}

type Help = [words: string[], help: string];

/** Every command with its help text, found by walking from the program's own help. */
async function walk(above: string[] = []): Promise<Help[]> {
  const { stdout, stderr, exitCode } = await runHere([...above, '--help']);
  expect([above, exitCode, stderr]).toEqual([above, 0, '']);
  const found: Help[] = [[above, stdout]];
  // One after another: each has the process's standard output to itself.
  for (const name of commandsIn(stdout)) {
    if (name !== 'help') found.push(...(await walk([...above, name])));
  }
  return found;
}

describe('help', () => {
  it(
    'of every command is on stdout, with its usage, options and arguments',
    async () => {
      const found = await walk();
      const names = found.map(([words]) => words.join(' '));
      expect(names).toContain('flash write');
      expect(names.length).toBeGreaterThan(20);
      for (const [words, help] of found) {
        expect(help).toContain(`Usage: ${['node-cxl', ...words].join(' ')}`);
        expect(help).toMatch(/^ {2}-h, --help/m);
      }
      for (const words of [[], ['list'], ['flash', 'write']]) {
        const { code, stdout, stderr } = await run([...words, '--help']);
        const [, help] = found.find(([each]) => each.join(' ') === words.join(' ')) as Help;
        expect([words, code, stdout, stderr]).toEqual([words, 0, help, '']);
      }
    },
    TIMEOUT,
  );
});

describe('the man page', () => {
  const { man } = JSON.parse(readFileSync(manifest, 'utf8'));
  const file = path.resolve(path.dirname(manifest), man);

  it(
    'has every command, option and argument of the help',
    async () => {
      const page = readFileSync(file, 'utf8').replaceAll('\\-', '-').replaceAll('\\(aq', "'");
      for (const [words, help] of await walk()) {
        if (commandsIn(help).length > 0) continue;
        const [, section] = page.split(`.SS "node-cxl ${words.join(' ')}`);
        expect([words, section]).not.toEqual([words, undefined]);
        const text = (section as string).split('.SS ')[0] as string;
        for (const [, option] of help.matchAll(/^ {2}(--[a-z-]+)/gm)) {
          if (option !== '--help')
            expect([words, text]).toEqual([words, expect.stringContaining(option as string)]);
        }
      }
      expect(page).toContain('.SH EXIT STATUS');
    },
    TIMEOUT,
  );

  it('has no line of text that groff takes for a request: one that begins with a quote or a dot', () => {
    const text = readFileSync(file, 'utf8').split('\n');
    expect(text.filter((line) => /^'|^\.(?![A-Z]{1,2}\b)/.test(line))).toEqual([]);
  });

  const groff = spawnSync('groff', ['--version']).error === undefined;
  const reason = groff ? '' : ' [skipped: groff is not installed]';

  it.skipIf(!groff)(`is formatted without a warning${reason}`, () => {
    const options = ['-man', '-Tascii', '-P-cbu', '-ww', file];
    const { status, stderr, stdout } = spawnSync('groff', options, { encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('EXIT STATUS');
  });
});
