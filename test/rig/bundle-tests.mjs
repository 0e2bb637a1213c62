// Makes test files that run on a bare Node from 18.18: each is bundled with what it imports
// into one ES module; the package itself stays outside, to be resolved where it is installed.
//
//   node test/rig/bundle-tests.mjs OUT FILE|FOLDER…
//
// OUT gets each file at its own path (OUT/test/unit/x.test.mjs), the runner OUT/run-tests.mjs
// and OUT/tests.json, the list. With node-cxl installed in OUT/node_modules,
// `node run-tests.mjs` runs them all; `node test/unit/x.test.mjs` runs one.
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const shim = path.join(root, 'test/rig/vitest-on-node.mjs');

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

/** Each test is entered through a module that imports it, then runs what it declared. */
const entries = {
  name: 'entries',
  setup(api) {
    api.onResolve({ filter: /^run:/ }, (args) => ({ path: args.path.slice(4), namespace: 'run' }));
    api.onLoad({ filter: /.*/, namespace: 'run' }, (args) => ({
      contents: `import ${JSON.stringify(`./${args.path}`)};
        import { run } from 'vitest';
        await run(${JSON.stringify(args.path)});`,
      resolveDir: root,
      loader: 'js',
    }));
  },
};

/** A module asks where it is to find its neighbours: below OUT, at the path it has here. */
const ownAddress = {
  name: 'own-address',
  setup(api) {
    const sources = new RegExp(`^${path.join(root, 'test').replace(/[.+]/g, '\\$&')}/.*\\.m?ts$`);
    api.onLoad({ filter: sources }, async (args) => {
      const { readFile } = await import('node:fs/promises');
      const text = await readFile(args.path, 'utf8');
      const inside = JSON.stringify(path.relative(root, args.path));
      const contents = text.replaceAll('import.meta.url', `globalThis.__sourceUrl(${inside})`);
      return {
        // A file that exports nothing would be bundled as CommonJS, which cannot await.
        contents: `${contents}\nexport {};\n`,
        loader: 'ts',
      };
    });
  },
};

/**
 * What was built is not bundled with the tests: an error would not be an instance of its own
 * class. It is reached where it would be here, below OUT.
 */
function builtStaysOutside(up) {
  return {
    name: 'built-stays-outside',
    setup(api) {
      api.onResolve({ filter: /^\.{1,2}\/.*dist\// }, (args) => {
        const target = path.relative(root, path.resolve(args.resolveDir, args.path));
        if (!target.startsWith(`dist${path.sep}`)) return undefined;
        const extension = path.extname(target) === '' ? '.js' : '';
        return { path: `${up || './'}${target}${extension}`, external: true };
      });
    },
  };
}

/** Bundles `files` (paths from the root) below `out`; returns the bundles' paths below it. */
export async function bundleTests(out, files) {
  mkdirSync(out, { recursive: true });
  const bundles = files.map((file) => file.replace(/\.ts$/, '.mjs'));
  await Promise.all(
    files.map((file, index) => {
      const up = '../'.repeat(file.split('/').length - 1);
      return build({
        entryPoints: [`run:${file}`],
        outfile: path.join(out, bundles[index]),
        bundle: true,
        format: 'esm',
        platform: 'node',
        target: 'node18.18',
        alias: { vitest: shim },
        external: ['node-cxl', 'node-cxl/*'],
        nodePaths: [path.join(root, 'node_modules')],
        plugins: [entries, ownAddress, builtStaysOutside(up)],
        banner: {
          // Bundled CommonJS packages expect these; ES modules have none of them.
          js: `import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __fileURLToPath(new URL('.', import.meta.url));
globalThis.__sourceUrl = (file) => new URL(${JSON.stringify(up)} + file, import.meta.url).href;`,
        },
        logLevel: 'warning',
      });
    }),
  );
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
