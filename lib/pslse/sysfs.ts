/** The files of /sys/class/cxl and /dev/cxl that the driver would make for the daemon's AFUs. */
import type { NegativeErrno, SysFs } from '../binding';
import {
  attribute,
  binary,
  type Directory,
  directory,
  type Entry,
  type File,
  link,
  resolve,
  writeOnly,
} from '../emulation/virtual-files';
import { ERRNOS } from '../shared/errno';
import { CLASS_DIRECTORY } from '../sysfs/layout';
import { type Call, callAsync } from './answer';
import { WHOLE_AREA } from './context';
import type { Description } from './daemon';
import { type AfuDescription, encode } from './protocol';
import type { Shared } from './shared-state';

/** There is no PCI device: the cards are where the kernel has virtual devices. */
const HOME = '/sys/devices/virtual/cxl';
const ERROR_BUFFER = 'afu_err_buff';
/** Bytes that one request reads of the error buffer. */
const ERROR_BUFFER_UNIT = 8;

const refused = () => -ERRNOS.EOPNOTSUPP;

/** The tree of these files, from the root. */
function fileTree({ psl, afus }: Description): Directory {
  const classLinks: Record<string, Entry> = {};
  const nodes: Record<string, Entry> = {};
  const cards: Record<string, Entry> = {};
  for (const number of new Set(afus.map(({ card }) => card))) {
    const card = `card${number}`;
    const home = `${HOME}/${card}`;
    classLinks[card] = link(home);
    const own: Record<string, Entry> = {};
    for (const afu of afus.filter((each) => each.card === number)) {
      const name = nameOf(afu);
      classLinks[name] = link(`${home}/${name}`);
      own[name] = afuDirectory(afu, card);
      for (const letter of lettersOf(afu)) {
        classLinks[name + letter] = link(`${home}/${name}/${name}${letter}`);
        nodes[name + letter] = DEVICE_NODE;
      }
    }
    cards[card] = directory({
      ...own,
      subsystem: link(CLASS_DIRECTORY),
      caia_version: attribute(() => (psl === 9 ? '2.0' : '1.0')),
      psl_revision: attribute(() => 0),
      image_loaded: attribute(() => 'user'),
      reset: writeOnly(refused),
    });
  }
  const virtual = directory({ cxl: directory(cards) });
  return directory({
    sys: directory({
      class: directory({ cxl: directory(classLinks) }),
      devices: directory({ virtual }),
    }),
    dev: directory({ cxl: directory(nodes) }),
  });
}

const DEVICE_NODE: File = { kind: 'file' };

export function nameOf({ card, slice }: AfuDescription): string {
  return `afu${card}.${slice}`;
}

function lettersOf(afu: AfuDescription): readonly ('d' | 'm' | 's')[] {
  return afu.mode === 'dedicated' ? ['d'] : ['m', 's'];
}

function afuDirectory(afu: AfuDescription, card: string): Directory {
  const name = nameOf(afu);
  const mode = afu.mode === 'dedicated' ? 'dedicated_process' : 'afu_directed';
  const whole = afu.hasArea ? WHOLE_AREA : 0;
  const part = afu.hasArea ? afu.perProcess?.size : undefined;
  const parent = { device: link(`../../${name}`), subsystem: link(CLASS_DIRECTORY) };
  return directory({
    ...Object.fromEntries(
      lettersOf(afu).map((letter) => [
        name + letter,
        directory(
          letter === 'm'
            ? {
                ...parent,
                mmio_size: attribute(() => whole),
                pp_mmio_len: attribute(() => part ?? 0),
                pp_mmio_off: attribute(() => afu.perProcess?.offset ?? 0),
              }
            : parent,
        ),
      ]),
    ),
    cr0: directory({
      vendor: attribute(() => hex(afu.vendor, 4)),
      device: attribute(() => hex(afu.device, 4)),
      class: attribute(() => hex(afu.class, 6)),
    }),
    device: link(`../../${card}`),
    subsystem: link(CLASS_DIRECTORY),
    mmio_size: attribute(() => part ?? whole),
    irqs_min: attribute(() => afu.irqsMin),
    irqs_max: attribute(() => afu.irqsMax, refused),
    modes_supported: attribute(() => mode),
    mode: attribute(() => mode, refused),
    prefault_mode: attribute(() => 'none', refused),
    api_version: attribute(() => 1),
    api_version_compatible: attribute(() => 1),
    reset: writeOnly(refused),
    // Read through a context: see PslseSysFs.
    [ERROR_BUFFER]: afu.errorBufferSize > 0 ? binary(() => new Uint8Array(0)) : undefined,
  });
}

