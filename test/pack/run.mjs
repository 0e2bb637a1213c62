// `npm run test:pack`: whether the package that npm would publish works. It is packed, installed into
// a clean folder with install scripts blocked, and used from there in every documented way.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { root } from '../../lib/build/files.mjs';
import { installTarball, packTarball } from './tarball.mjs';

const require = createRequire(import.meta.url);
const folder = mkdtempSync(path.join(tmpdir(), 'node-cxl-pack-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const app = path.join(folder, 'app');
const installed = path.join(app, 'node_modules/node-cxl');
const largest = 2 * 1024 * 1024;

let passed = 0;
let failed = 0;

function check(what, body) {
  const started = Date.now();
  try {
    const said = body();
    passed += 1;
    const seconds = ((Date.now() - started) / 1000).toFixed(1);
    console.log(`ok   ${what}${said ? `: ${said}` : ''} (${seconds} s)`);
  } catch (error) {
    failed += 1;
    const output = [error.stdout, error.stderr].filter(Boolean).join('\n').trim();
    console.log(`FAIL ${what}: ${error.message}${output ? `\n${output}` : ''}`);
  }
}

function must(condition, message) {
  if (!condition) throw new Error(message);
}

/** A program in the clean folder; no backend is chosen for it, and nothing else is preloaded. */
function run(args, { env = {}, status = 0 } = {}) {
  const { NODE_CXL_BACKEND: _, LD_PRELOAD: __, NODE_OPTIONS: ___, ...inherited } = process.env;
  const result = spawnSync(process.execPath, args, {
    cwd: app,
    encoding: 'utf8',
    env: { ...inherited, ...env },
    timeout: 300_000,
  });
  if (result.status !== status) {
    throw Object.assign(new Error(`exit code ${result.status}, not ${status}`), result);
  }
  return result;
}

/** A PATH with node on it and nothing else: no compiler, make or python. */
const bare = path.join(folder, 'bin');
mkdirSync(bare);
symlinkSync(process.execPath, path.join(bare, 'node'));

const program = 'node_modules/.bin/node-cxl';
let tarball;

check('pack', () => {
  const { file, packed } = packTarball(folder);
  tarball = file;
  const groups = new Map();
  for (const { path: name, size } of packed.files) {
    const group = /^(prebuilds\/[^/]+|dist\/[^/]+(?=\/)|[^/]+)/.exec(name)[0];
    const { count = 0, bytes = 0 } = groups.get(group) ?? {};
    groups.set(group, { count: count + 1, bytes: bytes + size });
  }
  for (const [group, { count, bytes }] of groups) {
    console.log(`     ${group}: ${count} files, ${bytes} bytes`);
  }
  return `${packed.files.length} files, ${packed.size} bytes packed, ${packed.unpackedSize} unpacked`;
});

check('what is in it', () => {
  const files = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((name) => name.replace(/^package\//, ''));
  const wanted = [
    ...['README.md', 'LICENSE', 'CHANGELOG.md', 'binding.gyp', 'lib/udev/70-node-cxl.rules'],
    ...[
      'lib/build/install.cjs',
      'lib/build/node-headers.cjs',
      'dist/index.js',
      'dist/index.mjs',
      'dist/index.d.mts',
    ],
    ...['dist/mock/index.js', 'dist/doe/index.js', 'dist/flash/index.js', 'dist/cli/main.js'],
    'dist/cli/node-cxl.1',
    'lib/mock/config/mock-config.schema.json',
    ...['x64', 'arm64', 'ppc64'].map((arch) => `prebuilds/linux-${arch}/node-cxl.node`),
  ];
  const missing = wanted.filter((name) => !files.includes(name));
  must(missing.length === 0, `missing: ${missing.join(' ')}`);
  const unwanted = files.filter(
    (name) =>
      /^(test|build|\.)/.test(name) ||
      (/\.ts$/.test(name) && !/\.d\.ts$/.test(name)) ||
      (name.startsWith('dist/cli/') && !/\/(main\.js|node-cxl\.1)$/.test(name)),
  );
  must(unwanted.length === 0, `not for users: ${unwanted.join(' ')}`);
  const size = readFileSync(tarball).length;
  must(size <= largest, `${size} bytes are more than ${largest}`);
});

check('install, scripts blocked', () => {
  installTarball(app, tarball);
  must(!existsSync(path.join(installed, 'build')), 'something was built');
  const { dependencies } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
  return `with ${Object.keys(dependencies).join(' and ')}`;
});

check('node-cxl list --mock', () => {
  const { stdout } = run([program, 'list', '--mock', '--json']);
  must(JSON.parse(stdout).adapters[0].afus[0].deviceId === '0x4350', stdout);
});

check('required and imported: one instance', () => {
  const names = ['node-cxl', 'node-cxl/mock', 'node-cxl/doe', 'node-cxl/flash'];
  const file = path.join(app, 'both.mjs');
  writeFileSync(
    file,
    `import { createRequire } from 'node:module';
     const require = createRequire(import.meta.url);
     let exported = 0;
     for (const name of ${JSON.stringify(names)}) {
       const required = require(name);
       const imported = await import(name);
       for (const key of Object.keys(required)) {
         if (key === '__esModule') continue;
         if (required[key] !== imported[key]) throw new Error(name + ': two of ' + key);
         exported += 1;
       }
     }
     console.log(exported);`,
  );
  const { stdout } = run([file]);
  must(Number(stdout) > 20, `only ${stdout.trim()} exports`);
  return `${stdout.trim()} exports of ${names.length} entries`;
});

check('the prebuilt addon loads with no compiler', () => {
  const code = `
    const { cxl } = require('node-cxl');
    const memory = cxl.allocate(4096);
    memory.store64(8, 0x0123456789abcdefn, { endian: 'big' });
    if (Buffer.from(memory.buffer).readBigUInt64BE(8) !== 0x0123456789abcdefn) throw 'bytes';
    memory.free();
    const loaded = process.report.getReport().sharedObjects.filter((f) => f.includes('node-cxl'));
    console.log(cxl.backend, loaded.join());`;
  const { stdout } = run(['-e', code], { env: { PATH: bare } });
  must(/^native .*prebuilds\/linux-[a-z0-9]+\/node-cxl\.node$/m.test(stdout), stdout);
});

const simulatedDevice = path.join(root, 'test/simulated-device/build/libcxlsim.so');
check('it copies a file on the simulated device', () => {
  execFileSync(process.execPath, [path.join(root, 'lib/build/build.mjs'), 'simulated-device']);
  const args = [program, 'memcpy', '--in', path.join(installed, 'dist/cli/main.js')];
  const { stdout } = run([...args, '--out', path.join(folder, 'copy'), '--json'], {
    env: { LD_PRELOAD: simulatedDevice },
  });
  const { identical, bytes } = JSON.parse(stdout);
  must(identical, stdout);
  return `${bytes} bytes`;
});

/** A module to preload, with which Node reports another machine. */
function otherMachine(name, answers) {
  const file = path.join(folder, `${name}.cjs`);
  const assignments = Object.entries(answers).map(([key, value]) =>
    key === 'endianness'
      ? `os.endianness = () => '${value}';`
      : `Object.defineProperty(process, '${key}', { value: '${value}' }); os.${key} = () => '${value}';`,
  );
  writeFileSync(file, `const os = require('node:os');\n${assignments.join('\n')}\n`);
  return file;
}

const otherMachines = [
  ['big-endian', { arch: 'ppc64', endianness: 'BE' }, /ppc64.*npm rebuild node-cxl/s],
  ['riscv64', { arch: 'riscv64' }, /riscv64.*npm rebuild node-cxl/s],
  ['darwin', { platform: 'darwin' }, /part of Linux, and this is darwin/],
];
for (const [name, answers, sentence] of otherMachines) {
  check(`on ${name}: a sentence that says what to do, and the mock`, () => {
    const preloaded = otherMachine(name, answers);
    const refused = `
      const { cxl } = require('node-cxl');
      cxl.adapters().then(() => process.exit(1), (error) => {
        console.log(error.code, error.message);
      });`;
    const { stdout } = run(['-r', preloaded, '-e', refused]);
    must(stdout.startsWith('ERR_CXL_NO_NATIVE '), stdout);
    must(sentence.test(stdout) && /NODE_CXL_BACKEND=mock/.test(stdout), stdout);
    const { stderr } = run(['-r', preloaded, program, 'list'], { status: 3 });
    must(/^node-cxl: [^\n]+\n$/.test(stderr), stderr);
    run(['-r', preloaded, program, 'list', '--mock']);
  });
}

check('the install script without a compiler: a sentence, and no failure', () => {
  const preloaded = otherMachine('riscv64', { arch: 'riscv64' });
  const { stderr } = run([path.join(installed, 'lib/build/install.cjs')], {
    env: { PATH: bare, NODE_OPTIONS: `--require ${preloaded}` },
  });
  must(/no compiled part for linux-riscv64.*npm rebuild node-cxl/s.test(stderr), stderr);
  rmSync(path.join(installed, 'build'), { recursive: true, force: true });
  return stderr.trim().split('\n').at(-1).slice(0, 100);
});

check('the install script with a compiler, where no prebuilt addon fits: builds one', () => {
  const prebuilt = path.join(installed, 'prebuilds');
  rmSync(prebuilt, { recursive: true });
  run([path.join(installed, 'lib/build/install.cjs')]);
  must(existsSync(path.join(installed, 'build/Release/node_cxl.node')), 'nothing was built');
  run(['-e', "require('node-cxl').cxl.allocate(4096).free()"]);
  rmSync(path.join(installed, 'build'), { recursive: true });
});

const kinds = [
  ['ESM, node16', 'module', 'node16', 'node16'],
  ['CommonJS, node16', 'commonjs', 'node16', 'node16'],
  ['ESM, bundler', 'module', 'esnext', 'bundler'],
];
for (const [what, type, module, moduleResolution] of kinds) {
  check(`types: a consumer in ${what}`, () => {
    const consumer = path.join(app, `consumer-${type}-${moduleResolution}`);
    mkdirSync(consumer);
    copyFileSync(path.join(root, 'test/pack/consumer.ts'), path.join(consumer, 'consumer.ts'));
    writeFileSync(path.join(consumer, 'package.json'), JSON.stringify({ type }));
    const compilerOptions = {
      ...{ module, moduleResolution, target: 'es2022', strict: true, noEmit: true },
      ...{ exactOptionalPropertyTypes: true, skipLibCheck: false, types: ['node'] },
      typeRoots: [path.join(root, 'node_modules/@types')],
    };
    writeFileSync(
      path.join(consumer, 'tsconfig.json'),
      JSON.stringify({ compilerOptions, files: ['consumer.ts'] }),
    );
    run([require.resolve('typescript/bin/tsc'), '-p', consumer]);
  });
}

check('publint', () => {
  const { stdout } = run([path.join(root, 'node_modules/publint/src/cli.js'), tarball, '--strict']);
  must(/All good/.test(stdout), stdout);
});

check('attw', () => {
  const attw = path.join(root, 'node_modules/@arethetypeswrong/cli/dist/index.js');
  const { stdout } = run([attw, tarball, '--no-emoji', '--no-color', '--format', 'ascii']);
  must(/No problems found/.test(stdout), stdout);
});

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
