/** The mock as a backend: the seam of lib/binding over the modeled kernel. */
import type {
  AfuFile,
  AllocationRequest,
  Binding,
  DeviceFile,
  MemoryRegion,
  NegativeErrno,
} from '../../binding';
import { ADAPTER_IMAGE_FLAGS, type AdapterImage, type CardIoctls } from '../../binding/cxl-ioctls';
import { QueuedDeviceFile } from '../../emulation/device-file';
import { later } from '../../emulation/later';
import { allocateIn } from '../../emulation/memory';
import { resolve } from '../../emulation/virtual-files';
import { ERRNOS } from '../../shared/errno';
import { CardImage } from '../kernel/card-image';
import type { Kernel } from '../kernel/kernel';
import { OpenFile } from '../kernel/open-file';
import { fileTree } from '../kernel/sysfs';
import { MockAfuFile } from './afu-file';
import { MockSysFs } from './sysfs';

export class MockBinding implements Binding {
  readonly kind = 'mock';
  readonly sysfs: MockSysFs;
  readonly #kernel: Kernel;
  readonly #onImage: (cardNumber: number) => void;

  /** `onImage` is called when a card has a new image, for the driver to probe it again. */
  constructor(kernel: Kernel, onImage: (cardNumber: number) => void) {
    this.#kernel = kernel;
    this.sysfs = new MockSysFs(kernel);
    this.#onImage = onImage;
  }

  get pageSize(): number {
    return this.#kernel.pageSize;
  }

  get operands(): SharedArrayBuffer {
    return this.#kernel.operands;
  }

  async openAfu(path: string): Promise<AfuFile | NegativeErrno> {
    await later(this.#kernel.faults.delay('open'));
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    const match = /^\/dev\/cxl\/afu(\d+)\.(\d+)([dms])$/.exec(found.real);
    if (match === null) return -ERRNOS.ENODEV;
    const [, card, slice, letter] = match;
    const name = `afu${card}.${slice}`;
    const devices = [`card${card}`, name, `${name}${letter}`];
    const refused = this.#kernel.faults.refusal('open', { devices });
    if (refused) return refused;
    const afu = this.#kernel.afu(Number(card), Number(slice));
    if (afu === undefined) return -ERRNOS.ENODEV;
    // The dedicated node uses the master's file operations.
    const context = afu.open(letter !== 's');
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
    const file = this.#kernel.files.get(fd);
    const refused = this.#kernel.faults.refusal('adopt', file?.context?.place);
    if (refused) return refused;
    if (file === undefined) return -ERRNOS.EBADF;
    if (file.context === undefined) return -ERRNOS.ENODEV;
    // If GET_AFU_ID fails (detached, link down), the addon recognizes the file system of the file.
    const identified = typeof file.context.ioctlAfuId() !== 'number';
    if (!identified && !file.anonymous) return -ERRNOS.ENODEV;
    return new MockAfuFile(this.#kernel, file, fd, owned);
  }

  async openCard(path: string): Promise<DeviceFile<CardIoctls> | NegativeErrno> {
    await later(this.#kernel.faults.delay('open-card'));
    const found = resolve(fileTree(this.#kernel), path);
    if (typeof found === 'number') return found;
    const match = /^\/dev\/cxl\/card(\d+)$/.exec(found.real);
    if (match === null) return -ERRNOS.ENODEV;
    const refused = this.#kernel.faults.refusal('open-card', { devices: [`card${match[1]}`] });
    if (refused) return refused;
    const up = await this.#kernel.imageSemaphore.lock(undefined);
    // Looked up after the wait: the card may be gone, or have been probed anew.
    const adapter = this.#kernel.adapters.get(Number(match[1]));
    if (adapter === undefined || !adapter.bound) {
      up();
      return -ERRNOS.ENODEV;
    }
    const image = new CardImage(adapter, up, (replaced) => {
      if (replaced) this.#onImage(adapter.number);
    });
    const file = OpenFile.ofCard(image);
    const fd = this.#kernel.install(file);
    if (fd >= 0) return this.#cardFile(image, fd);
    file.put();
    return fd;
  }

  allocate(request: AllocationRequest): MemoryRegion | NegativeErrno {
    const refused = this.#kernel.faults.refusal('allocate');
    return refused || allocateIn(this.#kernel.memory, request);
  }

  addressOf(view: ArrayBufferView): bigint {
    return BigInt(this.#kernel.addressSpace.addressOf(view.buffer) + view.byteOffset);
  }

  memoryBarrier(): void {
    this.#kernel.scheduler.poke();
  }

  #cardFile(image: CardImage, fd: number): DeviceFile<CardIoctls> {
    const { faults } = this.#kernel;
    const transfer = async (operation: 'download' | 'validate', chunk: AdapterImage) => {
      await later(faults.delay('image-transfer'));
      const refused = faults.refusal('image-transfer', {
        devices: [`card${image.adapter.number}`],
      });
      const needHeader = (chunk.flags & ADAPTER_IMAGE_FLAGS.NEED_HEADER) !== 0n;
      const result =
        refused || image.transfer(operation, needHeader, chunk.data, Number(chunk.lenImage));
      return result < 0 ? result : { result };
    };
    return new QueuedDeviceFile<CardIoctls>(
      fd,
      (name, chunk) => transfer(name === 'DOWNLOAD_IMAGE' ? 'download' : 'validate', chunk),
      'in-order',
      () => this.#kernel.closeFd(fd),
    );
  }
}
