// Makes test files that run on any Node from 18.18 with nothing installed but the package: each
// is bundled with what it imports into one ES module. The package itself is not bundled.
//
//   node test/rig/bundle-tests.mjs OUT FILE|FOLDER…
//
// OUT gets each file at its own path (OUT/test/unit/x.test.mjs), vitest's runner
// OUT/vitest-on-node.mjs, OUT/run-tests.mjs, and OUT/tests.json, the list. With node-cxl installed
// in OUT/node_modules, `node run-tests.mjs` runs all files and
// `node vitest-on-node.mjs test/unit/x.test.mjs` runs one.
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { root } from '../../lib/build/files.mjs';

/** Runs one bundle; it stands beside the bundles by the same name. */
const runner = 'vitest-on-node.mjs';

/** The test files of a folder, or a file itself, as paths from the root. */
export function testFiles(given) {
  const full = path.resolve(root, given);
  if (!statSync(full).isDirectory()) return [path.relative(root, full)];
  return readdirSync(full)
    .sort()
    .flatMap((name) => {
      const inner = path.join(full, name);
      if (statSync(inner).isDirectory()) return testFiles(inner);
      return name.endsWith('.test.ts') ? [path.relative(root, inner)] : [];
    });
}

/** The conformance tests that ask for a target with the cxl driver; flash and mailboxes do not. */
export function driverConformance() {
  return testFiles('test/conformance').filter((file) =>
    readFileSync(path.join(root, file), 'utf8').includes("from './target'"),
  );
}

/**
 * Reached below OUT, not bundled: what was built, as an error would not be an instance of its own
 * class, and vitest, which the runner and the test share.
 */
function staysOutside(up) {
  return {
    name: 'stays-outside',
    setup(api) {
      api.onResolve({ filter: /^vitest$/ }, () => ({ path: `${up}${runner}`, external: true }));
      api.onResolve({ filter: /^\.{1,2}\/.*dist\// }, (args) => {
        const target = path.relative(root, path.resolve(args.resolveDir, args.path));
        if (!target.startsWith(`dist${path.sep}`)) return undefined;
        const extension = path.extname(target) === '' ? '.js' : '';
        return { path: `${up}${target}${extension}`, external: true };
      });
    },
  };
}

/** A test exports nothing, so that it would be bundled as CommonJS, which cannot await. */
const testsAreModules = {
  name: 'tests-are-modules',
  setup(api) {
    api.onLoad({ filter: /\.test\.ts$/ }, ({ path: file }) => ({
      contents: `${readFileSync(file, 'utf8')}\nexport {};\n`,
      loader: 'ts',
    }));
  },
};

/** Bundles `files` (paths from the root) below `out`; returns the bundles' paths below it. */
export async function bundleTests(out, files) {
  mkdirSync(out, { recursive: true });
  const bundles = files.map((file) => file.replace(/\.ts$/, '.mjs'));
  const options = {
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'node18.18',
    logLevel: 'warning',
  };
  await Promise.all([
    build({
      ...options,
      entryPoints: [path.join(root, 'test/rig', runner)],
      outfile: path.join(out, runner),
    }),
    ...files.map((file, index) =>
      build({
        ...options,
        entryPoints: [path.join(root, file)],
        outfile: path.join(out, bundles[index]),
        external: ['node-cxl', 'node-cxl/*'],
        plugins: [testsAreModules, staysOutside('../'.repeat(file.split('/').length - 1))],
      }),
    ),
  ]);
  writeFileSync(path.join(out, 'tests.json'), `${JSON.stringify(bundles, null, 2)}\n`);
  cpSync(path.join(root, 'test/rig/run-tests.mjs'), path.join(out, 'run-tests.mjs'));
  return bundles;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [out, ...given] = process.argv.slice(2);
  if (out === undefined || given.length === 0) {
    console.error('usage: bundle-tests.mjs OUT FILE|FOLDER…');
    process.exit(2);
  }
  const bundles = await bundleTests(path.resolve(out), given.flatMap(testFiles));
  console.log(`bundle-tests: ${bundles.length} files in ${out}`);
}
