/** What NODE_DEBUG=cxl prints. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');

function printed(script: string, env: NodeJS.ProcessEnv = { NODE_DEBUG: 'cxl' }): string {
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: root,
    env: { ...process.env, NODE_OPTIONS: '', NODE_CXL_BACKEND: 'mock', ...env },
    encoding: 'utf8',
  });
  expect(child.status).toBe(0);
  return child.stderr.replace(/^CXL \d+: /gm, '');
}

const contexts = `
  import { cxl } from 'node-cxl';
  const context = await cxl.open('/dev/cxl/afu0.0s');
  await context.attach({ wed: 0n });
  await context.attach({ wed: 0n }).catch(() => {});
  context.mapProblemState();
  context.afuId();
  context.takeEvent();
  await context.close();
  await cxl.open('/dev/cxl/afu9.0s').catch(() => {});
`;

describe('NODE_DEBUG=cxl', () => {
  it('prints the calls of a context with their results and errnos', () => {
    const lines = printed(contexts);
    for (const line of [
      'open /dev/cxl/afu0.0s = \\d+',
      'ioctl\\(START_WORK\\) /dev/cxl/afu0.0s: { flags: 0n, workElementDescriptor: 0n, .* }',
      'ioctl\\(START_WORK\\) /dev/cxl/afu0.0s = { tid: 0 }',
      'ioctl\\(START_WORK\\) /dev/cxl/afu0.0s = -1 EIO \\(input/output error\\)',
      'mmap /dev/cxl/afu0.0s = 0',
      'ioctl\\(GET_AFU_ID\\) /dev/cxl/afu0.0s = { flags: 1n, cardId: 0, .*}',
      'close /dev/cxl/afu0.0s = 0',
      'read /sys/class/cxl/afu0.0s/device/mmio_size = \\d+',
    ]) {
      expect(lines).toMatch(new RegExp(`^${line}$`, 'm'));
    }
  });

  it('prints each batch of events with its length, or the errno of read()', () => {
    const lines = printed(`
      import { createMockCxl } from 'node-cxl/mock';
      const system = createMockCxl();
      const context = await system.open('/dev/cxl/afu0.0s');
      await context.attach({ wed: 0n });
      const card = system.card(0);
      card.afu(0).raiseInterrupt(0, 1, 3);
      for (const irq of [1, 3]) await context.waitForInterrupt(irq);
      card.enterErrorState(100);
      await context.waitForEvent().catch(() => {});
    `);
    expect(lines).toMatch(/^read \/dev\/cxl\/afu0.0s = 32$/m);
    expect(lines).toMatch(/^read \/dev\/cxl\/afu0.0s = -1 EIO \(input\/output error\)$/m);
  });

  it('prints nothing without it', () => {
    expect(printed(contexts, { NODE_DEBUG: '' })).toBe('');
  });

  it('prints flash ioctls and exchanges of mailboxes', () => {
    const lines = printed(`
      import { listLuns, openLun } from 'node-cxl/flash';
      import { doe } from 'node-cxl/doe';
      const [path] = await listLuns();
      const lun = await openLun(path.generic);
      await lun.enableSuperpipe();
      await lun.call('DETACH', { contextId: 99n }).catch(() => {});
      await lun.close();
      const mailbox = await doe.find('0000:0d:00.0', { vendorId: 0x1e98, type: 2 });
      await mailbox.exchange({ vendorId: 0x1e98, type: 2 }, Buffer.alloc(4), { force: true });
      await mailbox.exchange({ vendorId: 0x1234, type: 2 }, Buffer.alloc(4), { force: true, timeout: 5 })
        .catch(() => {});
    `);
    for (const line of [
      'ioctl\\(MANAGE_LUN\\) /dev/sg1: .*',
      'ioctl\\(MANAGE_LUN\\) /dev/sg1 = { .*}',
      'ioctl\\(DETACH\\) /dev/sg1 = -1 EINVAL \\(invalid argument\\)',
      'close /dev/sg1 = 0',
      'doe\\(1e98:02\\) .* = \\d+ bytes',
      'doe\\(1234:02\\) .* = ETIMEDOUT: .*',
    ]) {
      expect(lines).toMatch(new RegExp(`^${line}$`, 'm'));
    }
  });
});
