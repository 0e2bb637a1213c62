import { constants } from 'node:buffer';
import { types } from 'node:util';
import type { AllocationRequest, Binding } from '../binding';
import { AFU_ID_FLAGS } from '../binding/cxl-ioctls';
import { operandsOf } from '../binding/operands';
import { checkBoolean, checkInteger, checkOptions } from '../shared/checks';
import { debug } from '../shared/debug';
import { errnos } from '../shared/errno';
import { systemError, typeError, unwrap, valueError } from '../shared/errors';
import { Attributes } from '../sysfs/attributes';
import { CLASS_DIRECTORY, classNames } from '../sysfs/layout';
import { Adapter } from './adapter';
import { Afu } from './afu';
import { Context, type ContextOrigin } from './context';
import { type AllocateOptions, checkAllocation, Memory } from './memory';

export interface AdoptOptions {
  /**
   * Whether closing the context closes the descriptor too. Default false. Not for one that
   * node:fs opened in a worker: Node closes that itself when the worker ends, whatever has its
   * number by then (trackUnmanagedFds). Close the context, then close it with node:fs.
   */
  owned?: boolean;
  /**
   * Bytes of the problem state area: needed to map what no AFU's sysfs tells of, such as the
   * descriptors that cxlflash hands out (its attach says mmio_size).
   */
  mmioSize?: number;
}

const DEVICE_DIRECTORY = '/dev/cxl';
const NODE = /^afu(\d+)\.(\d+)([dms])$/;
const SYMLINK = /^afu\d+\.\d+$/;
/** The interface this library speaks; a driver that no longer serves it is EPROTO. */
const API_VERSION = 1;
const MODE_DEDICATED = 1;

/**
 * A system with coherent accelerators: this machine's, or a mock's. `cxl` is the one a program
 * normally uses; createMockCxl() of node-cxl/mock makes others.
 */
export class Cxl {
  readonly #source: () => Binding;
  #made: Binding | undefined;

  /** @internal The thunk is called at first use, so that importing the package loads no backend. */
  constructor(source: () => Binding) {
    this.#source = source;
  }

  /** @internal The seam, for the parts of this package that build on it. */
  get binding(): Binding {
    this.#made ??= this.#source();
    return this.#made;
  }

  /** Whether this is the system's own driver or a model of it. */
  get backend(): 'native' | 'mock' {
    return this.binding.kind;
  }

  /** Bytes; mapping offsets are multiples of it, and allocations at least aligned to it. */
  get pageSize(): number {
    return this.binding.pageSize;
  }

  /** The cards, by number. None when the driver is not loaded. */
  async adapters(): Promise<Adapter[]> {
    const numbers = (await classNames(this.binding))
      .map((name) => /^card(\d+)$/.exec(name))
      .filter((match) => match !== null)
      .map((match) => Number(match[1]))
      .sort((a, b) => a - b);
    return Promise.all(numbers.map((number) => Adapter.at(this, this.binding, number)));
  }

  /** Every AFU, by card and slice. */
  async afus(): Promise<Afu[]> {
    const found = (await classNames(this.binding))
      .map((name) => /^afu(\d+)\.(\d+)$/.exec(name))
      .filter((match) => match !== null)
      .map((match) => [Number(match[1]), Number(match[2])] as const)
      .sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    return Promise.all(found.map(([card, slice]) => Afu.at(this, this.binding, card, slice)));
  }

  /**
   * Opens a context on an AFU.
   *
   * @param path a node, such as /dev/cxl/afu0.0s, or its name; without the letter, what udev
   *   links it to, else the dedicated node, else the slave
   * @throws ENOENT no such node; EACCES; ENOSPC every process element is taken; EIO the link is
   *   down; ENODEV no such AFU, or no mode active; EPROTO the driver is too new;
   *   ERR_INVALID_ARG_VALUE for a path that is no AFU's. Source: afu_open in file.c.
   */
  async open(path: string): Promise<Context> {
    if (typeof path !== 'string') throw typeError('path', 'a string', path);
    if (path.includes('\0')) throw valueError('path', 'without zero bytes', path);
    const node = await this.#resolve(path.includes('/') ? path : `${DEVICE_DIRECTORY}/${path}`);
    const name = node.slice(node.lastIndexOf('/') + 1);
    const sysfsPath = `${CLASS_DIRECTORY}/${name}`;
    await this.#checkVersion(sysfsPath);
    debug('open %s', node);
    const file = unwrap(await this.binding.openAfu(node), 'open', node);
    return new Context(this.binding, file, { path: node, sysfsPath, adopted: false });
  }

