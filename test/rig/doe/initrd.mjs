// The guest's file system, all of it in memory: busybox, this host's Node with its libraries,
// the kernel's modules for Compute Express Link, the package and its tests.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { bundleTests } from '../bundle-tests.mjs';
import { run } from '../command.mjs';
import { doeFolder, repository } from '../folders.mjs';
import { newRoot, packRoot } from '../initrd.mjs';

const wanted = ['libnvdimm', 'cxl_acpi', 'cxl_pci', 'cxl_mem', 'cxl_pmem', 'cxl_port'];
const require = createRequire(import.meta.url);

function put(root, from, to) {
  const target = path.join(root, to);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.cpSync(from, target, { recursive: true, dereference: true });
}

function findModules(folder) {
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return new Map(
    files
      .filter((entry) => entry.isFile() && /\.ko(\.xz)?$/.test(entry.name))
      .map((entry) => [
        entry.name.replace(/\.ko(\.xz)?$/, '').replaceAll('-', '_'),
        path.join(entry.parentPath ?? entry.path, entry.name),
      ]),
  );
}

/** The modules that a module needs, as the module itself lists them. */
function dependencies(file) {
  const text = fs.readFileSync(file).toString('latin1');
  const found = /\0depends=([^\0]*)\0/.exec(text)?.[1] ?? '';
  return found.split(',').filter((name) => name !== '');
}

/** The wanted modules and what they need, in the order they load. Some kernels have one built in. */
function loadOrder(available) {
  const order = [];
  const add = (name) => {
    const file = available.get(name);
    if (file === undefined || order.includes(name)) return;
    for (const other of dependencies(file)) add(other.replaceAll('-', '_'));
    order.push(name);
  };
  wanted.forEach(add);
  return order;
}

function putModules(root, kernel) {
  const available = findModules(kernel.modules);
  const order = loadOrder(available);
  for (const name of order) put(root, available.get(name), `modules/${name}.ko`);
  fs.writeFileSync(path.join(root, 'modules/order'), `${order.join('\n')}\n`);
}

function putNode(root) {
  put(root, process.execPath, 'bin/node');
  const libraries = run('ldd', [process.execPath]).matchAll(/(?:=> )?(\/\S+) \(0x/g);
  for (const [, library] of libraries) put(root, library, library);
}

async function putPackage(root, testFiles) {
  const app = path.join(root, 'app');
  await bundleTests(app, testFiles);
  for (const part of ['package.json', 'dist', 'build/Release/node_cxl.node']) {
    put(app, path.join(repository, part), path.join('node_modules/node-cxl', part));
  }
  const loader = path.dirname(require.resolve('node-gyp-build/package.json'));
  put(app, loader, 'node_modules/node-gyp-build');
}

/** Builds the file system and gives its image. */
export async function buildInitrd(kernel, tables, testFiles) {
  const root = path.join(doeFolder, 'root');
  const init = path.join(repository, 'test/rig/doe/init.sh');
  newRoot(root, { busybox: '/bin/busybox', init });
  putModules(root, kernel);
  putNode(root);
  await putPackage(root, testFiles);
  put(root, tables, 'tables');
  return packRoot(root);
}
