// One command builds everything a clone needs: the addon (Linux), the TypeScript, the
// bundled command-line program, and the simulated device for the tests.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const require = createRequire(import.meta.url);
const parts = process.argv.slice(2);
const wanted = (part) => parts.length === 0 || parts.includes(part);

function run(file, args) {
  execFileSync(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
}

function newest(folder) {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(path.join(entry.parentPath ?? entry.path, entry.name)).mtimeMs)
    .reduce((a, b) => Math.max(a, b), 0);
}

function addon() {
  if (process.platform !== 'linux') {
    console.log('build: no addon on this platform; the mock needs none');
    return;
  }
  const product = path.join(root, 'build/Release/node_cxl.node');
  const sources = Math.max(
    newest(path.join(root, 'native')),
    statSync(path.join(root, 'binding.gyp')).mtimeMs,
  );
  if (existsSync(product) && statSync(product).mtimeMs > sources) return;
  const gyp = require.resolve('node-gyp/bin/node-gyp.js');
  // configure each time: binding.gyp lists the sources when it is read.
  const options = ['--loglevel=warn', '--jobs=2'];
  // The headers that came with this Node, where they did, rather than downloaded ones.
  const prefix = path.resolve(path.dirname(process.execPath), '..');
  if (!process.env.npm_config_nodedir && existsSync(path.join(prefix, 'include/node/node_api.h'))) {
    options.push(`--nodedir=${prefix}`);
  }
  run(process.execPath, [gyp, 'configure', 'build', ...options]);
}

function typescript() {
  // A file that was renamed must not live on in dist and be found by a stale import.
  rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  run(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', '.']);
}

async function cli() {
  const entry = path.join(root, 'lib/cli/main.ts');
  if (!existsSync(entry)) return;
  const { build } = await import('esbuild');
  // The command-line libraries are bundled; the library itself is not, so that the program
  // and what it loads share one instance.
  await build({
    entryPoints: [entry],
    outfile: path.join(root, 'dist/cli/main.js'),
    bundle: true,
    platform: 'node',
    target: 'node18.18',
    format: 'cjs',
    banner: { js: '#!/usr/bin/env node' },
    legalComments: 'inline',
    plugins: [
      {
        name: 'library-stays-outside',
        setup(api) {
          api.onResolve({ filter: /^\.\.\// }, (args) => {
            const target = path.resolve(args.resolveDir, args.path);
            if (!target.startsWith(path.join(root, 'lib') + path.sep)) return undefined;
            if (target.startsWith(path.join(root, 'lib/cli') + path.sep)) return undefined;
            const from = path.join(root, 'dist/cli');
            const to = path.join(root, 'dist', path.relative(path.join(root, 'lib'), target));
            return { path: path.relative(from, to).replaceAll(path.sep, '/'), external: true };
          });
        },
      },
    ],
    logLevel: 'warning',
  });
  chmodSync(path.join(root, 'dist/cli/main.js'), 0o755);
}

function simulatedDevice() {
  const makefile = path.join(root, 'test/simulated-device/Makefile');
  if (process.platform !== 'linux' || !existsSync(makefile)) return;
  run('make', ['-s', '-C', path.join(root, 'test/simulated-device')]);
}

if (wanted('addon')) addon();
if (wanted('typescript')) typescript();
if (wanted('cli')) await cli();
if (wanted('simulated-device')) simulatedDevice();
