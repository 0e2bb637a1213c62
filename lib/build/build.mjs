// One command builds everything a clone needs: the addon (Linux), the TypeScript, the
// bundled command-line program, and the simulated device for the tests.
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { addonChanged, buildAddon } from './addon.mjs';
import { bundle } from './bundles.mjs';
import { changed, fingerprint, root } from './files.mjs';
import { writeNotices } from './notices.mjs';

const require = createRequire(import.meta.url);
const parts = process.argv.slice(2);
const wanted = (part) => parts.length === 0 || parts.includes(part);

function run(file, args) {
  execFileSync(file, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
}

function addon() {
  if (process.platform !== 'linux') {
    console.log('build: no addon on this platform; the mock needs none');
    return;
  }
  if (changed(path.join(root, 'build/Release/node_cxl.node')) > addonChanged()) return;
  buildAddon(root);
}

const dist = path.join(root, 'dist');
/** Written by a build, of what it read and made: `dist` is made anew when one of them has changed. */
const stamp = path.join(root, 'build/typescript.stamp');

function currentStamp() {
  const sources = ['lib', 'package.json', 'package-lock.json', 'tsconfig.json'];
  return fingerprint([...sources.map((name) => path.join(root, name)), dist]);
}

async function typescript() {
  // A file that was renamed must not stay in dist, where an old import would find it.
  rmSync(dist, { recursive: true, force: true });
  run(process.execPath, [require.resolve('typescript/bin/tsc'), '-p', '.']);
  // The library that encodes recordings, in one file: no dependency of the package at run time.
  await bundle('lib/record/cborg-entry.mjs', 'dist/record/cborg.js');
  await tracePage();
}

/** The page of `node-cxl trace --html`: its script, and the template that this and the data are put in. */
async function tracePage() {
  const [folder, built] = ['lib/trace/page', 'dist/trace'].map((name) => path.join(root, name));
  await bundle('lib/trace/page/main.ts', 'dist/trace/page.js', {
    platform: 'browser',
    target: 'es2022',
    format: 'iife',
    minify: true,
    legalComments: 'none',
  });
  const styles = path.join(built, 'page.css');
  const parts = {
    '/*STYLES*/': readFileSync(styles, 'utf8'),
    '/*LICENSE*/': readFileSync(require.resolve('uplot/LICENSE'), 'utf8'),
  };
  rmSync(styles);
  let page = readFileSync(path.join(folder, 'page.html'), 'utf8');
  for (const [slot, text] of Object.entries(parts)) page = page.replace(slot, () => text);
  writeFileSync(path.join(built, 'page.html'), page);
}

/** Where an import of esbuild's output is not of a default export, which it reads at once. */
const IMPORT = /^var (\w+) = (require\("(?:\.\.\/|node:)[^"]+"\));$/gm;

/** Has each part of the library, and of Node's, loaded at its first use: no command needs all of them. */
function loadLazily(file) {
  const text = readFileSync(file, 'utf8');
  const helper = `function lazily(load) {
  let loaded;
  return new Proxy({}, { get: (_, name) => (loaded ??= load())[name] });
}
`;
  const lazy = text.replace(IMPORT, 'var $1 = lazily(() => $2);');
  if (lazy === text) throw new Error(`${file} has no imports that esbuild writes as it did`);
  writeFileSync(
    file,
    lazy.replace('"use strict";\n', (line) => line + helper),
  );
}

async function cli() {
  // The command-line libraries are bundled; the library itself is not, so that the program
  // and what it loads share one instance.
  await bundle('lib/cli/main.ts', 'dist/cli/main.js', {
    banner: { js: '#!/usr/bin/env node' },
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
  });
  loadLazily(path.join(root, 'dist/cli/main.js'));
  chmodSync(path.join(root, 'dist/cli/main.js'), 0o755);
  manPage();
  writeNotices();
}

/** From the same commands as the program. Needs the TypeScript to be built. */
function manPage() {
  const { manPage } = require(path.join(root, 'dist/cli/man-page.js'));
  const { newProgram } = require(path.join(root, 'dist/cli/program.js'));
  const { cxl } = require(path.join(root, 'dist/index.js'));
  const { version } = require(path.join(root, 'package.json'));
  const session = { system: cxl, signal: new AbortController().signal };
  const text = manPage(newProgram(session, version), version);
  writeFileSync(path.join(root, 'dist/cli/node-cxl.1'), text);
}

function simulatedDevice() {
  const makefile = path.join(root, 'test/simulated-device/Makefile');
  if (process.platform !== 'linux' || !existsSync(makefile)) return;
  run('make', ['-s', '-C', path.join(root, 'test/simulated-device')]);
}

async function fillDist() {
  let current = existsSync(stamp) && readFileSync(stamp, 'utf8') === currentStamp();
  // A build that fails leaves none.
  rmSync(stamp, { force: true });
  if (wanted('typescript') && !current) {
    await typescript();
    current = true;
  }
  if (wanted('cli')) await cli();
  if (!current) return;
  mkdirSync(path.dirname(stamp), { recursive: true });
  writeFileSync(stamp, currentStamp());
}

if (wanted('addon')) addon();
if (wanted('typescript') || wanted('cli')) await fillDist();
if (wanted('simulated-device')) simulatedDevice();
