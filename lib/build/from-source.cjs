// Builds the addon from native/: for the developer's build, and in an installed package for
// `node-cxl build`. Uses nothing but Node, since it is shipped.
const { spawnSync } = require('node:child_process');
const { copyFileSync, existsSync, mkdirSync, renameSync, rmSync } = require('node:fs');
const path = require('node:path');
const { withNodeHeaders } = require('./node-headers.cjs');

/**
 * Runs node-gyp in `folder`/native with the commands and options `args`, and puts what it built
 * at `folder`/build/Release/node_cxl.node. Returns what node-gyp wrote if `stdio` is 'pipe'.
 */
function buildAddon(folder, { gyp, args, environment = process.env, stdio }) {
  const cwd = path.join(folder, 'native');
  const result = spawnSync(process.execPath, [gyp, ...args], {
    cwd,
    encoding: 'utf8',
    stdio,
    env: withNodeHeaders(environment),
  });
  if (result.status !== 0) {
    throw Object.assign(new Error('node-gyp failed: its output says why'), {
      output: `${result.stdout ?? ''}${result.stderr ?? ''}`,
    });
  }
  const product = path.join(folder, 'build/Release/node_cxl.node');
  mkdirSync(path.dirname(product), { recursive: true });
  // A process may have the old file mapped: it must keep it.
  copyFileSync(path.join(cwd, 'build/Release/node_cxl.node'), `${product}.new`);
  renameSync(`${product}.new`, product);
  return product;
}

/** The node-gyp that npm brings, else one that is installed; undefined where there is none. */
function findNodeGyp(root) {
  const beside = (npm) => path.join(path.dirname(npm), '../node_modules/node-gyp/bin/node-gyp.js');
  const { npm_config_node_gyp: named, npm_execpath: npm } = process.env;
  const prefix = path.resolve(path.dirname(process.execPath), '..');
  const candidates = [
    // npm tells the programs that it starts, also by `npx`, where it is.
    named,
    npm && beside(npm),
    path.join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
    // Debian's package.
    path.join(prefix, 'share/nodejs/node-gyp/bin/node-gyp.js'),
  ];
  try {
    const paths = [process.cwd(), root];
    candidates.unshift(require.resolve('node-gyp/bin/node-gyp.js', { paths }));
  } catch {
    // Not installed in the project: one of the others is used.
  }
  return candidates.find((file) => file && existsSync(file));
}

/**
 * Builds the addon of the installed package at `root`, and loads it in a process of its own. Throws
 * an error whose `output` is what node-gyp and the compiler wrote.
 */
function buildInstalled(root) {
  const gyp = findNodeGyp(root);
  if (gyp === undefined) {
    throw new Error('no node-gyp was found: install npm, or run `npm install node-gyp` first');
  }
  try {
    const product = buildAddon(root, {
      gyp,
      args: ['rebuild', '--loglevel=error'],
      stdio: ['ignore', 'pipe', 'pipe'],
      // `npm --silent` sets it, and node-gyp prefers it: its output is printed when it fails alone.
      environment: { ...process.env, npm_config_loglevel: 'error' },
    });
    const script = `if (typeof require(process.argv[1]).pageSize !== 'number') process.exit(1)`;
    const loaded = spawnSync(process.execPath, ['-e', script, product], { encoding: 'utf8' });
    if (loaded.status === 0) return product;
    // Left there, it would be loaded instead of a compiled addon of the package.
    rmSync(product);
    throw Object.assign(new Error('what was built does not load'), { output: loaded.stderr });
  } finally {
    rmSync(path.join(root, 'native/build'), { recursive: true, force: true });
  }
}

module.exports = { buildAddon, buildInstalled };
