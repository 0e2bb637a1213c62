// Runs in the guest: records programs over the driver. What is shared with the host is read-only, so
// each recording is printed, as lines of base64: `# file NAME PART`.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
const folder = path.dirname(require.resolve('node-cxl/package.json'));
const LINE = 900;

/** The first program of README.md. It must lie where it finds the package. */
const readme = /```js\n(import \{ cxl \} from 'node-cxl';\n.*?)```/s.exec(
  readFileSync(path.join(folder, 'README.md'), 'utf8'),
)[1];

const input = '/tmp/input.txt';
writeFileSync(input, Array.from({ length: 100 }, (_, n) => `line ${n} of a text\n`).join(''));

const programs = {
  readme: ['--input-type=module', '-e', readme],
  memcpy: [
    path.join(folder, 'dist/cli/main.js'),
    ...['memcpy', '--in', input, '--out', '/tmp/output.txt'],
  ],
};

for (const [name, args] of Object.entries(programs)) {
  const file = `/tmp/${name}.cxlrec`;
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    env: { ...process.env, NODE_CXL_RECORD: file },
    encoding: 'utf8',
  });
  console.log(`${status === 0 ? 'ok' : 'not ok'} - recorded ${name} ${stderr}`);
  if (status !== 0) process.exitCode = 1;
  print(`${name}.cxlrec`, readFileSync(file));
  print(`${name}.txt`, Buffer.from(stdout));
}

function print(name, bytes) {
  const text = bytes.toString('base64');
  for (let at = 0; at < text.length; at += LINE) {
    console.log(`# file ${name} ${text.slice(at, at + LINE)}`);
  }
}
