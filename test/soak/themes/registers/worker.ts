/** A thread of the registers theme. */
import { parentPort, workerData } from 'node:worker_threads';
import { cxl } from 'node-cxl';
import { Counts } from '../../counts.mjs';
import { Random } from '../../random.mjs';
import { Weather } from '../../weather';
import { Hammer } from './hammer';

const { buffer, seed, node } = workerData as {
  buffer: SharedArrayBuffer;
  seed: number;
  node: string;
};
const counts = new Counts();
const weather = new Weather(buffer);
let violation: string | undefined;
try {
  await new Hammer({
    system: cxl,
    node: () => node,
    weather,
    random: new Random(seed),
    count: (name, number) => counts.add(name, number),
    over: () => weather.stopped,
  }).run();
} catch (error) {
  violation = (error as Error).stack;
}
parentPort!.postMessage({ counts: counts.all(), violation });
