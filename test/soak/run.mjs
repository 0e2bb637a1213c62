// Runs a soak: `node test/soak/run.mjs THEME --minutes N --seed S --target mock|simulated --mode ioarrin|squeue`.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { parseArgs } from 'node:util';

const THEMES = ['flash', 'memory'];
/** Milliseconds without output after which a soak counts as hung: it prints every 5 s. */
const SILENCE = 60_000;

const root = path.resolve(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '../..');
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 32)) },
    target: { type: 'string', default: 'mock' },
    mode: { type: 'string', default: 'ioarrin' },
  },
});
const [theme] = positionals;
const minutes = Number(values.minutes);
const { seed, target, mode } = values;
if (
  !THEMES.includes(theme) ||
  !(minutes > 0) ||
  !/^\d+$/.test(seed) ||
  !['mock', 'simulated'].includes(target) ||
  !['ioarrin', 'squeue'].includes(mode)
) {
  console.error(
    `usage: run.mjs ${THEMES.join('|')} --minutes N --seed S --target mock|simulated --mode ioarrin|squeue`,
  );
  process.exit(2);
}

const again = `node test/soak/run.mjs ${theme} --minutes ${minutes} --seed ${seed} --target ${target} --mode ${mode}`;
console.log(`soak: ${again}`);
const program = path.join(root, 'test/soak', theme, 'main.mjs');
const child = spawn(
  process.execPath,
  ['--expose-gc', program, String(minutes * 60_000), seed, target, mode],
  {
    cwd: root,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      ...(target === 'simulated' && {
        LD_PRELOAD: path.join(root, 'test/simulated-device/build/libcxlsim.so'),
      }),
    },
  },
);
let timer;
let silent = false;
function listen() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    silent = true;
    child.kill('SIGKILL');
  }, SILENCE);
}
listen();
child.stdout.setEncoding('utf8').on('data', (text) => {
  listen();
  process.stdout.write(text);
});
child.on('close', (code, signal) => {
  clearTimeout(timer);
  if (code === 0) return;
  if (silent) console.error(`hangs: no output for ${SILENCE / 1000} s, the event loop included`);
  else if (signal !== null) console.error(`ended by ${signal}`);
  console.error(`failed; to repeat: ${again}`);
  process.exitCode = 1;
});
