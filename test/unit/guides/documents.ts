/** The documents of the repository, and the programs in them. */
import { execFile } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { promisify } from 'node:util';

export const root = path.dirname(createRequire(import.meta.url).resolve('node-cxl/package.json'));

export const textOf = (document: string) => readFileSync(path.join(root, document), 'utf8');

/** Paths below a folder, from the root. */
function filesBelow(folder: string): string[] {
  return readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(folder, entry.name);
    if (['node_modules', 'build', 'dist'].includes(entry.name)) return [];
    return entry.isDirectory() ? filesBelow(name) : [name];
  });
}

/** Every document that is written by hand. */
export const documents = [
  ...['README.md', 'CHANGELOG.md'],
  ...['lib', 'native', 'test', '.github']
    .flatMap(filesBelow)
    .filter((name) => name.endsWith('.md')),
];

/** The guides: what is in `lib` for users, not for who works on the folder. */
export const guides = documents.filter(
  (name) => name.startsWith('lib/') && !/\/(README|FORMAT)\.md$/.test(name),
);

/** The code blocks of a document in these languages, in its order. */
export function blocks(document: string, ...languages: string[]) {
  const found = textOf(document).matchAll(/^```(\w+)\n(.*?)^```$/gms);
  return [...found]
    .map(([, language = '', text = '']) => ({
      language,
      text,
      /** Of a block that begins with a comment that is a file's name. */
      name: /^\/\/ (\S+\.mjs)\n/.exec(text)?.[1],
    }))
    .filter(({ language }) => languages.includes(language));
}

/** A new folder within the package, so that programs in it find `node-cxl` by its name. */
export function scratchFolder(name: string): string {
  mkdirSync(path.join(root, 'build'), { recursive: true });
  return mkdtempSync(path.join(root, 'build', `${name}-`));
}

/** Writes the named blocks of a document to a folder. */
export function writeNamedBlocks(document: string, folder: string): void {
  for (const { name, text } of blocks(document, 'js')) {
    if (name !== undefined) writeFileSync(path.join(folder, name), text);
  }
}

const device = path.join(root, 'test/simulated-device/build/libcxlsim.so');

/** What programs of the guides run on: mock devices, and on Linux the simulated device. */
export const backends: readonly (readonly [string, NodeJS.ProcessEnv])[] = [
  ['mock devices', { NODE_CXL_BACKEND: 'mock' }],
  ...(existsSync(device) ? [['the simulated device', { LD_PRELOAD: device }] as const] : []),
];

/** Runs a program in a folder. The backend is that of `env` alone. */
function run(folder: string, file: string, args: string[], env: NodeJS.ProcessEnv) {
  const { NODE_OPTIONS: _, VITEST: __, NODE_CXL_BACKEND: ___, ...rest } = process.env;
  return promisify(execFile)(file, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...rest, NO_COLOR: '1', ...env },
  });
}

export const runNode = (folder: string, args: string[], env: NodeJS.ProcessEnv = {}) =>
  run(folder, process.execPath, args, env);

/** Runs commands as a user types them; `npx node-cxl` is this repository's. */
export function runShell(folder: string, commands: string, env: NodeJS.ProcessEnv = {}) {
  const cli = `'${process.execPath}' '${path.join(root, 'dist/cli/main.js')}'`;
  const text = commands
    .replaceAll('npx node-cxl', cli)
    .replaceAll(/\bnode (?=\S+\.mjs)/g, `'${process.execPath}' `);
  return run(folder, 'sh', ['-ec', text], env);
}
