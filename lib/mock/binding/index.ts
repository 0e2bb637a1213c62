/** The mock as a backend: the seam of lib/binding.ts over the modelled kernel. */
import type {
  AfuFile,
  AllocationRequest,
  Binding,
  CardFile,
  MemoryRegion,
  NegativeErrno,
} from '../../binding';
import { errnos } from '../../shared/errors';
import { CardImage } from '../kernel/card-image';
import { OpenFile } from '../kernel/files';
import type { Kernel } from '../kernel/kernel';
import { fileTree } from '../kernel/sysfs';
import { resolve } from '../kernel/virtual-files';
import { MockAfuFile } from './afu-file';
import { later, MockSysFs } from './sysfs';

/** The mock has one NUMA node and no pool of huge pages; both are asked for and refused as by Linux. */
const numaNodes = 1;

export class MockBinding implements Binding {
  readonly kind = 'mock';
  readonly sysfs: MockSysFs;
  readonly #kernel: Kernel;
  readonly #onImage: (cardNumber: number) => void;

  /** `onImage`: a card got a new image and is to be probed again. */
  constructor(kernel: Kernel, onImage: (cardNumber: number) => void) {
    this.#kernel = kernel;
    this.sysfs = new MockSysFs(kernel);
    this.#onImage = onImage;
  }

  get pageSize(): number {
    return this.#kernel.pageSize;
  }

  async openAfu(path: string): Promise<AfuFile | NegativeErrno> {
    await later(this.#kernel.faults.delay('open'));
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    const match = /^\/dev\/cxl\/afu(\d+)\.(\d+)([dms])$/.exec(found.real);
    if (match === null) return -errnos.ENODEV;
    const refused = this.#kernel.faults.refusal('open');
    if (refused) return refused;
    const afu = this.#kernel.afu(Number(match[1]), Number(match[2]));
    if (afu === undefined) return -errnos.ENODEV;
    // The dedicated node uses the master's file operations.
    const context = afu.open(match[3] !== 's');
    if (typeof context === 'number') return context;
    return this.#install(OpenFile.ofContext(context, false));
  }

  #install(file: OpenFile): AfuFile | NegativeErrno {
    const fd = this.#kernel.install(file);
    if (fd >= 0) return new MockAfuFile(this.#kernel, file, fd, true);
    file.put();
    return fd;
  }

  adoptAfu(fd: number, owned: boolean): AfuFile | NegativeErrno {
    const refused = this.#kernel.faults.refusal('adopt');
    if (refused) return refused;
    const file = this.#kernel.files.get(fd);
    if (file === undefined) return -errnos.EBADF;
    if (file.context === undefined) return -errnos.ENODEV;
    // Without GET_AFU_ID (detached, the link down) the file system decides.
    const identified = typeof file.context.ioctlAfuId() !== 'number';
    if (!identified && !file.anonymous) return -errnos.ENODEV;
    return new MockAfuFile(this.#kernel, file, fd, owned);
  }

  async openCard(path: string): Promise<CardFile | NegativeErrno> {
    await later(this.#kernel.faults.delay('open-card'));
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    const match = /^\/dev\/cxl\/card(\d+)$/.exec(found.real);
    const adapter = match === null ? undefined : this.#kernel.adapters.get(Number(match[1]));
    if (adapter === undefined) return -errnos.ENODEV;
    const refused = this.#kernel.faults.refusal('open-card');
    if (refused) return refused;
    const image = new CardImage(adapter, (replaced) => {
      if (replaced) this.#onImage(adapter.number);
    });
    const file = OpenFile.ofCard(image);
    const fd = this.#kernel.install(file);
    if (fd >= 0) return new MockCardFile(this.#kernel, image, fd);
    file.put();
    return fd;
  }

  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno {
    const refused = this.#kernel.faults.refusal('allocate');
    if (refused) return refused;
    if (request.numaNode >= numaNodes) return -errnos.EINVAL;
    if (request.hugePages === 'explicit') return -errnos.ENOMEM;
    try {
      return this.#kernel.memory.allocate(request.size, request.alignment);
    } catch (error) {
      // The engine cannot make a buffer of that size.
      if (error instanceof RangeError) return -errnos.ENOMEM;
      throw error;
    }
  }

  addressOf(view: ArrayBufferView | ArrayBuffer | SharedArrayBuffer): bigint {
    const { addressSpace } = this.#kernel;
    if (!ArrayBuffer.isView(view)) return BigInt(addressSpace.addressOf(view));
    return BigInt(addressSpace.addressOf(view.buffer) + view.byteOffset);
  }

  memoryBarrier(): void {
    this.#kernel.scheduler.poke();
  }
}

class MockCardFile implements CardFile {
  readonly #kernel: Kernel;
  readonly #image: CardImage;
  #fd: number;

  constructor(kernel: Kernel, image: CardImage, fd: number) {
    this.#kernel = kernel;
    this.#image = image;
    this.#fd = fd;
  }

  get fd(): number {
    return this.#fd;
  }

  async transfer(
    operation: 'download' | 'validate',
    needHeader: boolean,
    data: Uint8Array,
    imageLength: number,
  ): Promise<number> {
    await later(this.#kernel.faults.delay('image-transfer'));
    if (this.#fd < 0) return -errnos.EBADF;
    const refused = this.#kernel.faults.refusal('image-transfer');
    return refused || this.#image.transfer(operation, needHeader, data, imageLength);
  }

  async close(): Promise<number> {
    const fd = this.#fd;
    this.#fd = -1;
    await later();
    return fd < 0 ? 0 : this.#kernel.closeFd(fd);
  }
}
