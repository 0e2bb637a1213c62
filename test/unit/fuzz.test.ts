/** The inputs that are kept of fuzzing, and the fuzzer itself. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { Coverage } from '../fuzz/coverage.mjs';
import { Fuzzer } from '../fuzz/fuzzer.mjs';
import { constantsOf } from '../fuzz/mutate.mjs';
import { corpusFolder, TARGETS } from '../fuzz/targets/index.mjs';
import { Random } from '../soak/random.mjs';

describe('every input of the corpus', () => {
  for (const name of TARGETS) {
    it(name, async () => {
      const { target } = await import(`../fuzz/targets/${name}.mjs`);
      const folder = corpusFolder(name);
      const files = readdirSync(folder);
      expect(files.length).toBeGreaterThan(0);
      for (const file of files) {
        const bytes = readFileSync(path.join(folder, file));
        expect(bytes.length, file).toBeLessThanOrEqual(target.maxLength);
        try {
          await target.run(bytes);
        } catch (cause) {
          throw new Error(`${name}/${file}: ${(cause as Error).message}`, { cause });
        }
      }
    });
  }
});

describe('the fuzzer', () => {
  it('finds a defect that each of several comparisons hides, and makes its input small', async () => {
    const file = path.resolve('test/fuzz/fixtures/deep.cjs');
    const coverage = new Coverage((each: string) => each === file);
    const { parse } = createRequire(import.meta.url)(file);
    const target = { maxLength: 64, run: (bytes: Buffer) => void parse(bytes) };
    const fuzzer = new Fuzzer({
      target,
      coverage,
      random: new Random(1),
      dictionary: constantsOf([file]),
      watch: () => undefined,
    });
    await fuzzer.seed([]);
    let finding: { input: Buffer; cause: Error } | undefined;
    while (finding === undefined && fuzzer.executions < 200_000) {
      await fuzzer.step().catch((error) => {
        finding = error;
      });
    }
    expect(finding?.cause.message).toBe('the defect');
    const small = await fuzzer.shrink(
      finding!.input,
      (cause: Error) => cause.message === 'the defect',
    );
    expect(small.toString('hex')).toMatch(/^4344413412..$/);
    coverage.take();
    const [report] = coverage.report();
    expect(report).toMatchObject({ file, missed: [] });
  });
});
