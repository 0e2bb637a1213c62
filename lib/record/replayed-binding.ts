/** A backend that answers as was recorded: no device, no driver, no addon. */
import type {
  AfuFile,
  AllocationRequest,
  Binding,
  DeviceFile,
  MemoryRegion,
  NegativeErrno,
  SysFs,
} from '../binding';
import type { CardIoctls } from '../binding/cxl-ioctls';
import type { FlashBinding } from '../binding/flash';
import { OPERANDS_SIZE, type Operands, operandsOf } from '../binding/operands';
import { AddressSpace } from '../emulation/address-space';
import { AllocatedMemory } from '../emulation/memory';
import { HOST_IS_LITTLE_ENDIAN } from '../shared/endian';
import { ERRNOS } from '../shared/errno';
import type { CallStep } from './plan';
import { laterAnswerOf, ReplayedAfuFile, ReplayedFile } from './replayed-files';
import { BoundMemory, ReplayedRegion } from './replayed-memory';
import type { Replayer } from './replayer';

/** Bytes of a page, where the recording does not say. */
const PAGE_SIZE = 65536;

export class ReplayedBinding implements Binding {
  readonly kind = 'replay';
  readonly operands = new SharedArrayBuffer(OPERANDS_SIZE);
  readonly pageSize: number;
  readonly sysfs: SysFs;
  readonly flash: FlashBinding | undefined;
  readonly #operands: Operands = operandsOf(this.operands);
  readonly #replayer: Replayer;
  readonly #memory: AllocatedMemory;
  readonly #addressSpace: AddressSpace;
  /** Buffers at the addresses that were recorded. */
  readonly #addresses = new WeakMap<
    ArrayBufferLike,
    { start: number; size: number; address: bigint }[]
  >();

  constructor(replayer: Replayer) {
    const system = replayer.plan.systems.get('cxl');
    this.#replayer = replayer;
    this.pageSize = system?.pageSize ?? PAGE_SIZE;
    this.sysfs = new ReplayedSysFs(replayer);
    this.flash = system?.flash === false ? undefined : new ReplayedFlash(replayer);
    this.#addressSpace = new AddressSpace(this.pageSize);
    this.#memory = new AllocatedMemory({
      addressSpace: this.#addressSpace,
      operands: this.operands,
      poke() {},
    });
  }

  async openAfu(path: string): Promise<AfuFile | NegativeErrno> {
    return opened(
      this.#replayer,
      path,
      (fd, lane) => new ReplayedAfuFile(fd, lane, this.#operands, this.#replayer),
    );
  }

  adoptAfu(fd: number, owned: boolean): AfuFile | NegativeErrno {
    const step = this.#replayer.free('adopt', { fd, owned });
    if (step === undefined) throw this.#replayer.notRecorded('adopt', { fd, owned });
    if (step.created === undefined) return step.answer?.errno ?? -ERRNOS.EBADF;
    const lane = this.#replayer.lane(step.created);
    return new ReplayedAfuFile(fd, lane, this.#operands, this.#replayer);
  }

  async openCard(path: string): Promise<DeviceFile<CardIoctls> | NegativeErrno> {
    return opened(
      this.#replayer,
      path,
      (fd, lane) => new ReplayedFile<CardIoctls>(fd, lane, this.#replayer),
    );
  }

  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno {
    const step = this.#replayer.free('allocate', { ...request });
    if (step === undefined && this.#replayer.settings.strict) {
      throw this.#replayer.notRecorded('allocate', { ...request });
    }
    if (step?.answer?.errno !== undefined) return step.answer.errno;
    const region = this.#memory.allocate(request.size, request.alignment);
    const plan =
      step?.created === undefined ? undefined : this.#replayer.plan.memories.get(step.created);
    if (plan === undefined) return region;
    const { id, address } = plan;
    this.#know(new Uint8Array(region.buffer), address, id);
    return this.#regionOf(region, address, id);
  }

  addressOf(view: ArrayBufferView): bigint {
    const known = this.#find(view);
    if (known !== undefined) return known;
    const input = { size: view.byteLength };
    const step = this.#replayer.free('addressOf', input, ({ created }) => created !== undefined);
    if (step === undefined) {
      if (this.#replayer.settings.strict) throw this.#replayer.notRecorded('addressOf', input);
      return BigInt(this.#addressSpace.addressOf(view.buffer) + view.byteOffset);
    }
    const { address } = this.#replayer.plan.memories.get(step.created!)!;
    this.#know(
      new Uint8Array(view.buffer, view.byteOffset, view.byteLength),
      address,
      step.created!,
    );
    return address;
  }

  memoryBarrier(): void {}

  #find(view: ArrayBufferView): bigint | undefined {
    for (const { start, size, address } of this.#addresses.get(view.buffer) ?? []) {
      const offset = view.byteOffset - start;
      if (offset >= 0 && offset < Math.max(size, 1)) return address + BigInt(offset);
    }
    return undefined;
  }

  /** These bytes are the memory with this id. */
  #know(bytes: Uint8Array, address: bigint, id: number): void {
    const { buffer, byteOffset: start, byteLength: size } = bytes;
    const known = this.#addresses.get(buffer);
    if (known === undefined) this.#addresses.set(buffer, [{ start, size, address }]);
    else known.push({ start, size, address });
    if (this.#replayer.plan.unknown.has(id)) return;
    const weak = new WeakRef(buffer);
    const live = () => {
      const found = weak.deref();
      if (found === undefined || found.byteLength < start + size) return undefined;
      return new Uint8Array(found, start, size);
    };
    this.#replayer.bind(new BoundMemory(id, size, live));
  }

  #regionOf(region: MemoryRegion, address: bigint, id: number): MemoryRegion {
    const replayer = this.#replayer;
    const lane = replayer.lane(id);
    return new ReplayedRegion(region, address, this.#operands, {
      load(name, offset) {
        replayer.load(lane, name, offset);
      },
      store(name, offset, value, swapped) {
        const input = { offset, value, ...(swapped ? { swapped } : {}) };
        replayer.call(lane, name, input);
        const width = (Number(name.slice('store'.length)) / 8) as 1 | 2 | 4 | 8;
        replayer.bound(id)?.put(offset, width, value, swapped !== HOST_IS_LITTLE_ENDIAN);
      },
    });
  }
}

