import { type InspectOptions, inspect, types } from 'node:util';
import type { Binding } from '../binding';
import { abortable, checkSignal, throwIfAborted } from '../shared/abort';
import { OPEN } from '../shared/channels';
import { checkBoolean, checkInteger, checkOptions, type OptionNames } from '../shared/checks';
import { debug, debugResult } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import { systemError, typeError, unwrap, valueError } from '../shared/errors';
import { shown } from '../shared/inspection';
import { Uncloneable } from '../shared/uncloneable';
import { Attributes } from '../sysfs/attributes';
import { CLASS_DIRECTORY, classNames } from '../sysfs/layout';
import { Adapter } from './adapter';
import { Afu, CONTEXT_SUFFIXES } from './afu';
import { decodeAfuId } from './afu-id';
import { type AllocateOptions, allocateMemory, allocatePool } from './allocate';
import { Context, NODE_NAME } from './context';
import { type Holdable, isMemory } from './held-memory';
import type { Memory } from './memory';
import type { MemoryPool } from './memory-pool';

/** Options of Cxl.adopt(). */
export interface AdoptOptions {
  /**
   * Whether closing the context also closes the descriptor. Default false. Leave it false for a
   * descriptor that node:fs opened in a worker, and close that with node:fs after the context:
   * when the worker ends, Node closes every descriptor number that node:fs opened there and did
   * not close (trackUnmanagedFds), even if the number has been reused for another file.
   */
  owned?: boolean | undefined;
  /**
   * Bytes of the problem state area. Needed to map it when sysfs has no attribute for it, as for
   * the descriptors of cxlflash, whose attach ioctl returns it as mmio_size.
   */
  mmioSize?: number | undefined;
}
const ADOPT_OPTIONS: OptionNames<AdoptOptions> = { owned: true, mmioSize: true };

/** Options of Cxl.open() and Afu.open(). */
export interface OpenOptions {
  /**
   * An abort rejects with an AbortError at once. A device node that is being opened at that time is
   * closed as soon as it is open.
   */
  signal?: AbortSignal | undefined;
}
const OPEN_OPTIONS: OptionNames<OpenOptions> = { signal: true };

const DEVICE_DIRECTORY = '/dev/cxl';
const SYMLINK = /^afu\d+\.\d+$/;
/** The version of the driver's interface that this library uses; EPROTO if the driver dropped it. */
const API_VERSION = 1;

/**
 * A system with coherent accelerators: this machine or a mock. Programs normally use `cxl`;
 * createMockCxl() of node-cxl/mock makes others.
 *
 * @example
 * import { cxl } from 'node-cxl';
 *
 * const names = (await cxl.afus()).map((afu) => afu.name);
 * console.log(cxl.backend, names); // mock [ 'afu0.0', 'afu1.0', 'afu2.0' ]
 */
export class Cxl extends Uncloneable {
  readonly #load: () => Binding;
  #binding: Binding | undefined;

  /** @internal `load` is called at first use, so that importing the package loads no backend. */
  constructor(load: () => Binding) {
    super();
    this.#load = load;
  }

  /** @internal The backend, for the parts of this package that call it directly. */
  get binding(): Binding {
    this.#binding ??= this.#load();
    return this.#binding;
  }

  /**
   * `native`: the driver of this machine; `mock`: a model of it; `replay`: a recording of it; `pslse`:
   * simulated RTL.
   */
  get backend(): 'native' | 'mock' | 'replay' | 'pslse' {
    return this.binding.kind;
  }

  /** Bytes. Offsets of mappings are multiples of it; allocations are aligned to it by default. */
  get pageSize(): number {
    return this.binding.pageSize;
  }

  /** The cards, sorted by number. An empty list when the driver is not loaded. */
  async adapters(): Promise<Adapter[]> {
    const numbers = (await classNames(this.binding))
      .map((name) => /^card(\d+)$/.exec(name))
      .filter((match) => match !== null)
      .map((match) => Number(match[1]))
      .sort((a, b) => a - b);
    return Promise.all(numbers.map((number) => Adapter.at(this, this.binding, number)));
  }

