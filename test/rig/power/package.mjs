// What the guest runs of ours: the packed tarball with the prebuilt addon for ppc64, and the
// bundled tests.
import fs from 'node:fs';
import path from 'node:path';
import { installTarball, packTarball } from '../../pack/tarball.mjs';
import { bundleTests, driverConformance, testFiles } from '../bundle-tests.mjs';
import { powerFolder } from '../folders.mjs';

/** Builds, packs and installs the package into `folder`. */
export function installPackage(folder) {
  const { file } = packTarball(path.join(powerFolder, 'tarball'), ['ppc64']);
  fs.rmSync(folder, { recursive: true, force: true });
  installTarball(folder, file, ['--cpu=ppc64', '--os=linux']);
}

/** The conformance suite and the rig's own tests, runnable in `folder`. */
export async function bundleGuestTests(folder) {
  await bundleTests(folder, [...driverConformance(), ...testFiles('test/rig/power/tests')]);
}
