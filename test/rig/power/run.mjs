// npm run test:rig: the unmodified cxl driver in an emulated POWER machine. See ../README.md.
//
//   node test/rig/power/run.mjs [POWER8|POWER9] [PART-OF-A-TEST-FILE'S-NAME…]
import fs from 'node:fs';
import path from 'node:path';
import { cacheFolder, rigFolder } from './cache.mjs';
import { stage } from './command.mjs';
import { buildInitrd } from './guest/initrd.mjs';
import { buildModule } from './kernel.mjs';
import { boot } from './machine.mjs';
import { bundleGuestTests, installPackage } from './package.mjs';
import { fetchGuestPackages, installHostTools } from './packages.mjs';
import { buildCheck } from './programs.mjs';

// The second AFU has so few process elements that they run out.
const processes = [64, 3];
const areaPages = processes.length * (2 + Math.max(...processes));

const machines = [
  { name: 'POWER8', cpu: 'POWER8', processors: 1 },
  { name: 'POWER9', cpu: 'POWER9', processors: 2 },
];

const isMachine = (word) => machines.some((machine) => machine.name === word);
const chosen = process.argv.slice(2).filter(isMachine);
const testNames = process.argv.slice(2).filter((word) => !isMachine(word));

const totals = { passed: 0, failed: 0 };

/** Checks in C say "ok - " or "not ok - "; the tests in JavaScript end with a sum. */
function count(line) {
  const sum = /^TOTALS (\{.*\})$/.exec(line);
  if (sum) {
    const { passed, failed } = JSON.parse(sum[1]);
    totals.passed += passed;
    totals.failed += failed;
  } else if (/^ok - /.test(line)) totals.passed++;
  else if (/^not ok - /.test(line)) totals.failed++;
}

async function runMachine(machine, packages, initrd, share) {
  const before = totals.failed;
  const logFile = path.join(cacheFolder, `console-${machine.name}.log`);
  const { failures, testsFailed } = await boot(
    {
      ...machine,
      memory: '1G',
      kernel: path.join(packages.root, 'boot', `vmlinux-${packages.kernel}`),
      initrd,
      node: packages.node,
      share,
      areaBytes: areaPages * 65536,
    },
    {
      logFile,
      timeoutSeconds: 2700,
      onLine(line) {
        count(line);
        process.stdout.write(`  ${line}\n`);
      },
    },
  );
  if (testsFailed && totals.failed === before) failures.push('the guest says that tests failed');
  for (const failure of failures) {
    totals.failed++;
    process.stdout.write(`not ok - ${machine.name}: ${failure}\n`);
  }
  if (totals.failed > before) process.stdout.write(`console log: ${logFile}\n`);
}

async function main() {
  fs.mkdirSync(cacheFolder, { recursive: true });
  const installed = await stage('host tools', installHostTools);
  if (installed.length > 0) process.stdout.write(`installed ${installed.join(', ')}\n`);
  const packages = await stage('guest packages', fetchGuestPackages);
  const module = await stage(`module for ${packages.kernel}`, () => buildModule(packages));
  const initrd = await stage('initial file system', () => buildInitrd(packages, module));

  const share = path.join(cacheFolder, 'share');
  fs.rmSync(share, { recursive: true, force: true });
  fs.mkdirSync(share, { recursive: true });
  fs.writeFileSync(
    path.join(share, 'module-parameters'),
    `processes=${processes.join(',')} afus=${processes.length}`,
  );
  fs.copyFileSync(path.join(rigFolder, 'guest/tests.sh'), path.join(share, 'tests.sh'));
  fs.writeFileSync(path.join(share, 'process-elements'), String(processes[0]));
  fs.writeFileSync(path.join(share, 'test-names'), testNames.join(' '));
  const passedOn = ['CXL_SEED', 'CXL_RUNS'].filter((name) => process.env[name] !== undefined);
  const settings = passedOn.map((name) => `export ${name}='${process.env[name]}'\n`);
  fs.writeFileSync(path.join(share, 'environment'), settings.join(''));
  // A shell for Node's own root, which has none.
  fs.copyFileSync(path.join(packages.root, 'bin/busybox'), path.join(share, 'busybox'));
  const inside = path.join(share, 'node');
  await stage('package', () => installPackage(inside));
  await stage('tests for Node 18', () => bundleGuestTests(inside));
  fs.copyFileSync(
    path.join(rigFolder, 'guest/conformance.sh'),
    path.join(inside, 'conformance.sh'),
  );
  await stage('C check', () => buildCheck(path.join(share, 'check')));

  for (const machine of machines) {
    if (chosen.length > 0 && !chosen.includes(machine.name)) continue;
    await stage(`${machine.name}, ${machine.processors} processor(s)`, () =>
      runMachine(machine, packages, initrd, share),
    );
  }
}

try {
  await main();
} catch (error) {
  totals.failed++;
  process.stdout.write(`not ok - ${error.message}\n`);
}
process.stdout.write(`${totals.passed} passed, ${totals.failed} failed\n`);
process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
