// What needs real processes on the simulated device's flash adapter: they end, are killed, and start
// others. What processes share is in the conformance suite.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { type FlashContext, type Lun, openLun } from 'node-cxl/flash';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CHUNK, codeOf, LUN_BLOCKS } from '../../conformance/flash-target';
import { forkedChild, type KillableChild } from '../../conformance/support/flash-child';
import { prelude } from '../child';

const NODE = '/dev/sg90';
const INTERRUPTS = 2037n;
const PER_CONTEXT = 4n;

const block = (value: number) => new Uint8Array(4096).fill(value);

describe('processes on the simulated flash adapter', () => {
  let lun: Lun;
  let context: FlashContext;
  let child: KillableChild;
  let shells: ChildProcess[];

  beforeEach(async () => {
    shells = [];
    lun = await openLun(NODE);
    await lun.enableSuperpipe();
    context = await lun.attach();
    child = await forkedChild();
    await child.open(NODE);
  });

  afterEach(async () => {
    for (const shell of shells) shell.kill('SIGKILL');
    await context.close();
    await child.end();
    await lun.disableSuperpipe();
    await lun.close();
  });

  it('free everything when they are killed: chunks, the mode of the LUN, superpipe', async () => {
    const resource = await context.openVirtual({ blocks: 1n });
    await child.attach();
    await child.cloneFrom(context.cloneToken());
    await child.openVirtual({ blocks: LUN_BLOCKS[0] });
    expect(await codeOf(resource.resize(LUN_BLOCKS[0]))).toBe('ENOSPC');
    await child.kill();
    // Its share of the parent's chunk is freed too; the parent still has its own.
    expect((await resource.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
    await resource.release();
    expect((await context.openDirect()).blocks).toBe(LUN_BLOCKS[0]);
  });

  it('free interrupts and process elements when they are killed', async () => {
    const attach = { flags: 2n, numInterrupts: PER_CONTEXT };
    // The context of this test has some too.
    await context.close();
    for (let left = INTERRUPTS; left >= PER_CONTEXT; left -= PER_CONTEXT) {
      await child.call('ATTACH', attach);
    }
    expect(await codeOf(child.call('ATTACH', attach))).toBe('ENOSPC');
    expect(await codeOf(lun.call('ATTACH', attach))).toBe('ENOSPC');
    await child.kill();
    const descriptors: number[] = [];
    for (let left = INTERRUPTS; left >= PER_CONTEXT; left -= PER_CONTEXT) {
      descriptors.push(Number((await lun.call('ATTACH', attach)).adapFd));
    }
    for (const descriptor of descriptors) closeSync(descriptor);
  });

  it('do not block other processes when they are killed during commands', async () => {
    const resource = await context.openVirtual({ blocks: 1n });
    const device = resource.blockDevice();
    // Blocks that keep the adapter busy for so long that its death finds it at work.
    const large = 1024;
    for (let round = 0; round < 4; round += 1) {
      const other = await forkedChild();
      await other.open(NODE);
      await other.attach();
      await other.cloneFrom(context.cloneToken());
      let running = true;
      let written = 0;
      const lanes = Array.from({ length: 4 }, async (_, lane) => {
        for (; running; written += 1) await other.read(resource.handle, lane, large);
      });
      const work: Promise<void>[] = [];
      for (let i = 0; written < 8 || i < 50; i += 1) {
        work.push(device.write(i % 50, block(round)));
        if (i % 10 === 0) await work[i];
      }
      const killed = other.kill();
      running = false;
      await killed;
      await Promise.all(work);
      await Promise.allSettled(lanes);
      expect((await device.read(49, 1))[0]).toBe(round);
    }
    expect((await resource.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
  }, 60_000);

  const grandchild = `${prelude}
    const { openLun } = await import('node-cxl/flash');
    const lun = await openLun('${NODE}');
    const context = await lun.attach();
    const code = (promise) => promise.then(() => 'resolved', (error) => error.code);
    const token = JSON.parse(process.env.TOKEN);
    const contextIdSrc = BigInt('0x' + token.contextId);
    const resource = await context.openVirtual({ blocks: ${LUN_BLOCKS[0]} });
    console.log(JSON.stringify([
      process.pid,
      Number(resource.blocks / ${CHUNK}n),
      await code(lun.call('DETACH', { contextId: contextIdSrc })),
      await code(lun.call('VLUN_CLONE', { contextIdSrc, contextIdDst: context.id })),
      await code(context.cloneFrom(token)),
    ]));
    process.stdin.resume();
  `;

  /** A Node started by a shell that then runs `rest`. */
  async function throughShell(rest: string) {
    const command = `"$0" --input-type=module -e "$1" <&3 & ${rest}`;
    const shell = spawn('sh', ['-c', command, process.execPath, grandchild], {
      stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', TOKEN: JSON.stringify(context.cloneToken()) },
    });
    shells.push(shell);
    const gone = once(shell, 'exit');
    const [line] = await once(
      (shell.stdout as NonNullable<typeof shell.stdout>).setEncoding('utf8'),
      'data',
    );
    return { shell, gone, answer: JSON.parse(line) as [number, number, string, string, string] };
  }

  it('share it with a grandchild too, which is no child to clone', async () => {
    const resource = await context.openVirtual({ blocks: 1n });
    const { gone, shell, answer } = await throughShell('wait');
    const chunks = Number(LUN_BLOCKS[0] / CHUNK);
    expect(answer.slice(1)).toEqual([chunks - 1, 'EINVAL', 'EINVAL', 'ERR_INVALID_STATE']);
    process.kill(answer[0], 'SIGKILL');
    await gone;
    expect(shell.exitCode).toBe(0);
    expect((await resource.resize(LUN_BLOCKS[0])).blocks).toBe(LUN_BLOCKS[0]);
  });

  it('have ended when they were killed, before waitpid() was called for them', async () => {
    const resource = await context.openVirtual({ blocks: 1n });
    // A stopped shell takes no notice of its children.
    const { gone, shell, answer } = await throughShell('kill -STOP $$; wait');
    expect(await codeOf(resource.resize(LUN_BLOCKS[0]))).toBe('ENOSPC');
    process.kill(answer[0], 'SIGKILL');
    // Its files go with the last of its threads.
    let refusal = 'ENOSPC';
    const end = performance.now() + 10_000;
    while (refusal === 'ENOSPC' && performance.now() < end) {
      refusal = await codeOf(resource.resize(LUN_BLOCKS[0]));
    }
    expect(resource.blocks).toBe(LUN_BLOCKS[0]);
    // It is still there, for the shell to ask.
    expect(process.kill(answer[0], 0)).toBe(true);
    shell.kill('SIGCONT');
    await gone;
  });
});
