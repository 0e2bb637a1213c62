// Builds PSLSE from its sources, and the simulation of our AFU, in the cache.
import fs from 'node:fs';
import path from 'node:path';
import { changed } from '../../../lib/build/files.mjs';
import { run } from '../command.mjs';
import { pslseFolder } from '../folders.mjs';

/** Programs of this host: see lib/build/programs.mjs. */
export const programs = ['make', 'x86_64-linux-gnu-g++', 'verilator'];

/** The header of the kernel's interface, which PSLSE's own makefile can no longer download. */
const KERNEL_HEADER = '/usr/include/misc/cxl.h';
const AFU = path.join(import.meta.dirname, 'afu/afu.v');

/** The folder of PSLSE built for a PSL; built anew when its sources have changed. */
export function buildPslse(source, psl) {
  const folder = path.join(pslseFolder, `psl${psl}`);
  const done = path.join(folder, 'built');
  if (changed(done) > changed(source)) return folder;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.cpSync(source, folder, { recursive: true });
  run('chmod', ['-R', 'u+w', folder]);
  fs.mkdirSync(path.join(folder, 'common/misc'), { recursive: true });
  fs.copyFileSync(KERNEL_HEADER, path.join(folder, 'common/misc/cxl.h'));
  const env = { ...process.env, PSLVER: String(psl) };
  for (const part of ['pslse', 'libcxl', 'test/afu', 'test/tests']) {
    run('make', ['-s', '-C', path.join(folder, part)], { env });
  }
  fs.writeFileSync(done, '');
  return folder;
}

/**
 * The simulation of afu/afu.v for a PSL8: PSLSE's top.v calls its driver by DPI at each edge of the
 * clock, and Verilator makes a program of both.
 */
export function buildSimulation(pslse) {
  const folder = path.join(pslseFolder, 'simulation');
  const program = path.join(folder, 'simulation');
  if (changed(program) > Math.max(changed(AFU), changed(path.join(pslse, 'built')))) return program;
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const objects = ['afu_driver/src/afu_driver', 'common/psl_interface'].map((name) => {
    const object = path.join(folder, `${path.basename(name)}.o`);
    const headers = [path.join(pslse, 'common'), '/usr/share/verilator/include/vltstd'];
    const include = headers.map((header) => `-I${header}`);
    run('gcc', [
      '-O2',
      '-w',
      '-DPSL8',
      ...include,
      '-c',
      path.join(pslse, `${name}.c`),
      '-o',
      object,
    ]);
    return object;
  });
  const arguments_ = ['--cc', '--exe', '--main', '--timing', '-O3', '--top-module', 'top'];
  // top.v assigns to arrays in loops: Verilator has to unroll them.
  arguments_.push('--unroll-count', '1024', '--unroll-stmts', '100000', '--x-assign', '0');
  arguments_.push('-Wno-fatal', '-Wno-lint', '-Wno-style', '-Wno-INITIALDLY', '+define+PSL8');
  const sources = [path.join(pslse, 'afu_driver/verilog/top.v'), AFU, ...objects];
  run('verilator', [...arguments_, '-Mdir', folder, ...sources, '-o', 'simulation']);
  run('make', ['-s', '-C', folder, '-f', 'Vtop.mk', 'OPT_FAST=-O1', 'OPT_SLOW=-O0', 'simulation']);
  return program;
}
