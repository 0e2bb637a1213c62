import { describe, expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

/** A mapping exists, so the guard is installed; detach() makes the next access fault. */
const guarded = `${prelude}
const { context } = await attached();
const area = context.mapProblemState({ endian: 'big' });
const detach = () => { area.write64(0x1000, 7n << 56n); };
const faults = async () => {
  for (let turn = 0; turn < 200; ++turn) {
    try { area.read64(0x08); } catch (error) { return error.code; }
    await sleep(10);
  }
};
`;

describe('SIGBUS', () => {
  it('within an access is that access’ EIO, again and again', async () => {
    const child = await runNode(
      `${guarded}
      detach();
      console.log(await faults());
      const codes = new Set();
      const tries = [
        () => area.read32(0), () => area.read64(0), () => area.write32(0, 1), () => area.write64(0, 1n),
        () => area.readBlock(0, new BigUint64Array(8)), () => area.readBlock(0, new Uint32Array(8)),
        () => area.writeBlock(0, new BigUint64Array(8)), () => area.writeBlock(0, new Uint32Array(8)),
      ];
      for (let i = 0; i < 1000; ++i) {
        for (const attempt of tries) {
          try { attempt(); codes.add('none'); } catch (error) { codes.add(error.code); }
        }
      }
      console.log([...codes].join());
      const blocked = BigInt('0x' + /SigBlk:\\s*(\\w+)/.exec(readFileSync('/proc/self/status', 'latin1'))[1]);
      console.log((blocked >> 6n) & 1n);
      `,
    );
    expect(child).toEqual(ended('EIO\nEIO\n0n\n'));
  }, 60_000);

  it('sent from elsewhere kills the process where it did so before', async () => {
    const child = await runNode(
      `const nobody = () => {};
      process.on('SIGBUS', nobody); // instead of the simulated device
      process.off('SIGBUS', nobody);
      ${guarded}
      detach();
      console.log(await faults());
      process.kill(process.pid, 'SIGBUS');
      await sleep(5000);
      `,
    );
    expect(child).toEqual({
      code: null,
      signal: 'SIGBUS',
      stdout: 'EIO\n',
      stderr: '',
      hung: false,
    });
  }, 60_000);

  it('sent from elsewhere reaches the handler that was there first, each time', async () => {
    const child = await runNode(
      `import { setTimeout as wait } from 'node:timers/promises';
      let caught = 0;
      process.on('SIGBUS', () => { ++caught; });
      ${guarded}
      detach();
      console.log(await faults(), caught);
      for (let i = 0; i < 3; ++i) {
        process.kill(process.pid, 'SIGBUS');
        await wait(50);
      }
      console.log(caught, await faults());
      process.exit();
      `,
    );
    expect(child).toEqual(ended('EIO 0\n3 EIO\n'));
  }, 60_000);

  it('handled by process.on() after the mapping: a fault is EIO, and the listener gets the rest', async () => {
    const child = await runNode(
      `${guarded}
      let caught = 0;
      const listener = () => { ++caught; };
      process.on('SIGBUS', listener);
      detach();
      console.log(await faults(), caught);
      process.kill(process.pid, 'SIGBUS');
      await sleep(50);
      console.log(caught, await faults());
      process.once('SIGBUS', listener);
      process.kill(process.pid, 'SIGBUS');
      await sleep(50);
      console.log(caught, await faults());
      process.exit();
      `,
      { limit: 20_000 },
    );
    expect(child).toEqual(ended('EIO 0\n1 EIO\n3 EIO\n'));
  }, 60_000);

  it('no longer handled by process.on(): a fault is EIO still, and the rest kills the process', async () => {
    const child = await runNode(
      `${guarded}
      for (let i = 0; i < 100; ++i) {
        const listener = () => {};
        process.on('SIGBUS', listener);
        process.off('SIGBUS', listener);
      }
      detach();
      console.log(await faults());
      process.removeAllListeners('SIGBUS');
      console.log(await faults());
      process.kill(process.pid, 'SIGBUS');
      await sleep(5000);
      `,
      { limit: 20_000 },
    );
    expect(child).toEqual({
      code: null,
      signal: 'SIGBUS',
      stdout: 'EIO\nEIO\n',
      stderr: '',
      hung: false,
    });
  }, 60_000);

  it('handled by two copies of the addon, each installed over the other in turn', async () => {
    const child = await runNode(
      `import { copyFileSync, mkdtempSync } from 'node:fs';
      import { tmpdir } from 'node:os';
      let caught = 0;
      process.on('SIGBUS', () => { ++caught; });
      ${guarded}
      const copy = mkdtempSync(tmpdir() + '/node-cxl-copy-') + '/copy.node';
      copyFileSync('build/Release/node_cxl.node', copy);
      const other = require(copy);
      const fd = context.fd;
      for (let i = 0; i < 5; ++i) {
        const mapping = other.adoptAfu(fd, false).map(0, cxl.pageSize, 'big');
        mapping.unmap();
        context.mapProblemState({ endian: 'big' }).unmap();
      }
      const theirs = other.adoptAfu(fd, false).map(0, cxl.pageSize, 'big');
      detach();
      console.log(await faults());
      console.log(theirs.read64());
      process.kill(process.pid, 'SIGBUS');
      await sleep(50);
      console.log(caught);
      process.exit();
      `,
      { limit: 20_000 },
    );
    expect(child).toEqual(ended('EIO\nfalse\n1\n'));
  }, 60_000);
});
