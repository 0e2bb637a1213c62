/** Some seconds of soak themes over the kernel's driver: test/soak/README.md. */
import { describe, expect, it } from 'vitest';
import { rigTarget } from '../../../conformance/support/real-target';
import { events } from '../../../soak/themes/events';
import { lifeCycle } from '../../../soak/themes/life-cycle';
import { registers } from '../../../soak/themes/registers/theme';
import { runTheme } from '../../../soak/turn';

const SECONDS = Number(process.env['CXL_SOAK_SECONDS'] ?? 20);
const seed = Number(process.env['CXL_SEED'] ?? Date.now() % 2 ** 31);

describe(`soaks from seed ${seed}`, () => {
  for (const theme of [lifeCycle, events, registers]) {
    it(
      theme.name,
      async () => {
        const options = { target: 'rig', seed, milliseconds: SECONDS * 1000 } as const;
        const report = await runTheme(theme, await rigTarget(), options, console.log);
        console.log(`# ${theme.name}: ${JSON.stringify(report)}`);
        expect(report.violation).toBeUndefined();
      },
      (SECONDS + 120) * 1000,
    );
  }
});
