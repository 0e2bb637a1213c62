// open(), attach(), mapProblemState() and close() of a context: microseconds.
// Usage: life.mjs COUNT
import { Job, print } from './job.mjs';

const samples = [];
for (let round = 0; round < Number(process.argv[2]); round += 1) {
  const start = process.hrtime.bigint();
  await (await Job.open()).close();
  samples.push(Number(process.hrtime.bigint() - start) / 1000);
}
print({ samples });
