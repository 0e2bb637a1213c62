// One storm in this process: `node main.mjs MILLISECONDS SEED TARGET MODE`. run.mjs starts it.
import { writeFileSync } from 'node:fs';
import { cxl } from 'node-cxl';
import { createMockCxl } from 'node-cxl/mock';
import { Counts, Violation } from '../counts.mjs';
import { Random } from '../random.mjs';
import { Storm } from './storm.mjs';

const [milliseconds, seed, target, mode] = process.argv.slice(2);
const commandMode = mode === 'squeue' ? 'sq' : 'ioarrin';

function system() {
  if (target === 'simulated') {
    writeFileSync('/dev/cxl-sim', `flash-mode ${commandMode}`);
    return cxl;
  }
  // As the simulated adapter: two LUNs on two ports, a small one.
  const luns = [{ blocks: 262144 }, { blocks: 262144 }, { blocks: 1000, ports: [0] }];
  return createMockCxl({ cards: [], flash: [{ commandMode, luns }] });
}

const counts = new Counts();
const storm = new Storm(system(), new Random(Number(seed)), counts);
for (const event of ['uncaughtException', 'unhandledRejection']) {
  process.on(event, (error) => report(new Violation(`${event}: ${error?.stack ?? error}`)));
}

const begin = performance.now();
const progress = setInterval(() => {
  const seconds = Math.round((performance.now() - begin) / 1000);
  const done = counts.get('read ok') + counts.get('write ok') + counts.get('submit ok');
  console.log(`${seconds} s: ${done} transfers, ${counts.get('rounds')} rounds`);
}, 5000);

function report(error) {
  clearInterval(progress);
  for (const event of error === undefined ? [] : counts.events) console.error(event);
  // The runner takes this line, and prints what it says.
  const said = {
    counts: counts.all(),
    ...storm.resources,
    violation: error && (error.stack ?? String(error)),
  };
  console.log(`SOAK ${JSON.stringify(said)}`);
  process.exit(error === undefined ? 0 : 1);
}

storm.run(Number(milliseconds)).then(() => report(), report);
