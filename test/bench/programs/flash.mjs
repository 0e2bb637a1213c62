// Commands a second of the flash block device.
// Usage: flash.mjs NODE DEPTH SECONDS poll|interrupt
import { print } from './job.mjs';
import { Lanes } from './lanes.mjs';

const [node, depth, seconds, completion] = process.argv.slice(2);
const lanes = await Lanes.open(node, Number(depth), completion);
const value = await lanes.rate(Number(seconds) * 1000);
await lanes.close();
print({ value });
