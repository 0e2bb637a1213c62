/** The parsers of /dev/cxl-sim: whatever is written to it, it answers with 0 or an errno, and lives. */
import { describe, expect, it } from 'vitest';
import { ended, runNode } from '../addon/child';

describe('commands of /dev/cxl-sim', () => {
  it('that are wrong, too long or out of range are refused', async () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const child = await runNode(`
      import { readFileSync, writeFileSync } from 'node:fs';
      import { cxl } from 'node-cxl';
      let state = ${seed};
      const below = (limit) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        return Math.floor((state / 2 ** 32) * limit);
      };
      const pick = (all) => all[below(all.length)];
      const names = ['link-down', 'link-up', 'unplug', 'plug', 'lock', 'unlock', 'detach-all',
        'disable', 'enable', 'slow-attach', 'interrupt', 'event-raw', 'anon-context',
        'truncate-during', 'flash-rebind', 'flash-mode', 'set-attr', '#', ''];
      const words = ['card0', 'card9', 'card-1', 'afu0.0', 'afu1.0', 'afu0.1', 'afu0.0s', 'afu',
        '0', '1', '512', '65535', '-1', '0x10', '99999999999999999999', '1e3', '0a0b', 'zz', '%s%n',
        '00'.repeat(2048), '00'.repeat(2049), 'f'.repeat(5000), 'x'.repeat(9000), '/', '..', '/sys',
        '/sys/class/cxl/card0/reset', '/'.repeat(5000), '/sys/class/cxl/afu0.0/' + 'y'.repeat(4090),
        'absent', 'normal', 'empty', '\\xff\\xfe'];
      const line = () => {
        const parts = Array.from({ length: below(5) }, () => pick([' ', '\\t']) + pick(words));
        return (pick(names) + parts.join('')).slice(below(10) === 0 ? below(4) : 0);
      };
      const context = await cxl.open('/dev/cxl/afu0.0s');
      await context.attach({ wed: 0n });
      const codes = new Set();
      for (let turn = 0; turn < 5000; turn += 1) {
        const lines = Array.from({ length: 1 + below(3) }, () => line() + pick(['\\n', '', '\\0']));
        try {
          writeFileSync('/dev/cxl-sim', lines.join(''), 'latin1');
        } catch (error) {
          codes.add(error.code);
        }
        if (turn % 500 === 0) JSON.parse(readFileSync('/dev/cxl-sim', 'utf8'));
      }
      console.log(codes.has('EINVAL') && codes.has('ENOENT') && !codes.has(undefined));
    `);
    expect(child, `seed ${seed}`).toEqual(ended('true\n'));
  }, 60_000);
});
