// node test/rig/power/record.mjs [POWER8|POWER9]: records programs over the unmodified driver, into
// test/unit/record/fixtures. Tests replay these files on any machine.
import fs from 'node:fs';
import path from 'node:path';
import { powerFolder, repository } from '../folders.mjs';

const cpu = process.argv[2] ?? 'POWER8';
// The rig runs this script in the place of the tests.
process.argv.splice(2, process.argv.length, cpu, '--record');
process.on('exit', (code) => {
  if (code === 0) save();
});
await import('./run.mjs');

/** Writes the files that the guest has printed. */
function save() {
  const text = fs.readFileSync(path.join(powerFolder, `console-${cpu}.log`), 'latin1');
  const files = new Map();
  for (const [, name, part] of text.matchAll(/^# file (\S+) (\S+)\r*$/gm)) {
    files.set(name, (files.get(name) ?? '') + part);
  }
  if (files.size === 0) throw new Error('the guest printed no files');
  const folder = path.join(repository, 'test/unit/record/fixtures');
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, base64] of files) {
    const file = path.join(folder, `${cpu.toLowerCase()}-${name}`);
    fs.writeFileSync(file, Buffer.from(base64, 'base64'));
    console.log(`record: ${path.relative(repository, file)}, ${fs.statSync(file).size} bytes`);
  }
}
