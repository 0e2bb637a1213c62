// npm run test:rig:doe: the DOE mailboxes of emulated memory devices, whose tables the kernel has
// read too. See ../README.md.
import fs from 'node:fs';
import path from 'node:path';
import { installPrograms } from '../../../lib/build/programs.mjs';
import { stage } from '../command.mjs';
import { doeFolder, repository } from '../folders.mjs';
import { runMachine, runRig } from '../machine.mjs';
import { buildInitrd } from './initrd.mjs';
import { machine } from './machine.mjs';
import { fetchKernel, programs } from './packages.mjs';
import { writeTables } from './tables.mjs';

function testFiles() {
  const tests = 'test/rig/doe/tests';
  const own = fs.readdirSync(path.join(repository, tests)).sort();
  // The last of them unplugs a device.
  return [
    'test/conformance/doe.test.ts',
    ...own.filter((name) => name.endsWith('.test.ts')).map((name) => `${tests}/${name}`),
  ];
}

function checkBuilt() {
  for (const part of ['dist/doe/index.js', 'dist/cli/main.js', 'build/Release/node_cxl.node']) {
    if (!fs.existsSync(path.join(repository, part))) {
      throw new Error(`${part} is missing: npm run build first`);
    }
  }
}

await runRig(async () => {
  checkBuilt();
  fs.mkdirSync(doeFolder, { recursive: true });
  await stage('programs of this host', () => installPrograms(programs));
  const kernel = await stage('kernel', fetchKernel);
  const { folder, devices } = writeTables();
  const initrd = await stage('file system', () => buildInitrd(kernel, folder, testFiles()));
  const name = `machine with ${devices.length} devices, ${kernel.release}`;
  return [
    await runMachine(name, {
      ...machine({ kernel: kernel.image, initrd, devices }),
      logFile: path.join(doeFolder, 'console.log'),
      seconds: 540,
      silentSeconds: 300,
    }),
  ];
});