  /** Every AFU, sorted by card and slice. */
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
   * @param path a device node, such as /dev/cxl/afu0.0s, or its name, afu0.0s. Without the letter,
   *   afu0.0: the target of the symbolic link that a udev rule may have made, else the dedicated
   *   node, else the slave node.
   * @throws AbortError; ENOENT no such node; EACCES; ENOSPC every process element is taken; EIO the
   *   link is down; ENODEV no such AFU, or no mode active; EPROTO the driver is too new;
   *   ERR_INVALID_ARG_VALUE when the path is not that of an AFU. Source: afu_open in file.c.
   */
  async open(path: string, options: OpenOptions = {}): Promise<Context> {
    if (typeof path !== 'string') throw typeError('path', 'a string', path);
    if (path.includes('\0')) throw valueError('path', 'without null bytes', path);
    const signal = checkSignal(checkOptions(options, OPEN_OPTIONS).signal);
    throwIfAborted(signal);
    const call = () =>
      abortable(this.#openNode(path, signal), signal, (context) => context.close());
    // Awaited, so that the stack of an error names the caller.
    return await (OPEN.active ? OPEN.promise({ path }, call) : call());
  }

  async #openNode(path: string, signal: AbortSignal | undefined): Promise<Context> {
    const node = await this.#resolve(path.includes('/') ? path : `${DEVICE_DIRECTORY}/${path}`);
    const name = node.slice(node.lastIndexOf('/') + 1);
    const sysfsPath = `${CLASS_DIRECTORY}/${name}`;
    const attributes = new Attributes(this.binding.sysfs, sysfsPath);
    checkVersion(await attributes.number('api_version_compatible'), 'open', sysfsPath);
    throwIfAborted(signal);
    debug('open %s', node);
    const answer = await this.binding.openAfu(node);
    debugResult('open', node, typeof answer === 'number' ? answer : answer.fd);
    const file = unwrap(answer, 'open', node);
    return new Context(this.binding, file, {
      path: node,
      sysfsPath,
      adopted: false,
      findAfu: this.#findAfu,
    });
  }

