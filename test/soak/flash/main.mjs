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
  const lines = {
    transfers: ['read ', 'write ', 'unmap ', 'submit '],
    faults: ['fault ', 'status '],
    errors: ['unusual '],
    events: [
      'event ',
      'close ',
      'close failed ',
      'open failed ',
      'resize ',
      'recover failed ',
      'control ',
    ],
  };
  for (const [title, prefixes] of Object.entries(lines)) {
    for (const prefix of prefixes) {
      const text = counts.text(prefix);
      if (text !== '') console.log(`${title}: ${prefix.trim()}: ${text}`);
    }
  }
  console.log(
    `checked: ${counts.get('verified')} blocks at the end of ${counts.get('epochs')} epochs`,
  );
  if (error === undefined) {
    console.log('nothing lost');
    process.exit(0);
  }
  for (const event of counts.events) console.error(event);
  console.error(error?.stack ?? error);
  process.exit(1);
}

storm.run(Number(milliseconds)).then(() => report(), report);
