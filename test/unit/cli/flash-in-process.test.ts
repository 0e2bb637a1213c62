/**
 * Flash commands within the test's process, on a mock that the test prepares. A process of its own
 * would have a mock of its own.
 */
import { writeFileSync } from 'node:fs';
import { openLun } from 'node-cxl/flash';
import { createMockCxl, type MockCxl } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { outputHere } from './in-process';
import { Folder } from './run';

describe('node-cxl flash, on a system in use', () => {
  const folder = new Folder();

  /** Runs a subcommand; what it prints. */
  const print = (system: MockCxl, ...words: string[]) => outputHere(['flash', ...words], system);

  it('shows the capacity while another context uses the LUN', async () => {
    const system = createMockCxl({ cards: [], flash: [{}] });
    const lun = await openLun('/dev/sg1', { system });
    await lun.enableSuperpipe();
    await (await lun.attach()).openVirtual({ blocks: 1 });
    expect(JSON.parse(await print(system, 'status', '/dev/sg1', '--json'))).toMatchObject({
      mode: 'superpipe',
      blocks: 262144,
      blockSizeBytes: 4096,
      link: 'up',
    });
  });

  it('refuses a LUN that is mounted, or to be overwritten, without the option that confirms it', async () => {
    const system = createMockCxl({ cards: [], flash: [{ luns: [{ blocks: 1000 }] }] });
    system.flash.setMounts(['/dev/sda1 / ext4 rw 0 0', '/dev/sdc1 /srv ext4 rw 0 0']);
    const source = folder.file('block');
    writeFileSync(source, Buffer.alloc(4096));
    const write = (...more: string[]) =>
      print(system, 'write', '/dev/sg1', '--superpipe', '--in', source, ...more).then(
        () => 'written',
        (error: Error) => error.message,
      );
    expect(await write('--yes')).toContain('mounted on /srv');
    expect(await write('--force')).toContain('pass --yes');
    expect(await write('--yes', '--force')).toBe('written');
    system.flash.setMounts(['/dev/sdca1 /other ext4 rw 0 0']);
    expect(await write()).toContain('pass --yes');
    expect(await write('--yes')).toBe('written');
  });
});
