/** The SysFs part of the seam, over the modeled kernel's tree. */
import type { SysFs } from '../../binding';
import { later } from '../../emulation/later';
import { resolve } from '../../emulation/virtual-files';
import { ERRNOS } from '../../shared/errno';
import type { Kernel } from '../kernel/kernel';
import { fileTree } from '../kernel/sysfs';

export class MockSysFs implements SysFs {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  async readdir(path: string): Promise<string[] | number> {
    await later();
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    if (found.entry.kind !== 'directory') return -ERRNOS.ENOTDIR;
    const prefix = found.real === '/' ? '' : found.real;
    return [...found.entry.entries.keys()]
      .filter((name) => !this.#isRemoved(`${prefix}/${name}`))
      .sort();
  }

  async read(path: string, offset?: number, length?: number): Promise<Uint8Array | number> {
    await later(this.#kernel.faults.delay('sysfs-read'));
    return this.#read(path, offset, length);
  }

  readSync(path: string): Uint8Array | number {
    return this.#read(path);
  }

  #read(path: string, offset = 0, length?: number): Uint8Array | number {
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    if (this.#isRemoved(found.real)) return -ERRNOS.ENOENT;
    if (found.entry.kind === 'directory') return -ERRNOS.EISDIR;
    if (found.entry.kind === 'link' || found.entry.read === undefined) return -ERRNOS.EACCES;
    const refused = this.#kernel.faults.refusal('sysfs-read', { path: found.real });
    if (refused) return refused;
    const override = this.#kernel.attributeOverrides.get(found.real);
    const bytes = override === undefined ? found.entry.read() : Buffer.from(override, 'latin1');
    return bytes.slice(offset, length === undefined ? undefined : offset + length);
  }

  async write(path: string, data: string): Promise<number> {
    await later(this.#kernel.faults.delay('sysfs-write'));
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    if (this.#isRemoved(found.real)) return -ERRNOS.ENOENT;
    if (found.entry.kind === 'directory') return -ERRNOS.EISDIR;
    if (found.entry.kind === 'link' || found.entry.write === undefined) return -ERRNOS.EACCES;
    return (
      this.#kernel.faults.refusal('sysfs-write', { path: found.real }) || found.entry.write(data)
    );
  }

  #isRemoved(real: string): boolean {
    const { attributeOverrides } = this.#kernel;
    return attributeOverrides.has(real) && attributeOverrides.get(real) === undefined;
  }

  async realpath(path: string): Promise<string | number> {
    await later();
    const found = resolve(fileTree(this.#kernel), path);
    return typeof found === 'number' ? found : found.real;
  }
}
