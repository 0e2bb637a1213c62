/**
 * The flash commands within the test's process, on a mock that the test prepares. A separate process
 * would have a mock of its own.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openLun } from 'node-cxl/flash';
import { createMockCxl } from 'node-cxl/mock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { flashCommand } = createRequire(import.meta.url)(path.resolve('dist/cli/flash.js'));

describe('flashCommand', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'flash-command-'));
  });

  afterAll(() => {
    rmSync(folder, { recursive: true });
  });

  it('shows the capacity while another context uses the LUN', async () => {
    const system = createMockCxl({ cards: [], flash: [{}] });
    const lun = await openLun('/dev/sg1', { system });
    await lun.enableSuperpipe();
    await (await lun.attach()).openVirtual({ blocks: 1 });
    const lines: string[] = [];
    const write = process.stdout.write;
    process.stdout.write = (text) => lines.push(String(text)) > 0;
    try {
      const words = ['status', '/dev/sg1', '--json'];
      await flashCommand(system).parseAsync(words, { from: 'user' });
    } finally {
      process.stdout.write = write;
    }
    const status = JSON.parse(lines.join(''));
    expect(status).toMatchObject({
      mode: 'superpipe',
      blocks: 262144,
      blockSize: 4096,
      link: 'up',
    });
  });

  it('refuses a mounted LUN without --force', async () => {
    const system = createMockCxl({ cards: [], flash: [{ luns: [{ blocks: 1000 }] }] });
    system.flash.setMounts(['/dev/sda1 / ext4 rw 0 0', '/dev/sdc1 /srv ext4 rw 0 0']);
    const source = path.join(folder, 'block');
    writeFileSync(source, Buffer.alloc(4096));
    const write = (...more: string[]) =>
      flashCommand(system)
        .parseAsync(['write', '/dev/sg1', '--superpipe', '--in', source, ...more], { from: 'user' })
        .then(
          () => 'written',
          (error: Error) => error.message,
        );
    expect(await write()).toContain('mounted on /srv');
    expect(await write('--force')).toBe('written');
    system.flash.setMounts(['/dev/sdca1 /other ext4 rw 0 0']);
    expect(await write()).toBe('written');
  });
});
