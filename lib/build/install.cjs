// npm's install script. Installing does not fail where there is no compiler: the mock needs no
// compiled code, and opening a real device says what is missing.
const { spawnSync } = require('node:child_process');
const { existsSync } = require('node:fs');
const { endianness } = require('node:os');
const path = require('node:path');
const { withNodeHeaders } = require('./node-headers.cjs');

const root = path.resolve(__dirname, '../..');

function loads() {
  // In a process of its own: a binary that crashes must not end the installation.
  const code = `process.exit(typeof require('./dist/native').nativeBinding().pageSize === 'number' ? 0 : 1)`;
  return spawnSync(process.execPath, ['-e', code], { cwd: root, stdio: 'ignore' }).status === 0;
}

/** The node-gyp that npm brings; npm says in the environment where it is. */
function nodeGyp() {
  const beside = (file) =>
    path.join(path.dirname(file), '../node_modules/node-gyp/bin/node-gyp.js');
  const candidates = [
    process.env.npm_config_node_gyp,
    process.env.npm_execpath && beside(process.env.npm_execpath),
    path.join(
      path.dirname(process.execPath),
      '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js',
    ),
  ];
  try {
    candidates.push(require.resolve('node-gyp/bin/node-gyp.js', { paths: [root] }));
  } catch {
    // Not installed: one of the others is used.
  }
  return candidates.find((file) => file && existsSync(file));
}

function build() {
  const gyp = nodeGyp();
  if (gyp === undefined) return 'npm comes without node-gyp here';
  const result = spawnSync(process.execPath, [gyp, 'rebuild', '--loglevel=error'], {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: withNodeHeaders(process.env),
  });
  if (result.status === 0 && loads()) return undefined;
  process.stderr.write(result.stdout ?? '');
  process.stderr.write(result.stderr ?? '');
  return result.status === 0 ? 'what was built does not load' : 'the build failed, see above';
}

function main() {
  // A clone is built by `npm run build`; nothing but the package has dist at this time.
  if (process.platform !== 'linux' || !existsSync(path.join(root, 'dist'))) return;
  if (loads()) return;
  const failure = build();
  if (failure === undefined) return;
  console.error(
    `node-cxl: no compiled part for ${process.platform}-${process.arch} (${endianness()}): ${failure}. ` +
      'Real devices need it: install make, g++ and python3, then run `npm rebuild node-cxl`. ' +
      'Everything else works, with the mock (node-cxl/mock, or NODE_CXL_BACKEND=mock).',
  );
}

main();