  /**
   * Takes over a descriptor of a context that came from elsewhere: another driver's ioctl, a
   * parent process. Its flags are not touched; it counts as attached.
   *
   * @throws EBADF; ENODEV when it is no cxl descriptor (GET_AFU_ID, else the file system's
   *   magic, decides), so also for a node's whose context was detached
   */
  adopt(fd: number, options: AdoptOptions = {}): Context {
    checkInteger('fd', fd, 0, 2 ** 31 - 1);
    const { owned = false, mmioSize } = checkOptions(options);
    checkBoolean('options.owned', owned);
    if (mmioSize !== undefined) {
      checkInteger('options.mmioSize', mmioSize, 1, Number.MAX_SAFE_INTEGER);
    }
    const file = unwrap(this.binding.adoptAfu(fd, owned), 'adopt', `fd ${fd}`);
    const id = file.ioctlSync('GET_AFU_ID', {});
    const origin: ContextOrigin = { path: `fd ${fd}`, mmioSize, adopted: true };
    if (typeof id === 'number') return new Context(this.binding, file, origin);
    const letter =
      id.afuMode === MODE_DEDICATED ? 'd' : (id.flags & AFU_ID_FLAGS.SLAVE) !== 0n ? 's' : 'm';
    const sysfsPath = `${CLASS_DIRECTORY}/afu${id.cardId}.${id.afuOffset}${letter}`;
    return new Context(this.binding, file, { ...origin, sysfsPath });
  }

  /**
   * Memory an AFU can reach: zeroed, aligned, at a stable effective address.
   *
   * @param size bytes, 1 to 2^40
   * @throws ENOMEM (with `explicit` huge pages also when the pool is empty); EINVAL no such
   *   NUMA node; EOPNOTSUPP where the runtime forbids memory outside V8's cage
   */
  allocate(size: number, options: AllocateOptions = {}): Memory {
    const request = checkAllocation(size, options, this.pageSize);
    // Node makes no larger buffer.
    const region = size > constants.MAX_LENGTH ? -errnos.ENOMEM : this.binding.allocate(request);
    if (typeof region === 'number') {
      throw systemError(region, 'mmap', undefined, allocationHint(region, request));
    }
    return new Memory(region, operandsOf(this.binding.operands), request.endian);
  }

  /**
   * Effective address of the first byte of a view, Buffer or ArrayBuffer. Whoever gives it to
   * an AFU keeps the buffer alive (Context.hold()) and does not transfer it.
   */
  addressOf(view: ArrayBufferView | ArrayBuffer | SharedArrayBuffer | Memory): bigint {
    if (view instanceof Memory) return view.address;
    const buffer = ArrayBuffer.isView(view) ? view.buffer : view;
    if (!types.isAnyArrayBuffer(buffer)) {
      throw typeError('view', 'Memory, an ArrayBuffer or a view of one', view);
    }
    if (
      (buffer as { resizable?: boolean }).resizable ||
      (buffer as { growable?: boolean }).growable
    ) {
      throw valueError('view', 'over a buffer of fixed length: a resizable one can move', view);
    }
    return this.binding.addressOf(ArrayBuffer.isView(view) ? view : new Uint8Array(view));
  }

  /**
   * A full barrier (POWER `sync`): every load and store before it, to memory or to a problem
   * state area, is performed before any after it.
   */
  memoryBarrier(): void {
    this.binding.memoryBarrier();
  }

  /** The node a path leads to. Only its name is looked at before it is opened. */
  async #resolve(path: string): Promise<string> {
    const { sysfs } = this.binding;
    const target = await sysfs.realpath(path);
    if (target === -errnos.ENOENT && SYMLINK.test(path.slice(path.lastIndexOf('/') + 1))) {
      // No udev link: the dedicated node if it exists, else the slave's.
      for (const letter of ['d', 's']) {
        const node = await sysfs.realpath(path + letter);
        if (typeof node === 'string') return node;
      }
    }
    const node = unwrap(target, 'open', path);
    if (!NODE.test(node.slice(node.lastIndexOf('/') + 1))) {
      throw valueError('path', 'a node of an AFU, such as /dev/cxl/afu0.0s', path);
    }
    return node;
  }

  async #checkVersion(sysfsPath: string): Promise<void> {
    const attributes = new Attributes(this.binding.sysfs, sysfsPath);
    const compatible = await attributes.number('api_version_compatible');
    if (compatible !== undefined && compatible > API_VERSION) {
      throw systemError('EPROTO', 'open', sysfsPath);
    }
  }
}

/** What to do about a refusal of allocate(): 'mmap' has other reasons where an area is mapped. */
function allocationHint(errno: number, request: AllocationRequest): string | undefined {
  if (errno === -errnos.EINVAL) {
    return `this machine has no NUMA node ${request.numaNode} with memory: see /sys/devices/system/node`;
  }
  if (errno === -errnos.EOPNOTSUPP) {
    return 'this runtime or kernel has no such memory to give: no buffers outside its heap, or no huge pages';
  }
  if (errno !== -errnos.ENOMEM) return undefined;
  return request.hugePages === 'explicit'
    ? 'the pool of huge pages has not enough of them left: raise /proc/sys/vm/nr_hugepages, or ask for transparent ones'
    : 'ask for less, or free what is no longer used';
}
