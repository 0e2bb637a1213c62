/** A backend whose calls are recorded. What it returns is what the backend returns. */
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
import type { IoctlMap } from '../binding/files';
import type { FlashBinding } from '../binding/flash';
import { type Operands, operandsOf } from '../binding/operands';
import { RecordedAfuFile, RecordedFile } from './recorded-files';
import { RecordedMemory } from './recorded-memory';
import type { Recorder } from './recorder';
import type { RecordedCallName } from './records';

export class RecordedBinding implements Binding {
  readonly kind: Binding['kind'];
  readonly pageSize: number;
  readonly operands: SharedArrayBuffer;
  readonly sysfs: SysFs;
  readonly flash: FlashBinding | undefined;
  readonly #binding: Binding;
  readonly #recorder: Recorder;
  readonly #operands: Operands;

  constructor(binding: Binding, recorder: Recorder) {
    this.#binding = binding;
    this.#recorder = recorder;
    this.kind = binding.kind;
    this.pageSize = binding.pageSize;
    this.operands = binding.operands;
    this.#operands = operandsOf(binding.operands);
    this.sysfs = new RecordedSysFs(binding.sysfs, recorder);
    this.flash = binding.flash && new RecordedFlash(binding.flash, recorder);
  }

  async openAfu(path: string): Promise<AfuFile | NegativeErrno> {
    return openRecorded(
      this.#recorder,
      path,
      () => this.#binding.openAfu(path),
      (file, id) => new RecordedAfuFile(file, id, this.#operands, this.#recorder),
    );
  }

  adoptAfu(fd: number, owned: boolean): AfuFile | NegativeErrno {
    const call = this.#recorder.begin('adopt', 0, { fd, owned });
    const file = this.#binding.adoptAfu(fd, owned);
    if (typeof file === 'number') {
      this.#recorder.end(call, file);
      return file;
    }
    const id = this.#recorder.newObject();
    this.#recorder.end(call, undefined, id);
    // It may have been started elsewhere.
    this.#recorder.started(id);
    return new RecordedAfuFile(file, id, this.#operands, this.#recorder);
  }

  async openCard(path: string): Promise<DeviceFile<CardIoctls> | NegativeErrno> {
    return openRecorded(
      this.#recorder,
      path,
      () => this.#binding.openCard(path),
      (file, id) => new RecordedFile(file, id, this.#recorder),
    );
  }

  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno {
    const call = this.#recorder.begin('allocate', 0, { ...request });
    const region = this.#binding.allocate(request);
    if (typeof region === 'number') {
      this.#recorder.end(call, region);
      return region;
    }
    const id = this.#recorder.allocated(region);
    this.#recorder.end(call, { address: region.address, size: region.size }, id);
    return new RecordedMemory(region, id, this.#operands, this.#recorder);
  }

  addressOf(view: ArrayBufferView): bigint {
    const address = this.#binding.addressOf(view);
    // Within memory that was allocated, or a buffer whose address was taken before.
    const known = this.#recorder.find(address);
    const call = this.#recorder.begin('addressOf', known?.memory ?? 0, { size: view.byteLength });
    const id = known === undefined ? this.#recorder.addressed(address, view) : undefined;
    this.#recorder.end(call, { address }, id);
    return address;
  }

  memoryBarrier(): void {
    this.#recorder.beforeStore(true);
    const time = this.#recorder.now();
    this.#binding.memoryBarrier();
    this.#recorder.store('memoryBarrier', 0, 0, 0, 0, time);
  }
}

/** Opens a file, and records that. `wrap` makes the file that the program gets. */
async function openRecorded<File extends { readonly fd: number }, Recorded>(
  recorder: Recorder,
  path: string,
  open: () => Promise<File | NegativeErrno>,
  wrap: (file: File, id: number) => Recorded,
): Promise<Recorded | NegativeErrno> {
  const call = recorder.begin('open', 0, { path });
  const file = await open();
  if (typeof file === 'number') {
    recorder.end(call, file);
    return file;
  }
  const id = recorder.newObject();
  recorder.end(call, { fd: file.fd }, id);
  return wrap(file, id);
}

/** Makes a call of a backend that returns its answer, and records it. */
export async function recorded<T>(
  recorder: Recorder,
  name: RecordedCallName,
  input: Record<string, unknown>,
  make: () => Promise<T>,
): Promise<T> {
  const call = recorder.begin(name, 0, input);
  const answer = await make();
  recorder.end(call, answer);
  return answer;
}

class RecordedFlash implements FlashBinding {
  readonly processId: number;
  readonly parentProcessId: number;
  readonly #flash: FlashBinding;
  readonly #recorder: Recorder;

  constructor(flash: FlashBinding, recorder: Recorder) {
    this.#flash = flash;
    this.#recorder = recorder;
    this.processId = flash.processId;
    this.parentProcessId = flash.parentProcessId;
  }

  openLun(path: string) {
    return this.#open(path, () => this.#flash.openLun(path));
  }

  openHost(path: string) {
    return this.#open(path, () => this.#flash.openHost(path));
  }

  takeDescriptor(fd: number): void {
    const call = this.#recorder.begin('takeDescriptor', 0, { fd });
    this.#flash.takeDescriptor(fd);
    this.#recorder.end(call, undefined);
  }

  closeDescriptor(fd: number): Promise<number> {
    const close = () => this.#flash.closeDescriptor(fd);
    return recorded(this.#recorder, 'closeDescriptor', { fd }, close);
  }

  #open<Ioctls extends IoctlMap<Ioctls>>(
    path: string,
    open: () => Promise<DeviceFile<Ioctls> | NegativeErrno>,
  ): Promise<DeviceFile<Ioctls> | NegativeErrno> {
    const recorder = this.#recorder;
    return openRecorded(recorder, path, open, (file, id) => new RecordedFile(file, id, recorder));
  }
}

class RecordedSysFs implements SysFs {
  readonly #sysfs: SysFs;
  readonly #recorder: Recorder;

  constructor(sysfs: SysFs, recorder: Recorder) {
    this.#sysfs = sysfs;
    this.#recorder = recorder;
  }

  readdir(path: string): Promise<string[] | NegativeErrno> {
    const read = () => this.#sysfs.readdir(path);
    return recorded(this.#recorder, 'sysfs.readdir', { path }, read);
  }

  read(path: string, offset?: number, length?: number): Promise<Uint8Array | NegativeErrno> {
    const read = () => this.#sysfs.read(path, offset, length);
    return recorded(this.#recorder, 'sysfs.read', { path, offset, length }, read);
  }

  readSync(path: string): Uint8Array | NegativeErrno {
    const call = this.#recorder.begin('sysfs.read', 0, { path });
    const answer = this.#sysfs.readSync(path);
    this.#recorder.end(call, answer);
    return answer;
  }

  write(path: string, data: string): Promise<number> {
    const write = () => this.#sysfs.write(path, data);
    return recorded(this.#recorder, 'sysfs.write', { path, data }, write);
  }

  realpath(path: string): Promise<string | NegativeErrno> {
    const resolve = () => this.#sysfs.realpath(path);
    return recorded(this.#recorder, 'sysfs.realpath', { path }, resolve);
  }
}
