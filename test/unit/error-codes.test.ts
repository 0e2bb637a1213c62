/** lib/ERRORS.md against the source: every code of an error has its row, and no row is left over. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { ERRNOS } from '../../lib/shared/errno';

const root = path.resolve(import.meta.dirname, '../..');

/** Errnos that the source names and no caller gets. */
const NEVER_THROWN: Record<string, string> = {
  EINTR: 'the addon repeats the call',
  ENOTSUPP: 'the library makes it EOPNOTSUPP, which programs know',
  ENOTTY: 'the addon makes it ENODEV: the descriptor is none of the driver',
  EPIPE: 'of the command line alone: whoever read its output has ended',
};

/** The source files, without comments, by name. */
const sources = ['lib', 'native'].flatMap((folder) =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(m?ts|cc|h)$/.test(name) && name !== 'shared/errno.ts')
    .map((name) => {
      const file = path.join(folder, name);
      const text = readFileSync(path.join(root, file), 'utf8');
      return { file, code: text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '') };
    }),
);

/** What matches `pattern` in the source, with a file that has it. */
function found(pattern: RegExp): Map<string, string> {
  const all = new Map<string, string>();
  for (const { file, code } of sources) {
    for (const [, name = ''] of code.matchAll(pattern)) if (!all.has(name)) all.set(name, file);
  }
  return all;
}

/** The rows of the table below a heading: the code, and the other cells. */
function rows(heading: string): Map<string, string[]> {
  const [, after = ''] = readFileSync(path.join(root, 'lib/ERRORS.md'), 'utf8').split(heading);
  const [section = ''] = after.split('\n## ');
  return new Map(
    [...section.matchAll(/^\| `(\w+)` *\|(.+)\|$/gm)].map(([, code = '', cells = '']) => [
      code,
      cells.split(/(?<!\\)\|/).map((cell) => cell.trim()),
    ]),
  );
}

function compare(inSource: Map<string, string>, inPage: Map<string, string[]>, table: string) {
  const missing = [...inSource].filter(([code]) => !inPage.has(code));
  const advice = ([code, file]: string[]) =>
    `${code} of ${file}: add a row to "${table}" of lib/ERRORS.md: when, and what to do`;
  expect(missing.map(advice)).toEqual([]);
  const surplus = [...inPage.keys()].filter((code) => !inSource.has(code));
  expect(surplus.map((code) => `${code}: the source has it no longer, delete its row`)).toEqual([]);
  for (const [code, cells] of inPage) {
    expect([code, cells.filter((cell) => cell === '')]).toEqual([code, []]);
  }
}

describe('lib/ERRORS.md', () => {
  it('has a row for each code that is no errno', () => {
    const errors = found(/(?<!startsWith\()['"](ERR_[A-Z_]+|ABORT_ERR)['"]/g);
    const warnings = found(/code: '(CXL_[A-Z_]+)'/g);
    expect(errors.get('ERR_CXL_NO_NATIVE')).toBeDefined();
    const table = 'Mistakes of the program, and what is missing';
    compare(new Map([...errors, ...warnings]), rows(`## ${table}`), table);
  });

  it('has a row for each errno that the library, the addon or the mock can answer', () => {
    const words = found(/(?<![A-Za-z_])(E[A-Z0-9]+)(?![A-Za-z_])/g);
    const errnos = [...words].filter(([name]) => name in ERRNOS && !(name in NEVER_THROWN));
    expect(errnos.length).toBeGreaterThan(20);
    compare(new Map(errnos), rows('## Errnos'), 'Errnos');
  });
});
