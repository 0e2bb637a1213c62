import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { doe } from 'node-cxl/doe';
import { describe, expect, it } from 'vitest';
import { devices, force } from './devices';

const run = promisify(execFile);
const nobody = 65534;

describe('a user who is not root', () => {
  it('is told that it takes root, whatever is asked', async () => {
    const script = `
      const { doe } = require('node-cxl/doe');
      const tell = (promise) => promise.then(() => 'done', ({ code, message }) => code + ' ' + message);
      (async () => {
        console.log(await tell(doe.mailboxes('${devices.default}')));
        console.log(await tell(doe.mailboxes()));
        const { mailboxes, problem } = await doe.scanFunction('${devices.default}');
        console.log(mailboxes.length, problem.code);
      })();`;
    const { stdout } = await run(process.execPath, ['-e', script], { cwd: '/app', uid: nobody });
    const [one, all, scan] = stdout.trim().split('\n');
    expect(one).toMatch(/^EACCES .*root/);
    expect(all).toMatch(/^EACCES .*root/);
    expect(scan).toBe('0 EACCES');
  });

  it('cannot write to a mailbox either', async () => {
    const script = `
      const { SysfsPci } = require('node-cxl/doe');
      console.log(new SysfsPci().open('${devices.default}', 'write'));`;
    const { stdout } = await run(process.execPath, ['-e', script], { cwd: '/app', uid: nobody });
    expect(stdout.trim()).toBe('-13');
  });
});

describe('a function without mailboxes', () => {
  it('conventional, or of PCI Express, has none', async () => {
    expect(await doe.mailboxes('0000:00:1f.0')).toEqual([]);
    expect(await doe.mailboxes('0000:0c:00.0')).toEqual([]);
  });

  it('that is not there is refused', async () => {
    await expect(doe.mailboxes('0000:7f:00.0')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('the read mailbox advanced with nothing in it', () => {
  it('raises the error bit, which the next exchange clears', async () => {
    const space = doe.bus.open(devices.whole, 'write');
    if (typeof space === 'number') throw new Error(`open: ${space}`);
    space.writeDword(0x190 + 0x14, 0);
    expect(space.readDword(0x190 + 0x0c) & 4).toBe(4);
    space.close();
    const [mailbox] = await doe.mailboxes(devices.whole);
    expect(await mailbox!.discover({ force })).toHaveLength(2);
  });
});
