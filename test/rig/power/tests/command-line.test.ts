/** The command-line program against the real driver, on a real file. */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from 'vitest';
import { nodeCxl } from '../../program';

const input = '/tmp/rig-input';
const output = '/tmp/rig-output';
// Starting Node takes seconds here.
const patience = 60_000;

async function json(...args: string[]) {
  const { code, stdout, stderr } = await nodeCxl([...args, '--json']);
  expect(`${code} ${stderr}`).toBe('0 ');
  return JSON.parse(stdout);
}

afterEach(() => {
  for (const file of [input, output]) rmSync(file, { force: true });
});

describe('list', () => {
  it(
    'tells the card and both AFUs of the driver',
    async () => {
      const { backend, adapters } = await json('list');
      expect(backend).toBe('native');
      expect(adapters).toHaveLength(1);
      expect(adapters[0].caiaVersion).toMatch(/^[12]\.0$/);
      expect(adapters[0]).toMatchObject({ name: 'card0', pslRevision: 1 });
      const [first, second] = adapters[0].afus;
      expect(first).toMatchObject({ name: 'afu0.0', mode: 'afu_directed', deviceId: '0x4350' });
      expect(first.nodes).toEqual(['/dev/cxl/afu0.0m', '/dev/cxl/afu0.0s']);
      expect(second).toMatchObject({ name: 'afu0.1' });
    },
    patience,
  );

  it(
    'draws them as a tree',
    async () => {
      const { code, stdout } = await nodeCxl(['list']);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^card0 /);
      expect(stdout).toContain('/dev/cxl/afu0.1s');
    },
    patience,
  );
});

describe('info', () => {
  it(
    'tells the attributes of an AFU',
    async () => {
      const told = await json('info', 'afu0.0');
      const attribute = (name: string) =>
        readFileSync(`/sys/class/cxl/afu0.0/${name}`, 'latin1').trim();
      expect(String(told.apiVersion)).toBe(attribute('api_version'));
      expect(String(told.irqsMin)).toBe(attribute('irqs_min'));
      expect(String(told.irqsMax)).toBe(attribute('irqs_max'));
      expect(told.mode).toBe('afu_directed');
    },
    patience,
  );

  it(
    'tells those of a card, without what a guest lacks',
    async () => {
      const told = await json('info', 'card0');
      expect(told).toMatchObject({ name: 'card0', pslRevision: 1, afus: ['afu0.0', 'afu0.1'] });
      expect(told.baseImage ?? null).toBe(null);
    },
    patience,
  );

  it(
    'exits with 3 for what is not there',
    async () => {
      expect((await nodeCxl(['info', 'afu7.0'])).code).toBe(3);
    },
    patience,
  );
});

describe('memcpy', () => {
  for (const [how, options] of [
    ['waiting for interrupts', []],
    ['polling', ['--poll']],
  ] as const) {
    it(
      `copies a file, ${how}`,
      async () => {
        const content = randomBytes(1_000_003);
        writeFileSync(input, content);
        const told = await json('memcpy', '--in', input, '--out', output, ...options);
        expect(told).toMatchObject({ afu: 'afu0.0', bytes: content.length, identical: true });
        expect(readFileSync(output).equals(content)).toBe(true);
      },
      patience,
    );
  }
});
