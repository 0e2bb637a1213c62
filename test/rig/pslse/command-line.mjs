// The command line and the guide's program on the AFU in Verilog.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { repository } from '../folders.mjs';

const program = path.join(repository, 'dist/cli/main.js');
const GUIDE = path.join(repository, 'lib/pslse/VERILOG.md');

/** Runs each, prints what it printed, and counts whether it is as expected. */
export async function commandLine(port, count) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'node-cxl-'));
  const env = { ...process.env, NODE_CXL_BACKEND: `pslse:127.0.0.1:${port}`, NO_COLOR: '1' };
  const check = (shown, file, args, expected) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [file, ...args], {
      cwd: repository,
      encoding: 'utf8',
      timeout: 120_000,
      env,
    });
    const right = status === 0 && expected.test(stdout);
    console.log(`$ ${shown}\n${stdout}${stderr}${right ? '' : `FAILED: ${status}, ${expected}\n`}`);
    count(right);
  };
  const command = (args, expected) => check(`node-cxl ${args.join(' ')}`, program, args, expected);
  try {
    const source = path.join(folder, 'source');
    const target = path.join(folder, 'target');
    fs.writeFileSync(source, randomBytes(1000));
    command(['list'], /card0[\s\S]*afu0\.0/);
    command(['info', 'afu0.0'], /afu_directed/);
    command(['doctor'], /the daemon simulates afu0\.0/);
    command(['memcpy', '--in', source, '--out', target, '--timeout', '60s'], /identical/);
    count(fs.readFileSync(source).equals(fs.readFileSync(target)));
    await together(folder, source, env, count);
    // The injection registers raise interrupts 1 and 3.
    const writes = ['--write', '0x1000=0x0100000000000005'];
    command(['watch', 'afu0.0s', ...writes, '--for', '5s'], /interrupt 1[\s\S]*interrupt 3/);
    for (const [index, block] of blocks(fs.readFileSync(GUIDE, 'utf8')).entries()) {
      // Beside the package, whose name it imports.
      const file = path.join(repository, `.guide-${index}.mjs`);
      fs.writeFileSync(file, block);
      try {
        check(`node program.mjs # of VERILOG.md`, file, [], /Hello, Verilog/);
      } finally {
        fs.rmSync(file);
      }
    }
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** Three programs at the same time, each with a context of the AFU. */
async function together(folder, source, env, count) {
  const outputs = await Promise.all(
    [1, 2, 3].map(async (number) => {
      const target = path.join(folder, `target-${number}`);
      const args = ['memcpy', '--in', source, '--out', target, '--timeout', '60s'];
      const child = spawn(process.execPath, [program, ...args], { env, timeout: 120_000 });
      let output = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.setEncoding('utf8').on('data', (text) => {
          output += text;
        });
      }
      const [status] = await once(child, 'close');
      const copied = status === 0 && fs.readFileSync(source).equals(fs.readFileSync(target));
      count(copied);
      return `${output}${copied ? '' : `FAILED: ${status}\n`}`;
    }),
  );
  console.log(`$ node-cxl memcpy … # three at the same time\n${outputs.join('')}`);
}

/** The blocks of JavaScript of a guide. */
function blocks(text) {
  return [...text.matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, code]) => code);
}
