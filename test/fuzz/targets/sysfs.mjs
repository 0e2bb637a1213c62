// The text of sysfs attributes: of cards and AFUs, of SCSI devices and /proc/self/mounts.
import assert from 'node:assert/strict';
import { Input } from '../input.mjs';
import { few, load, outcomeOf } from './support.mjs';

const { Attributes } = load('sysfs/attributes.js');
const { ERRNOS } = load('shared/errno.js');
const { readWwid } = load('flash/wwid.js');
const { listLuns, mountsOf } = load('flash/discovery.js');
const { MockCxl } = load('mock/mock-cxl.js');

const MODES = ['dedicated_process', 'afu_directed'];
/** An address that several lists can have in common. */
const LUN = '1:0:0:0';
const system = new MockCxl({ cards: [] });

/** What a call is, and what its value must be; undefined: absent. */
const CALLS = {
  number: [(a) => a.number('x'), (v) => Number.isSafeInteger(v) && v >= 0],
  numberSync: [async (a) => a.numberSync('x'), (v) => Number.isSafeInteger(v) && v >= 0],
  hex: [(a) => a.hex('x'), (v) => Number.isSafeInteger(v) && v >= 0],
  flag: [(a) => a.flag('x'), (v) => typeof v === 'boolean'],
  version: [(a) => a.matching('x', /^\d+\.\d+$/, 'a version'), (v) => /^\d+\.\d+$/.test(v)],
  oneOf: [(a) => a.oneOf('x', MODES), (v) => MODES.includes(v)],
  words: [(a) => a.words('x', MODES), (v) => v.every((each) => MODES.includes(each))],
  text: [(a) => a.text('x'), (v) => v === v.trim()],
  wwid: [(_, sysfs) => readWwid(sysfs, '/dev/sg1'), (v) => v.length === 16],
  mounts: [
    (_, sysfs) => mountsOf(sysfs, '/dev/sda'),
    (v) => v.every((each) => typeof each === 'string'),
  ],
};

export const target = {
  maxLength: 200,
  modules: ['sysfs/attributes.js', 'flash/wwid.js', 'flash/discovery.js'],
  dictionary: [
    ...MODES,
    'naa.60025380025382462300000000000000',
    '/dev/sda1 /mnt ext4 rw 0 0\n',
    'cxlflash',
    LUN,
  ],
  async run(bytes) {
    const input = new Input(bytes);
    const names = Object.keys(CALLS);
    const choice = input.below(names.length + 1);
    if (choice === names.length) return await listed(input);
    const [call, isValid] = CALLS[names[choice]];
    const answer = input.below(16) === 15 ? -(1 + input.below(133)) : input.rest();
    const sysfs = {
      read: async () => answer,
      readSync: () => answer,
      realpath: async () => '/dev/sg1',
    };
    const outcome = await outcomeOf(
      () => call(new Attributes(sysfs, '/sys/class/cxl/afu0.0'), sysfs),
      (value) => {
        assert.ok(
          value === undefined || isValid(value),
          `${names[choice]}: ${JSON.stringify(value)}`,
        );
        return `${typeof value} ${Array.isArray(value) ? few(value.length) : ''}`;
      },
    );
    // Which errno it was is no difference.
    return `${names[choice]} ${typeof answer === 'number' ? 'errno' : outcome}`;
  },
};

/** Names of directories and their attributes are of the input too. */
async function listed(input) {
  const texts = input.rest().toString('latin1').split('\n');
  let next = 0;
  const text = () => texts[next++ % texts.length];
  const sysfs = {
    readdir: async () =>
      text() === ''
        ? -ERRNOS.ENOENT
        : text()
            .split(' ')
            .filter((each) => /^[^/\0]+$/.test(each)),
    read: async () => (text() === '' ? -ERRNOS.EIO : Buffer.from(text())),
    realpath: async () => text(),
  };
  const observed = Object.create(system, { binding: { value: { ...system.binding, sysfs } } });
  return await outcomeOf(
    () => listLuns({ system: observed }),
    (luns) => {
      for (const { address, host, port } of luns) {
        assert.match(address, /^\d+:\d+:\d+:\d+$/);
        assert.ok(Number.isSafeInteger(host) && Number.isSafeInteger(port), address);
      }
      return `luns ${few(luns.length)}`;
    },
  );
}
