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
import { cleanClone, installTarball, pack } from './tarball.mjs';

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

/** A PATH with all that builds the addons, but the compiler for POWER. */
const withoutPower = path.join(folder, 'bin-without-power');
mkdirSync(withoutPower);
for (const name of ['which', 'make', 'x86_64-linux-gnu-g++', 'aarch64-linux-gnu-g++']) {
  const found = spawnSync('which', [name], { encoding: 'utf8' }).stdout.trim();
  if (found !== '') symlinkSync(found, path.join(withoutPower, name));
}

const program = 'node_modules/.bin/node-cxl';
let tarball;

const clone = path.join(folder, 'clone');
cleanClone(clone);

check('a clean clone without a compiler for POWER is not packed: it says what is missing', () => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [path.join(clone, 'lib/build/package.mjs')],
    { cwd: clone, encoding: 'utf8', env: { ...process.env, PATH: withoutPower } },
  );
  must(status === 1, `exit code ${status}`);
  const said = stderr.trim();
  must(/^package: missing programs: apt-get install g\+\+-powerpc64le-linux-gnu$/.test(said), said);
  must(stdout === '' && !existsSync(path.join(clone, 'dist')), 'something was built');
  return said;
});

check('a clean clone packs whole', () => {
  const { file, packed } = pack(clone, folder);
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
    ...['README.md', 'LICENSE', 'CHANGELOG.md', 'native/binding.gyp', 'lib/ERRORS.md'],
    ...['lib/udev/70-node-cxl.rules', 'dist/THIRD-PARTY-NOTICES.txt', 'dist/sbom.cdx.json'],
    ...[
      'lib/build/from-source.cjs',
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
      /^(test(?!\/examples\/)|build|native\/build|\.)|\.bundle\.json$|\.test\./.test(name) ||
      // npm would run node-gyp at each installation.
      name === 'binding.gyp' ||
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

check('the bill of materials is of what is shipped', () => {
  const read = (name) => JSON.parse(readFileSync(path.join(installed, name), 'utf8'));
  const { name, version, dependencies } = read('package.json');
  const { bomFormat, metadata, components, dependencies: edges } = read('dist/sbom.cdx.json');
  must(bomFormat === 'CycloneDX', bomFormat);
  const { component } = metadata;
  must(component.name === name && component.purl === `pkg:npm/${name}@${version}`, component.purl);
  const notices = readFileSync(path.join(installed, 'dist/THIRD-PARTY-NOTICES.txt'), 'utf8');
  const noticed = [...notices.matchAll(/^-{80}\n\n(\S+) (\S+) \(/gm)].map(([, ...one]) =>
    one.join('@'),
  );
  const expected = new Set(noticed);
  for (const dependency of Object.keys(dependencies)) {
    const found = path.join(app, 'node_modules', dependency, 'package.json');
    expected.add(`${dependency}@${JSON.parse(readFileSync(found, 'utf8')).version}`);
  }
  const references = components.map((one) => one['bom-ref']);
  must([...expected].sort().join() === [...references].sort().join(), references.join());
  const ofDevelopment = ({ properties }) => properties.some((one) => /development/.test(one.name));
  must(!components.some(ofDevelopment), 'a development dependency is shipped');
  must(
    components.every(({ licenses, hashes }) => licenses?.length && hashes?.length),
    'a license',
  );
  const all = new Set([component['bom-ref'], ...references]);
  const ends = edges.flatMap(({ ref, dependsOn }) => [ref, ...dependsOn]);
  must(
    ends.every((one) => all.has(one)),
    'an edge leads to what is not listed',
  );
  return references.join(', ');
});

check('node-cxl list --mock', () => {
  const { stdout } = run([program, 'list', '--mock', '--json']);
  must(JSON.parse(stdout).adapters[0].afus[0].deviceId === '0x4350', stdout);
});

check('required and imported: one instance', () => {
  const { exports } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
  const entries = Object.keys(exports).filter((name) => !name.endsWith('.json'));
  const names = entries.map((name) => path.posix.join('node-cxl', name));
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
      : `Object.defineProperty(process, '${key}', { value: ${JSON.stringify(value)} }); os.${key} = () => process.${key};`,
  );
  writeFileSync(file, `const os = require('node:os');\n${assignments.join('\n')}\n`);
  return file;
}

/** The start of a program whose interpreter is musl's. */
const ofMusl = path.join(folder, 'node-of-musl');
writeFileSync(ofMusl, '\x7fELF\x02\x01\x01\0/lib/ld-musl-x86_64.so.1\0');

const otherMachines = [
  [
    'big-endian',
    { arch: 'ppc64', endianness: 'BE' },
    /for linux-ppc64 \(big-endian\)\n.*npx node-cxl build/s,
  ],
  ['riscv64', { arch: 'riscv64' }, /for linux-riscv64\n.*npx node-cxl build/s],
  ['musl', { execPath: ofMusl }, /with the C library musl.*apk add .*npx node-cxl build/s],
  ['bun', { versions: { ...process.versions, bun: '1.0.0' } }, /needs libuv, which Bun has not/],
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

check('nothing of it is run by an installation', () => {
  const { scripts = {} } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
  const names = ['preinstall', 'install', 'postinstall', 'prepare', 'dependencies'];
  must(!names.some((name) => name in scripts), JSON.stringify(scripts));
});

check('node-cxl build without a compiler: says what node-gyp said, and leaves nothing', () => {
  const { stderr } = run([program, 'build'], { env: { PATH: bare }, status: 1 });
  must(/^node-cxl: node-gyp failed: its output says why$/m.test(stderr), stderr);
  must(/Python|make/.test(stderr), stderr);
  must(!existsSync(path.join(installed, 'build')), 'something was left');
  must(!existsSync(path.join(installed, 'native/build')), 'something was left');
});

check('node-cxl build, where no prebuilt addon fits: builds one that loads', () => {
  rmSync(path.join(installed, 'prebuilds'), { recursive: true });
  const load = ['-e', "require('node-cxl').cxl.allocate(4096).free()"];
  const { stderr } = run(load, { status: 1 });
  must(/npx node-cxl build/.test(stderr), stderr);
  const { stdout } = run([program, 'build']);
  must(stdout === `built ${path.join(installed, 'build/Release/node_cxl.node')}\n`, stdout);
  run(load);
  must(!existsSync(path.join(installed, 'native/build')), 'objects were left');
});

const kinds = [
  ['ESM, node16', 'module', 'node16', 'node16'],
  ['CommonJS, node16', 'commonjs', 'node16', 'node16'],
  ['ESM, nodenext', 'module', 'nodenext', 'nodenext'],
  ['CommonJS, nodenext', 'commonjs', 'nodenext', 'nodenext'],
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
