/** Every program in the guides that no test of its own runs: on mock devices and the simulated device. */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { afterAll, describe, expect, it } from 'vitest';
import {
  backends,
  blocks,
  guides,
  runNode,
  runShell,
  scratchFolder,
  writeNamedBlocks,
} from './documents';

/** They have tests that know more of them. */
const ELSEWHERE = [
  'lib/FIRST-PROGRAM.md', // first-program.test.ts
  'lib/mock/TESTING.md', // ../testing-guide.test.ts
  'lib/record/RECORDING.md', // ../record/guide.test.ts
  'lib/pslse/VERILOG.md', // ../../rig/pslse/command-line.mjs
];

/** What the programs print, by guide and by file or number of the block. The others print nothing. */
const PRINTED: Record<string, RegExp> = {
  'lib/device/CAPI.md block 2': /^ETIMEDOUT\n$/,
  'lib/device/MASTER.md block 1': /^true 0n\n$/,
  'lib/device/LIBCXL.md block 1': /^true\nafu-interrupt\n$/,
  'lib/flash/CAPIFLASH.md block 1': /^true 2\n$/,
  'lib/flash/FLASH.md database.mjs': /^\{ n: 8 \} true\n100 keys\ngrown to 131072n blocks\n$/,
  'lib/POWER8.md block 1': /^0n\n$/,
  'lib/doe/MAILBOXES.md discover.mjs':
    /^0000:0d:00\.0\+190 driver: .*\n(.*\n)* {2}1e98 2 CXL table/,
  'lib/doe/MAILBOXES.md exchange.mjs': /^a table of 160 bytes\n$/,
  'lib/doe/MAILBOXES.md cdat.mjs': /^DSMAS\n(\w+\n)+$/,
  'lib/doe/MAILBOXES.md unbound.mjs': /^(\w+) \d+\n$/,
};
/** Of mailboxes there is no simulated device. */
const ofMocks = (guide: string) => guide.startsWith('lib/doe/');

const scratch = scratchFolder('programs');
afterAll(() => rmSync(scratch, { recursive: true }));

const tested = new Set<string>();

describe('the guides', { timeout: 60_000 }, () => {
  for (const [index, guide] of guides.filter((one) => !ELSEWHERE.includes(one)).entries()) {
    const folder = path.join(scratch, String(index));
    const programs = blocks(guide, 'js', 'ts').filter(({ text }) => /^import .* from/m.test(text));
    for (const [at, { name, text }] of programs.entries()) {
      const title = name ?? `block ${at + 1}`;
      const key = `${guide} ${title}`;
      tested.add(key);
      for (const [backend, env] of ofMocks(guide) ? backends.slice(0, 1) : backends) {
        it(`${guide}: ${title} runs on ${backend}`, async () => {
          prepare(guide, folder);
          const file = name ?? `block-${at}.mjs`;
          if (name === undefined) writeFileSync(path.join(folder, file), transpiled(text));
          const { stdout } = await runNode(folder, [file], env);
          expect(stdout).toMatch(PRINTED[key] ?? /^$/);
        });
      }
    }
  }

  it('have every program whose output is expected', () => {
    expect(Object.keys(PRINTED).filter((key) => !tested.has(key))).toEqual([]);
  });

  it('have commands on mock devices that work', async () => {
    const commands = guides
      .filter((guide) => !ELSEWHERE.includes(guide))
      .flatMap((guide, index) =>
        blocks(guide, 'sh').flatMap(({ text }) =>
          text
            .split('\n')
            .filter(
              (line) => /--mock|NODE_CXL_BACKEND=mock/.test(line) && !line.includes('main.mjs'),
            )
            .map((line) => ({ guide, folder: path.join(scratch, String(index)), line })),
        ),
      );
    expect(commands.length).toBeGreaterThan(4);
    for (const { guide, folder, line } of commands) {
      prepare(guide, folder);
      await runShell(folder, line);
    }
  });
});

function prepare(guide: string, folder: string): void {
  if (!readdirSync(scratch).includes(path.basename(folder))) mkdirSync(folder);
  writeNamedBlocks(guide, folder);
}

const transpiled = (text: string) =>
  ts.transpileModule(text, {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  }).outputText;
