// npm run test:rig: the unmodified cxl driver in emulated POWER machines. See ../README.md.
//
//   node test/rig/power/run.mjs [POWER8|POWER9] [PART-OF-A-TEST-FILE'S-NAME…]
import fs from 'node:fs';
import path from 'node:path';
import { installPrograms } from '../../../lib/build/programs.mjs';
import { stage } from '../command.mjs';
import { outOfTree } from '../console.mjs';
import { powerFolder, repository } from '../folders.mjs';
import { runMachine, runRig } from '../machine.mjs';
import { nodeRoot } from '../node-root.mjs';
import { buildInitrd } from './initrd.mjs';
import { machine } from './machine.mjs';
import { bundleGuestTests, installPackage } from './package.mjs';
import { fetchKernel, programs } from './packages.mjs';
import { buildCheck, buildModule } from './programs.mjs';

// The second AFU has so few process elements that they run out.
const processes = [64, 3];
const areaPages = processes.length * (2 + Math.max(...processes));

/** Each has its own release of Node, so that every test meets the driver under both. */
const machines = [
  { cpu: 'POWER8', processors: 1, caia: '0x100', node: 18 },
  { cpu: 'POWER9', processors: 2, caia: '0x200', node: 20 },
];

const isMachine = (word) => machines.some(({ cpu }) => cpu === word);
const chosen = process.argv.slice(2).filter(isMachine);
/** Instead of running tests: see record.mjs. */
const recording = process.argv.includes('--record');
const testNames = process.argv.slice(2).filter((word) => !isMachine(word) && word !== '--record');

/** What the guests see as /share: our programs, the package with its tests, and settings. */
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
  await stage('tests', () => bundleGuestTests(inside));
  const scripts = recording ? ['record.sh', 'record-programs.mjs'] : ['conformance.sh'];
  for (const name of scripts) fs.copyFileSync(path.join(guest, name), path.join(inside, name));
  await stage('C check', () => buildCheck(path.join(share, 'check')));
  return share;
}

await runRig(async () => {
  fs.mkdirSync(powerFolder, { recursive: true });
  await stage('programs of this host', () => installPrograms(programs));
  const kernel = await stage('kernel', fetchKernel);
  const module = await stage(`module for ${kernel.release}`, () => buildModule(kernel));
  const initrd = await stage('initial file system', () => buildInitrd(kernel, module));
  const share = await prepareShare(kernel);
  const wanted = machines.filter(({ cpu }) => chosen.length === 0 || chosen.includes(cpu));
  const roots = await stage('Node', () => wanted.map(({ node }) => nodeRoot(node)));
  // At the same time: an emulated processor is one thread of this host.
  return Promise.all(
    wanted.map(({ cpu, processors, caia }, index) =>
      runMachine(cpu, {
        ...machine({
          ...{ cpu, processors, kernel: kernel.image, initrd, node: roots[index], share },
          areaBytes: areaPages * 65536,
          moduleParameters: { processes: processes.join(','), afus: processes.length, caia },
        }),
        allowedTaint: outOfTree,
        logFile: path.join(powerFolder, `console-${cpu}.log`),
        seconds: 2700,
        // A file of tests prints nothing until its end, which is within 600 s.
        silentSeconds: 720,
      }),
    ),
  );
});
