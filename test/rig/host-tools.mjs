// Programs the rigs need on this host, from its own package manager.
import { has, run } from './command.mjs';

/** A Debian package that is there when `program` is on the path. */
export function programOf(debianPackage, program) {
  return { package: debianPackage, present: () => has(program) };
}

function missingOf(tools) {
  return tools.filter((tool) => !tool.present()).map((tool) => tool.package);
}

/** Installs whatever is missing, and tells it. Throws when it cannot: nothing is left out. */
export function installHostTools(tools) {
  const missing = missingOf(tools);
  if (missing.length === 0) return;
  if (process.getuid() !== 0) {
    throw new Error(`missing ${missing.join(', ')}: run as root, or apt-get install them`);
  }
  const quiet = ['-qq', '-o', 'DPkg::Lock::Timeout=600'];
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', [...quiet, 'update'], { env });
  run('apt-get', [...quiet, 'install', '-y', '--no-install-recommends', ...missing], { env });
  const still = missingOf(tools);
  if (still.length > 0) throw new Error(`installed but not found: ${still.join(', ')}`);
  console.log(`installed ${missing.join(', ')}`);
}
