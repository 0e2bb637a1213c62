/** The flash part of the seam over the modeled adapters. */
import type { DeviceFile, IoctlMap } from '../../binding/files';
import type { FlashBinding, HostCalls, LunCalls } from '../../binding/flash';
import { type Perform, QueuedDeviceFile } from '../../emulation/device-file';
import { later } from '../../emulation/later';
import { originOf } from '../../emulation/origin';
import { ERRNOS } from '../../shared/errno';
import type { Kernel } from '../kernel/kernel';
import type { FlashAdapter } from './adapter';
import type { Caller } from './platform';

/** Descriptors start above those of the modeled cxl driver. */
const FIRST_FD = 1 << 20;

/** The flash adapters as a process sees them. `adapters` may grow. */
export function flashBinding(
  kernel: Kernel,
  caller: Caller,
  adapters: readonly FlashAdapter[],
): FlashBinding {
  return {
    // A mock belongs to one thread: nothing of it outlives the thread.
    takeDescriptor: () => undefined,
    async closeDescriptor(fd) {
      await later();
      return kernel.closeFd(fd);
    },
    processId: caller.processId,
    parentProcessId: caller.parentId,
    async openLun(node) {
      await later();
      for (const adapter of adapters) {
        const path = adapter.luns.find(node);
        if (path === undefined) continue;
        return openFile<LunCalls>(kernel, node, (name, input) =>
          adapter.superpipe.call(path, caller, name, input),
        );
      }
      return -ERRNOS.ENOENT;
    },
    async openHost(node) {
      await later();
      const index = /^\/dev\/cxlflash\/cxlflash(\d+)$/.exec(node)?.[1];
      const adapter = index === undefined ? undefined : adapters[Number(index)];
      if (adapter === undefined) return -ERRNOS.ENOENT;
      return openFile<HostCalls>(kernel, node, (name, input) =>
        adapter.hostCalls.call(name, input),
      );
    },
  };
}

let nextFd = FIRST_FD;

/** An open node. Its close has no effect on the adapter. */
function openFile<Calls extends IoctlMap<Calls>>(
  kernel: Kernel,
  node: string,
  perform: Perform<Calls>,
): DeviceFile<Calls> {
  const fd = nextFd;
  nextFd += 1;
  const opened = { what: `an open node: ${node}`, origin: originOf(openFile) };
  kernel.openNodes.add(opened);
  return new QueuedDeviceFile<Calls>(fd, perform, 'concurrent', () => {
    kernel.openNodes.delete(opened);
    return 0;
  });
}
