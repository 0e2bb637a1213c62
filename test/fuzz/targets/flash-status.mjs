// A command's status (IOASA), which the AFU writes to memory, with what the target and link told it.
import assert from 'node:assert/strict';
import { Input } from '../input.mjs';
import { codeOf, load } from './support.mjs';

const { commandError, judge, readStatus } = load('flash/command-status.js');
const { STATUS_TABLE } = load('flash/status-table.js');
const { countStatus, newStatistics } = load('flash/statistics.js');

const IOASA_BYTES = 64;
const command = { attempts: 2, name: 'read', resource: { lun: { path: '/dev/sg1' } } };

export const target = {
  maxLength: 40,
  modules: ['flash/command-status.js', 'flash/status-table.js', 'flash/sense.js'],
  run(bytes) {
    const input = new Input(bytes);
    const little = input.below(2) === 1;
    const memory = new Uint8Array(IOASA_BYTES + 16).fill(0xa5);
    memory.fill(0, 8, 8 + IOASA_BYTES);
    memory.set(input.bytes(32), 8);
    const status = readStatus(new DataView(memory.buffer, 4), 4, little);
    assert.equal(status.sense.length, 20);
    const verdict = judge(status);
    const statistics = newStatistics();
    countStatus(statistics, status);
    assert.ok(statistics.errors <= 1 && statistics.ports.length === 4);
    const { flags, afuCode, scsiCode, fcCode } = status;
    if ((afuCode | fcCode) !== 0) assert.ok(verdict, 'an error of the AFU or of the link is none');
    if ((flags & 0x30) === 0 && (afuCode | scsiCode | fcCode) === 0)
      assert.equal(verdict, undefined);
    if (verdict === undefined) return `success ${scsiCode !== 0}`;
    assert.ok(STATUS_TABLE.includes(verdict.rule));
    assert.match(verdict.rule.action, /^(?:again|later|verify|fail)$/);
    const error = commandError(verdict, status, command, 0x1000n);
    assert.equal(codeOf(error), verdict.rule.errno);
    assert.equal(error.status, status);
    return `rule ${STATUS_TABLE.indexOf(verdict.rule)}`;
  },
};
