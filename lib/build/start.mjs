// `npm start [-- FILE]`: the main job, from a fresh clone. Installs and builds what is missing
// or out of date, then copies a real file through the memcpy AFU of the embedded mock.
// Plain Node: it runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { changed, root } from './files.mjs';

const program = path.join(root, 'dist/cli/main.js');

function run(what, command, args, options = {}) {
  if (what !== undefined) console.log(what);
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) console.error(`npm start: ${command}: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function install() {
  const installed = changed(path.join(root, 'node_modules/.package-lock.json'));
  if (installed >= changed(path.join(root, 'package-lock.json'))) return;
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund'];
  // npm tells its own place to the scripts it runs.
  const npm = process.env.npm_execpath;
  if (npm !== undefined && /\.[cm]?js$/.test(npm)) {
    run('Installing…', process.execPath, [npm, ...args]);
  } else {
    run('Installing…', 'npm', args, { shell: process.platform === 'win32' });
  }
}

function build() {
  const sources = ['lib', 'package.json', 'tsconfig.json'].map((name) =>
    changed(path.join(root, name)),
  );
  if (changed(program) >= Math.max(...sources)) return;
  // The mock needs no compiled code, so neither does this: no addon, no compiler.
  const builder = path.join(root, 'lib/build/build.mjs');
  run('Building…', process.execPath, [builder, 'typescript', 'cli']);
}

function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

const given = process.argv[2] ?? path.join(root, 'README.md');
const source = path.resolve(process.env.INIT_CWD ?? process.cwd(), given);
if (!existsSync(source) || !statSync(source).isFile()) {
  console.error(`npm start: ${source} is no file`);
  process.exit(2);
}
install();
build();
const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const copy = path.join(folder, path.basename(source));
run(undefined, process.execPath, [program, 'list', '--mock']);
run(`\nCopying ${source}`, process.execPath, [
  ...[program, 'memcpy', '--mock', '--in', source, '--out', copy],
  ...['--progress', 'always'],
]);
// The program has compared what went in with what came out; this compares the two files.
const sums = [source, copy].map(sha256);
console.log(sums[0] === sums[1] ? 'The copy is identical.' : 'The copy DIFFERS.');
process.exitCode = sums[0] === sums[1] ? 0 : 1;