  /**
   * Makes a Context of a file descriptor that was opened elsewhere: by another driver's ioctl,
   * or by a parent process. Its flags are not changed; the context counts as attached.
   *
   * @throws EBADF; ENODEV when it is not a cxl descriptor (GET_AFU_ID fails and the file is not
   *   of the driver's anonymous file system), or the context of a device node was detached; EPROTO
   *   when the driver has a newer interface than this library. The descriptor then stays open, and
   *   the caller's
   */
  adopt(fd: number, options: AdoptOptions = {}): Context {
    checkInteger('fd', fd, 0, 2 ** 31 - 1);
    const { owned = false, mmioSize } = checkOptions(options, ADOPT_OPTIONS);
    checkBoolean('options.owned', owned);
    if (mmioSize !== undefined) {
      checkInteger('options.mmioSize', mmioSize, 1, Number.MAX_SAFE_INTEGER);
    }
    const path = `fd ${fd}`;
    // Not owned until it is known to be accepted: the collector would close it.
    const answer = this.binding.adoptAfu(fd, false);
    debugResult('adopt', path, typeof answer === 'number' ? answer : fd);
    const asked = unwrap(answer, 'adopt', path);
    const id = asked.ioctlSync('GET_AFU_ID', {});
    debugResult('ioctl(GET_AFU_ID)', path, id);
    let sysfsPath: string | undefined;
    if (typeof id !== 'number') {
      const { adapterNumber, slice, mode, slave } = decodeAfuId(id);
      const kind = mode === 'dedicated_process' ? 'dedicated' : slave ? 'slave' : 'master';
      const afu = `${CLASS_DIRECTORY}/afu${adapterNumber}.${slice}`;
      sysfsPath = afu + CONTEXT_SUFFIXES[kind];
      const attributes = new Attributes(this.binding.sysfs, afu);
      checkVersion(attributes.numberSync('api_version_compatible'), 'adopt', sysfsPath);
    }
    const file = owned ? unwrap(this.binding.adoptAfu(fd, true), 'adopt', path) : asked;
    const origin = { path, sysfsPath, mmioSize, adopted: true, findAfu: this.#findAfu };
    return new Context(this.binding, file, origin);
  }

  /**
   * Allocates memory for an AFU to access: zeroed, aligned, at an effective address that does
   * not change.
   *
   * No context holds it yet. Whatever an AFU can be led to, by its work element descriptor or by
   * what that points to, must be held by the context: by the `holds` of attach(), by
   * Context.hold(), or by allocating it with Context.allocate(). Memory that is not held can be
   * freed, by hand or by the collector, while the AFU uses its address. That is the caller's own
   * risk: the AFU then faults, or writes to what has the address next.
   *
   * @param size bytes, 1 to 2^40
   * @throws ENOMEM (with `explicit` huge pages also when the pool is empty); EINVAL no such
   *   NUMA node; EOPNOTSUPP where the runtime allows no ArrayBuffers on memory of the addon (V8's
   *   memory cage, as in Electron)
   */
  allocate(size: number, options: AllocateOptions = {}): Memory {
    return allocateMemory(this.binding, size, options);
  }

  /**
   * Allocates a pool, for a program that needs many small pieces of memory: MemoryPool.allocate()
   * makes no system call. Holding the pool holds all its pieces.
   *
   * @param size bytes of the whole pool, 1 to 2^40; whole pages are used best
   * @throws as allocate()
   */
  allocatePool(size: number, options: AllocateOptions = {}): MemoryPool {
    return allocatePool(this.binding, size, options);
  }

  /**
   * Effective address of the first byte of a view, Buffer or ArrayBuffer, or of memory.
   *
   * An address keeps nothing alive. While an AFU can be led to it, the memory must be held, by the
   * `holds` of attach() or by Context.hold(), and a buffer must not be transferred. Otherwise it can
   * be freed or collected meanwhile, at the caller's own risk.
   */
  addressOf(view: Holdable): bigint {
    if (isMemory(view)) return view.address;
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
   * A full memory barrier (POWER `sync`): every load and store before it, to memory or to a
   * problem state area, is performed before every one after it.
   */
  memoryBarrier(): void {
    this.binding.memoryBarrier();
  }

  /** @internal The state, for util.inspect() and console.log(): it loads no backend. */
  [inspect.custom](depth: number, options: InspectOptions): string {
    return shown(this, depth, options, { backend: this.#binding?.kind ?? 'not chosen yet' });
  }

  /** The path of the device node behind `path`, whose name is that of an AFU's node. */
  async #resolve(path: string): Promise<string> {
    const { sysfs } = this.binding;
    const target = await sysfs.realpath(path);
    if (target === -ERRNOS.ENOENT && SYMLINK.test(path.slice(path.lastIndexOf('/') + 1))) {
      // There is no link made by udev: the dedicated node if it exists, else the slave node.
      for (const letter of ['d', 's']) {
        const node = await sysfs.realpath(path + letter);
        if (typeof node === 'string') return node;
      }
    }
    const node = unwrap(target, 'open', path);
    if (!NODE_NAME.test(node.slice(node.lastIndexOf('/') + 1))) {
      throw valueError('path', 'a node of an AFU, such as /dev/cxl/afu0.0s', path);
    }
    return node;
  }

  readonly #findAfu = (adapter: number, slice: number): Promise<Afu> =>
    Afu.at(this, this.binding, adapter, slice);
}

/** `compatible`: the oldest version of the interface that the driver supports. */
function checkVersion(compatible: number | undefined, syscall: string, path: string): void {
  if (compatible !== undefined && compatible > API_VERSION) {
    throw systemError('EPROTO', syscall, path);
  }
}