function hex(value: number, digits: number): string {
  return `0x${value.toString(16).padStart(digits, '0')}`;
}

export class PslseSysFs implements SysFs {
  readonly #shared: Shared;

  constructor(shared: Shared) {
    this.#shared = shared;
  }

  /** Follows a path: what is there and its real path, or -errno. */
  *find(path: string): Call<ReturnType<typeof resolve>> {
    const description = yield* this.#shared.daemon.describe();
    return typeof description === 'number' ? description : resolve(fileTree(description), path);
  }

  async readdir(path: string): Promise<string[] | NegativeErrno> {
    // Without a connection there is no other way to notice that the daemon is another one.
    if (path === CLASS_DIRECTORY && this.#shared.contexts.size === 0) this.#shared.daemon.forget();
    const found = await callAsync(this.find(path));
    if (typeof found === 'number') return found;
    if (found.entry.kind !== 'directory') return -ERRNOS.ENOTDIR;
    return [...found.entry.entries.keys()].sort();
  }

  async read(path: string, offset = 0, length?: number): Promise<Uint8Array | NegativeErrno> {
    const found = await callAsync(this.find(path));
    const end = length === undefined ? undefined : offset + length;
    if (typeof found !== 'number' && found.real.endsWith(`/${ERROR_BUFFER}`)) {
      return callAsync(this.#errorBuffer(found.real, offset, end));
    }
    const bytes = contents(found);
    return typeof bytes === 'number' ? bytes : bytes.slice(offset, end);
  }

  readSync(path: string): Uint8Array | NegativeErrno {
    return contents(this.#shared.pump.callSync(this.find(path)));
  }

  /** The daemon reads it for a client that is attached, 8 bytes a request. */
  *#errorBuffer(real: string, offset: number, end: number | undefined): Call<Uint8Array | number> {
    const context = [...this.#shared.contexts].find(
      ({ status, afu }) => status === 'STARTED' && real.endsWith(`/${nameOf(afu)}/${ERROR_BUFFER}`),
    );
    if (context === undefined) return -ERRNOS.ENOENT;
    const size = context.afu.errorBufferSize;
    const last = Math.min(end ?? size, size);
    const bytes = new Uint8Array(Math.max(last - offset, 0));
    const first = offset - (offset % ERROR_BUFFER_UNIT);
    for (let at = first; at < last; at += ERROR_BUFFER_UNIT) {
      const unit = yield* context.access(encode.errorBuffer(at), ERROR_BUFFER_UNIT);
      if (unit === undefined) return -ERRNOS.EIO;
      const from = Math.max(offset - at, 0);
      bytes.set(unit.subarray(from, Math.min(unit.length, last - at)), at + from - offset);
    }
    return bytes;
  }

  async write(path: string, data: string): Promise<number> {
    const found = await callAsync(this.find(path));
    if (typeof found === 'number') return found;
    if (found.entry.kind === 'directory') return -ERRNOS.EISDIR;
    if (found.entry.kind === 'link' || found.entry.write === undefined) return -ERRNOS.EACCES;
    return found.entry.write(data);
  }

  async realpath(path: string): Promise<string | NegativeErrno> {
    const found = await callAsync(this.find(path));
    return typeof found === 'number' ? found : found.real;
  }
}

function contents(found: ReturnType<typeof resolve>): Uint8Array | number {
  if (typeof found === 'number') return found;
  if (found.entry.kind === 'directory') return -ERRNOS.EISDIR;
  if (found.entry.kind === 'link' || found.entry.read === undefined) return -ERRNOS.EACCES;
  return found.entry.read();
}
