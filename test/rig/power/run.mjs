// npm run test:rig: the unmodified cxl driver in an emulated POWER machine. See ../README.md.
//
//   node test/rig/power/run.mjs [POWER8|POWER9] [PART-OF-A-TEST-FILE'S-NAME…]
import fs from 'node:fs';
import path from 'node:path';
import { stage } from '../command.mjs';
import { outOfTree } from '../console.mjs';
import { powerFolder, repository } from '../folders.mjs';
import { installHostTools } from '../host-tools.mjs';
import { runMachine, runRig } from '../machine.mjs';
import { nodeRoot } from '../node-root.mjs';
import { buildInitrd } from './initrd.mjs';
import { machine } from './machine.mjs';
import { bundleGuestTests, installPackage } from './package.mjs';
import { fetchKernel, hostTools } from './packages.mjs';
import { buildCheck, buildModule } from './programs.mjs';

// The second AFU has so few process elements that they run out.
const processes = [64, 3];
const areaPages = processes.length * (2 + Math.max(...processes));

const machines = [
  { cpu: 'POWER8', processors: 1, caia: '0x100' },
  { cpu: 'POWER9', processors: 2, caia: '0x200' },
];

const isMachine = (word) => machines.some(({ cpu }) => cpu === word);
const chosen = process.argv.slice(2).filter(isMachine);
const testNames = process.argv.slice(2).filter((word) => !isMachine(word));

/** What the guest sees as /share: our programs, the package with its tests, and settings. */
async function prepareShare(kernel) {
  const share = path.join(powerFolder, 'share');
  const guest = path.join(repository, 'test/rig/power/guest');
  fs.rmSync(share, { recursive: true, force: true });
  fs.mkdirSync(share, { recursive: true });
  const passedOn = ['CXL_SEED', 'CXL_RUNS'].filter((name) => process.env[name] !== undefined);
  const settings = {
    'process-elements': String(processes[0]),
    'test-names': testNames.join(' '),
    environment: passedOn.map((name) => `export ${name}='${process.env[name]}'\n`).join(''),
  };
  for (const [name, text] of Object.entries(settings)) {
    fs.writeFileSync(path.join(share, name), text);
  }
  fs.copyFileSync(path.join(guest, 'tests.sh'), path.join(share, 'tests.sh'));
  // A shell for Node's own root, which has none.
  fs.copyFileSync(kernel.busybox, path.join(share, 'busybox'));
  const inside = path.join(share, 'node');
  await stage('package', () => installPackage(inside));
  await stage('tests for Node 18', () => bundleGuestTests(inside));
  fs.copyFileSync(path.join(guest, 'conformance.sh'), path.join(inside, 'conformance.sh'));
  await stage('C check', () => buildCheck(path.join(share, 'check')));
  return share;
}

await runRig(async () => {
  fs.mkdirSync(powerFolder, { recursive: true });
  await stage('host tools', () => installHostTools(hostTools));
  const kernel = await stage('kernel', fetchKernel);
  const node = await stage('Node 18', () => nodeRoot(18));
  const module = await stage(`module for ${kernel.release}`, () => buildModule(kernel));
  const initrd = await stage('initial file system', () => buildInitrd(kernel, module));
  const share = await prepareShare(kernel);
  const totals = { passed: 0, failed: 0 };
  for (const { cpu, processors, caia } of machines) {
    if (chosen.length > 0 && !chosen.includes(cpu)) continue;
    const parameters = { processes: processes.join(','), afus: processes.length, caia };
    const words = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
    fs.writeFileSync(path.join(share, 'module-parameters'), words.join(' '));
    const { passed, failed } = await stage(`${cpu}, ${processors} processor(s)`, () =>
      runMachine(cpu, {
        ...machine({
          cpu,
          processors,
          kernel: kernel.image,
          initrd,
          node,
          share,
          areaBytes: areaPages * 65536,
        }),
        allowedTaint: outOfTree,
        logFile: path.join(powerFolder, `console-${cpu}.log`),
        seconds: 2700,
        // A file of tests says nothing until its end, which is within 600 s.
        silentSeconds: 720,
      }),
    );
    totals.passed += passed;
    totals.failed += failed;
  }
  return totals;
});
