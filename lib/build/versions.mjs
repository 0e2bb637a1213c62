// Which versions of the system's libraries a binary asks for, and whether they are old enough.
import { execFileSync } from 'node:child_process';

/**
 * The newest versions that the addon may ask for: glibc's of the distributions of 2018 (Debian 10,
 * RHEL 8, Ubuntu 18.10), and of GCC's libraries what Node itself asks for.
 */
const newest = { GLIBC: '2.28', GLIBCXX: '3.4.21', CXXABI: '1.3.9', GCC: '3.4' };

/** Libraries that are there wherever Node is. */
const libraries = /^(libstdc\+\+\.so\.6|libgcc_s\.so\.1|lib[cm]\.so\.6|ld(64|-linux-.+)\.so\.\d)$/;

function compare(a, b) {
  const [left, right] = [a, b].map((version) => version.split('.').map(Number));
  const index = left.findIndex((part, i) => part !== right[i]);
  if (index < 0) return left.length - right.length;
  return left[index] - (right[index] ?? -1);
}

/**
 * `required` has the newest version of each library that `file` asks for; `complaints` a line for
 * each that is too new, and for each library that may be absent.
 *
 * @param {string} file
 * @param {string} objdump the program for the processor of `file`
 * @returns {{ required: Record<string, string>, complaints: string[] }}
 */
export function requirements(file, objdump) {
  const dump = (flag) =>
    execFileSync(objdump, [flag, file], { encoding: 'utf8', maxBuffer: 1 << 26 });
  const required = {};
  for (const [, library, version] of dump('-T').matchAll(/\b([A-Z]+)_(\d+(?:\.\d+)+)\)?\s/g)) {
    if (compare(version, required[library] ?? '0') > 0) required[library] = version;
  }
  const complaints = Object.entries(required)
    .filter(([library, version]) => compare(version, newest[library] ?? '0') > 0)
    .map(([library, version]) => `asks for ${library}_${version}, newer than ${newest[library]}`);
  for (const [, library] of dump('-p').matchAll(/NEEDED\s+(\S+)/g)) {
    if (!libraries.test(library)) complaints.push(`links ${library}, which may be absent`);
  }
  return { required, complaints };
}
