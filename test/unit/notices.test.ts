/** The licenses of what is bundled into dist. Needs node_modules. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const root = path.resolve(import.meta.dirname, '../..');
const read = (...names: string[]) => readFileSync(path.join(root, ...names), 'utf8');
const notices = read('dist/THIRD-PARTY-NOTICES.txt');

/** The heading of each notice. */
const headings = [...notices.matchAll(/^-{80}\n\n(\S+) (\S+) \((.+)\), in (.+)$/gm)].map(
  ([, name = '', version = '', license = '', within = '']) => ({ name, version, license, within }),
);

/** Packages' folders, with the files of dist that have their code. */
const bundled = new Map<string, Set<string>>();
for (const file of readdirSync(path.join(root, 'dist'), { recursive: true, encoding: 'utf8' })) {
  // By the comments with which esbuild begins each file that it bundles; where it takes comments
  // out, by its list of them.
  const isList = file.endsWith('.bundle.json');
  if (!isList && !file.endsWith('.js')) continue;
  const product = `dist/${file.replace('.bundle.json', '.js')}`;
  const names = isList
    ? (JSON.parse(read('dist', file)) as string[]).join('\n')
    : read(product)
        .replace(/^(?! *\/\/ ).*$/gm, '')
        .replaceAll(/^ *\/\/ /gm, '');
  for (const [, folder = ''] of names.matchAll(
    /^((?:.*\/)?node_modules\/(?:@[^/\n]+\/)?[^/\n]+)\//gm,
  )) {
    bundled.set(folder, (bundled.get(folder) ?? new Set()).add(product));
  }
}

/** The one entry that is not bundled: its inline functions are compiled into the addons. */
const COMPILED_IN = 'node_modules/node-addon-api';

describe('THIRD-PARTY-NOTICES.txt', () => {
  it('names every package whose code is shipped, with its version, and the files that have it', () => {
    expect([...bundled.keys()]).toEqual(
      expect.arrayContaining(['node_modules/commander', 'node_modules/cborg']),
    );
    const expected = [...bundled, [COMPILED_IN, ['prebuilds/*/*.node']] as const].map(
      ([folder, products]) => {
        const { name, version, license } = JSON.parse(read(folder, 'package.json'));
        return { name, version, license, within: [...products].sort().join(', ') };
      },
    );
    const sorted = (all: { name: string }[]) => all.sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(sorted(headings)).toEqual(sorted(expected));
  });

  it('has the text of each license', () => {
    const texts = notices.split(/^-{80}$/m);
    for (const folder of [...bundled.keys(), COMPILED_IN]) {
      const { name, version } = JSON.parse(read(folder, 'package.json'));
      const files = readdirSync(path.join(root, folder)).filter((file) =>
        /^licen[cs]e/i.test(file),
      );
      expect([folder, files.length]).toEqual([folder, 1]);
      const license = read(folder, files[0] as string).trim();
      expect(license.length).toBeGreaterThan(500);
      const text = texts.find((one) => one.startsWith(`\n\n${name} ${version} `));
      expect([folder, text?.includes(license)]).toEqual([folder, true]);
    }
  });
});
