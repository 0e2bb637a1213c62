/** One theme in this process: `node main.mjs NAME MILLISECONDS SEED TARGET`. run.mjs starts it. */
import { mockTarget } from '../conformance/support/mock-target';
import { simulatedTarget } from '../conformance/support/simulated-target';
import { THEMES } from './themes';
import { runTheme, type SoakTarget } from './turn';

const [name, milliseconds, seed, targetName] = process.argv.slice(2);
const theme = THEMES.find((each) => each.name === name)!;
const target = targetName === 'mock' ? await mockTarget() : await simulatedTarget();
// Node makes the two streams when they are first used, each with a handle.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => process.exit(1));
const report = await runTheme(
  theme,
  target,
  { target: targetName as SoakTarget, seed: Number(seed), milliseconds: Number(milliseconds) },
  console.log,
);
// The runner takes this line, and prints what it says.
console.log(`SOAK ${JSON.stringify(report)}`);
process.exit(report.outcome === 'ok' ? 0 : 1);
