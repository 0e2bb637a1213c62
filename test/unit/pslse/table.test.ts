/** Every row of the table of differences from the driver names a test, and every test a row. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const folder = path.dirname(fileURLToPath(import.meta.url));
const readme = path.join(folder, '../../../lib/pslse/README.md');

it('the table of differences has the titles of differences.test.ts', () => {
  const [, table = ''] = readFileSync(readme, 'utf8').split('## Differences from the driver');
  const rows = [...table.matchAll(/^\| (.*?) +\|/gm)].map(([, what]) => what!);
  const text = readFileSync(path.join(folder, 'differences.test.ts'), 'utf8');
  const tests = [...text.matchAll(/^ {2}it\('(.*)',/gm)].map(([, title]) => title!);
  expect(rows[0]).toBe('what');
  expect(rows.slice(2)).toEqual(tests);
});
