// dist/sbom.cdx.json: a software bill of materials, in CycloneDX. npm's own list has every package of the
// lock file; this has those that are shipped: the dependencies, and what is bundled or compiled in.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { includedPackages } from './bundles.mjs';
import { root } from './files.mjs';
import { npm } from './npm.mjs';

const development = 'cdx:npm:package:development';
const bundled = 'cdx:npm:package:bundled';

/** A development dependency that is bundled is no longer one. */
function asBundled(component) {
  const others = component.properties.filter(({ name }) => name !== development);
  return { ...component, properties: [...others, { name: bundled, value: 'true' }] };
}

/** Needs dist to be built. */
export function writeBillOfMaterials() {
  const { name, version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));
  const format = ['--sbom-format', 'cyclonedx', '--sbom-type', 'library', '--package-lock-only'];
  const all = JSON.parse(npm(['sbom', ...format], { cwd: root }));
  const own = all.metadata.component;
  const included = includedPackages().map(({ manifest }) => `${manifest.name}@${manifest.version}`);
  const isDevelopment = ({ properties }) => properties.some((one) => one.name === development);
  const components = all.components
    .filter((one) => included.includes(one['bom-ref']) || !isDevelopment(one))
    .map((one) => (isDevelopment(one) ? asBundled(one) : one));
  const kept = new Set([own['bom-ref'], ...components.map((one) => one['bom-ref'])]);
  const lost = included.filter((reference) => !kept.has(reference));
  if (lost.length > 0) throw new Error(`not in the lock file: ${lost.join(' ')}`);
  const dependencies = all.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => kept.has(each)) }));
  // npm names the component after its folder.
  const metadata = { ...all.metadata, component: { ...own, name } };
  const text = JSON.stringify({ ...all, metadata, components, dependencies }, undefined, 2);
  writeFileSync(path.join(root, 'dist/sbom.cdx.json'), `${text}\n`);
  return `${name} ${version} with ${components.length} components`;
}
