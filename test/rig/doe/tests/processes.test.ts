import { type ChildProcess, spawn } from 'node:child_process';
import path from 'node:path';
import { doe } from 'node-cxl/doe';
import { afterEach, describe, expect, it } from 'vitest';
import { devices, force } from './devices';

const app = '/app';
const exchanges = 300;
const children: ChildProcess[] = [];

afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function start(script: string, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, ['-e', script, ...args], {
    cwd: app,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  return child;
}

/** A process that asks for one entry of the list over and over; how many answers were wrong. */
const asking = `
  const { doe, discoverIndex } = require('node-cxl/doe');
  const [address, index, vendor, count] = process.argv.slice(1);
  (async () => {
    const [mailbox] = await doe.mailboxes(address);
    let wrong = 0;
    for (let n = 0; n < Number(count); n += 1) {
      const { vendorId } = await discoverIndex(mailbox, Number(index), { force: true });
      if (vendorId !== Number(vendor)) wrong += 1;
    }
    console.log('wrong', wrong, mailbox.phase);
  })();`;

function output(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    child.stdout!.on('data', (data) => {
      text += data;
    });
    child.on('close', () => resolve(text.trim()));
  });
}

describe('two processes at one mailbox', () => {
  it('get each their own answers, hundreds of them', { timeout: 30_000 }, async () => {
    const asked = [
      start(asking, devices.default, '0', String(0x0001), String(exchanges)),
      start(asking, devices.default, '1', String(0x1e98), String(exchanges)),
    ];
    expect(await Promise.all(asked.map(output))).toEqual(['wrong 0 idle', 'wrong 0 idle']);
  });

  it('one that dies in mid-exchange leaves the mailbox for the other', async () => {
    const [mailbox] = await doe.mailboxes(devices.default);
    // Sends half of a request and prints a line; the lock ends with the process.
    const half = start(
      `const { SysfsPci } = require('node-cxl/doe');
       const space = new SysfsPci().open(process.argv[1], 'write');
       if (space.lock(0x190, 0x18) !== 0) throw new Error('no lock');
       for (const dword of [0x00021e98, 3, 0]) space.writeDword(0x1a0, dword);
       space.writeDword(0x198, 0x80000000);
       console.log('sent');
       setInterval(() => {}, 1000);`,
      devices.default,
    );
    await new Promise((resolve) => half.stdout!.once('data', resolve));
    const call = mailbox!.discover({ force });
    let settled = false;
    call.then(() => {
      settled = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(settled).toBe(false);
    half.kill('SIGKILL');
    // The answer that was not read is cleared first.
    expect(await call).toHaveLength(2);
    expect(mailbox!.phase).toBe('idle');
    expect(path.isAbsolute(app)).toBe(true);
  });
});
