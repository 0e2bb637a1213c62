// Explores the interleavings of an operation thread with JavaScript's thread: `node
// test/addon/interleavings/run.mjs [ACTIONS [PREEMPTIONS]]`. Its source is compiled as it is, on
// stubs of libuv and Node-API; then with defects in it, which must be found.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { root } from '../../../lib/build/files.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const compiler = process.env.CXX ?? 'g++';
const [actions = '4', preemptions = '3'] = process.argv.slice(2);

/** Defects, each by what stands in the source and what is put there instead. */
const DEFECTS = {
  'a push that wakes nobody': [
    'waiting_.push_back(std::move(operation));\n  changed_.Broadcast();',
    'waiting_.push_back(std::move(operation));',
  ],
  'a wake-up before the answer is there': [
    /\{\n {6}Lock lock\(mutex_\);\n {6}done_\.push_back\(std::move\(operation\)\);\n {4}\}\n {4}environment_\.Wake\(\);/,
    'environment_.Wake();\n    {\n      Lock lock(mutex_);\n      done_.push_back(std::move(operation));\n    }',
  ],
  'a stop that wakes nobody': ['stopping_ = true;\n    changed_.Broadcast();', 'stopping_ = true;'],
  'a stop that does not wait': ['  thread_.Join();\n', ''],
};

/** The program, with the source changed by `change`. */
function build(name, change = (source) => source) {
  const folder = path.join(root, 'test/addon/build/interleavings', name);
  rmSync(folder, { recursive: true, force: true });
  const threads = path.join(folder, 'native/threads');
  mkdirSync(threads, { recursive: true });
  for (const file of ['operation_thread.h', 'deferred.h', 'thread.h']) {
    cpSync(path.join(root, 'native/threads', file), path.join(threads, file));
  }
  const source = readFileSync(path.join(root, 'native/threads/operation_thread.cc'), 'utf8');
  writeFileSync(path.join(threads, 'operation_thread.cc'), change(source));
  for (const file of ['environment.h', 'errors.h']) {
    cpSync(path.join(here, 'stubs', file), path.join(folder, 'native', file));
  }
  const program = path.join(folder, 'explore');
  const sources = [
    path.join(threads, 'operation_thread.cc'),
    `${here}/explorer.cc`,
    `${here}/main.cc`,
  ];
  const include = ['-I', folder, '-I', path.join(here, 'stubs')];
  execFileSync(compiler, ['-std=c++17', '-O1', '-g', ...include, ...sources, '-o', program], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return program;
}

function explore(program) {
  return spawnSync(program, [actions, preemptions], { encoding: 'utf8', timeout: 300_000 });
}

let passed = 0;
let failed = 0;
const whole = explore(build('whole'));
process.stdout.write(whole.stdout);
process.stderr.write(whole.stderr);
if (whole.status === 0) passed += 1;
else failed += 1;
for (const [name, [from, to]] of Object.entries(DEFECTS)) {
  const program = build('defect', (source) => {
    const changed = source.replace(from, to);
    if (changed === source) throw new Error(`${name}: the source is not as it was`);
    return changed;
  });
  const { status, signal, stderr } = explore(program);
  const found = status === 1 || signal === 'SIGSEGV' || signal === 'SIGABRT';
  console.log(
    `with ${name}: ${found ? `found (${stderr.trim().split('\n')[0] || signal})` : 'NOT FOUND'}`,
  );
  if (found) passed += 1;
  else failed += 1;
}
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
