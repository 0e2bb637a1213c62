// npm run test:rig:doe: the DOE mailboxes of emulated memory devices, and the kernel's own
// reading of their tables to compare with. See ../README.md.
import fs from 'node:fs';
import path from 'node:path';
import { stage } from '../power/command.mjs';
import { cacheFolder, repository } from './folders.mjs';
import { buildInitrd } from './initrd.mjs';
import { boot } from './machine.mjs';
import { fetchKernel, installHostTools } from './packages.mjs';
import { writeTables } from './tables.mjs';

const totals = { passed: 0, failed: 0 };

function testFiles() {
  const folder = 'test/rig/doe/tests';
  const own = fs.readdirSync(path.join(repository, folder)).sort();
  // The last of them unplugs a device.
  return [
    'test/conformance/doe.test.ts',
    ...own.filter((name) => name.endsWith('.test.ts')).map((name) => `${folder}/${name}`),
  ];
}

function checkBuilt() {
  for (const part of ['dist/doe/index.js', 'dist/cli/main.js', 'build/Release/node_cxl.node']) {
    if (!fs.existsSync(path.join(repository, part))) {
      throw new Error(`${part} is missing: npm run build first`);
    }
  }
}

async function main() {
  checkBuilt();
  fs.mkdirSync(cacheFolder, { recursive: true });
  const installed = await stage('host tools', installHostTools);
  if (installed.length > 0) console.log(`installed ${installed.join(', ')}`);
  const kernel = await stage('kernel', fetchKernel);
  const tables = writeTables();
  const initrd = await stage('file system', () => buildInitrd(kernel, tables.folder, testFiles()));
  const logFile = path.join(cacheFolder, 'console.log');
  const failures = await stage(
    `machine with ${tables.devices.length} devices, ${kernel.release}`,
    () =>
      boot(
        { kernel: kernel.image, initrd, devices: tables.devices },
        {
          logFile,
          timeoutSeconds: 540,
          onLine(line) {
            const sum = /^TOTALS (.*)$/.exec(line);
            if (sum) {
              const { passed, failed } = JSON.parse(sum[1]);
              totals.passed += passed;
              totals.failed += failed;
            }
            console.log(`  ${line}`);
          },
        },
      ),
  );
  for (const failure of failures) {
    totals.failed += 1;
    console.log(`FAIL ${failure}`);
  }
  if (failures.length > 0) console.log(`console log: ${logFile}`);
}

try {
  await main();
} catch (error) {
  totals.failed += 1;
  console.log(`FAIL ${error.stack}`);
}
console.log(`${totals.passed} passed, ${totals.failed} failed`);
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