/** The file that a recorded open() made, or why it failed. */
async function opened<File>(
  replayer: Replayer,
  path: string,
  make: (fd: number, lane: ReturnType<Replayer['lane']>) => File,
): Promise<File | NegativeErrno> {
  const step = replayer.free('open', { path });
  if (step === undefined) throw replayer.notRecorded('open', { path });
  const answer = (await laterAnswerOf(replayer, step)) as { fd: number } | NegativeErrno;
  return typeof answer === 'number' ? answer : make(answer.fd, replayer.lane(step.created!));
}

class ReplayedFlash implements FlashBinding {
  readonly processId = process.pid;
  readonly parentProcessId = process.ppid;
  readonly #replayer: Replayer;

  constructor(replayer: Replayer) {
    this.#replayer = replayer;
  }

  openLun(path: string): ReturnType<FlashBinding['openLun']> {
    return opened(this.#replayer, path, (fd, lane) => new ReplayedFile(fd, lane, this.#replayer));
  }

  openHost(path: string): ReturnType<FlashBinding['openHost']> {
    return opened(this.#replayer, path, (fd, lane) => new ReplayedFile(fd, lane, this.#replayer));
  }

  takeDescriptor(): void {}

  async closeDescriptor(fd: number): Promise<number> {
    return (await laterAnswerOf(
      this.#replayer,
      this.#replayer.free('closeDescriptor', { fd }),
    )) as number;
  }
}

/**
 * What sysfs had. A file that was read several times is read in the order of the recording, and then
 * again as the last time; one that was never read, as it was at the start.
 */
export class Answers {
  readonly #replayer: Replayer;
  readonly #last = new Map<string, CallStep>();

  constructor(replayer: Replayer) {
    this.#replayer = replayer;
  }

  /** The step that answers, or undefined. */
  find(name: string, input: Record<string, unknown>): CallStep | undefined {
    const key = `${name} ${JSON.stringify(input)}`;
    const answered = ({ answer }: CallStep) => answer !== undefined;
    const found = this.#replayer.free(name, input, answered) ?? this.#last.get(key);
    if (found !== undefined) this.#last.set(key, found);
    return found;
  }
}

class ReplayedSysFs implements SysFs {
  readonly #replayer: Replayer;
  readonly #answers: Answers;

  constructor(replayer: Replayer) {
    this.#replayer = replayer;
    this.#answers = new Answers(replayer);
  }

  async readdir(path: string): Promise<string[] | NegativeErrno> {
    const names = () => this.#replayer.plan.sysfs.get(path)?.names;
    return (await this.#answer('sysfs.readdir', { path }, names)) as string[] | NegativeErrno;
  }

  async read(path: string, offset?: number, length?: number): Promise<Uint8Array | NegativeErrno> {
    const data = () => {
      const start = offset ?? 0;
      const bytes = this.#replayer.plan.sysfs.get(path)?.data;
      return bytes?.subarray(start, length === undefined ? undefined : start + length);
    };
    const answer = await this.#answer('sysfs.read', { path, offset, length }, data);
    return answer as Uint8Array | NegativeErrno;
  }

  readSync(path: string): Uint8Array | NegativeErrno {
    const data = () => this.#replayer.plan.sysfs.get(path)?.data;
    const answer = this.#find('sysfs.read', { path }, data);
    return answer.value as Uint8Array | NegativeErrno;
  }

  async write(path: string, data: string): Promise<number> {
    const step = this.#replayer.free('sysfs.write', { path, data });
    if (step === undefined) throw this.#replayer.notRecorded('sysfs.write', { path, data });
    return (await laterAnswerOf(this.#replayer, step)) as number;
  }

  async realpath(path: string): Promise<string | NegativeErrno> {
    const target = () => {
      const found = this.#replayer.plan.sysfs.get(path);
      return found === undefined ? undefined : (found.target ?? path);
    };
    return (await this.#answer('sysfs.realpath', { path }, target)) as string | NegativeErrno;
  }

  async #answer(name: string, input: Record<string, unknown>, initial: () => unknown) {
    const { step, value } = this.#find(name, input, initial);
    return step === undefined ? value : laterAnswerOf(this.#replayer, step);
  }

  #find(name: string, input: Record<string, unknown>, initial: () => unknown) {
    const step = this.#answers.find(name, input);
    if (step !== undefined) return { step, value: step.answer?.errno ?? step.answer?.answer };
    const value = initial() ?? this.#replayer.plan.sysfs.get(input['path'] as string)?.errno;
    if (value !== undefined) return { step, value };
    if (this.#replayer.settings.strict) throw this.#replayer.notRecorded(name, input);
    return { step, value: -ERRNOS.ENOENT };
  }
}
