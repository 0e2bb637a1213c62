// What the guest runs of ours: the packed tarball with the prebuild for ppc64, installed without
// scripts as a user's package manager would, and the tests bundled for a bare Node 18.
import fs from 'node:fs';
import path from 'node:path';
import { bundleTests, testFiles } from '../bundle-tests.mjs';
import { cacheFolder, repository } from './cache.mjs';
import { run } from './command.mjs';

const node = process.execPath;

function pack() {
  const folder = path.join(cacheFolder, 'tarball');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const options = ['--ignore-scripts', '--silent', '--pack-destination', folder];
  run('npm', ['pack', ...options], { cwd: repository });
  const [name] = fs.readdirSync(folder);
  return path.join(folder, name);
}

/** Builds, packs and installs the package into `folder`; the tarball. */
export function installPackage(folder) {
  for (const part of ['typescript', 'cli']) {
    run(node, ['lib/build/build.mjs', part], { cwd: repository });
  }
  run(node, ['lib/build/prebuild.mjs', 'ppc64'], { cwd: repository });
  const tarball = pack();
  fs.mkdirSync(folder, { recursive: true });
  fs.writeFileSync(path.join(folder, 'package.json'), '{ "private": true }\n');
  const options = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock', '--silent'];
  run('npm', ['install', ...options, tarball], { cwd: folder });
  return tarball;
}

/** Whether a file of the conformance suite runs on the target; some are about the mock alone. */
function asksForTarget(file) {
  return fs.readFileSync(path.join(repository, file), 'utf8').includes("from './target'");
}

/** The conformance suite and the rig's own tests, runnable in `folder`. */
export async function bundleGuestTests(folder) {
  const files = [
    ...testFiles('test/conformance').filter(asksForTarget),
    ...testFiles('test/rig/power/tests'),
  ];
  await bundleTests(folder, files);
  return files;
}
