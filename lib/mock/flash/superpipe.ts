/**
 * The superpipe ioctls (superpipe.c, lunmgt.c): LUN modes, contexts, handles, recovery. One
 * instance an adapter. Virtual LUNs are in virtual-luns.ts.
 */

import type {
  AttachAnswer,
  AttachInput,
  CallAnswer,
  CallHeader,
  ContextInput,
  HandleInput,
  LunCalls,
  ManageInput,
  OpenAnswer,
  RecoverAnswer,
  RecoverInput,
  SizeAnswer,
  VerifyInput,
} from '../../binding/flash';
import { flashFlags } from '../../binding/flash';
import { chunkBlocks } from '../../flash/sislite';
import { errnos } from '../../shared/errno';
import type { FlashAdapterState } from './adapter-state';
import type { LocalLun, LunPath } from './lun';
import type { Caller, ContextDevice, FlashPlatform } from './platform';
import { FlashContextRecord, type KernelContext } from './resources';
import { parseSense } from './sense';
import { type ContextPort, SisliteAfu } from './sislite-afu';
import { lastLbaOf, VirtualLuns } from './virtual-luns';

const allOnes = (1n << 64n) - 1n;
const mostInterrupts = 4n;
/** Bytes a command can move: the host's max_sectors. */
const mostTransfer = 16777216n;
const hostPageBytes = 65536n;

type Answer<Name extends keyof LunCalls> = LunCalls[Name]['answer'] | number;

export class Superpipe {
  readonly state: FlashAdapterState;
  readonly contexts: FlashContextRecord[] = [];
  private readonly platform: FlashPlatform;
  private readonly virtual: VirtualLuns;
  private readonly devices = new Map<FlashContextRecord, SisliteAfu>();

  constructor(state: FlashAdapterState, platform: FlashPlatform) {
    this.state = state;
    this.platform = platform;
    this.virtual = new VirtualLuns(this);
  }

  /** One ioctl on a LUN's node. */
  async call<Name extends keyof LunCalls>(
    path: LunPath,
    caller: Caller,
    name: Name,
    input: LunCalls[Name]['input'],
  ): Promise<Answer<Name>> {
    if (name !== 'MANAGE_LUN') {
      // Order as in the driver: the LUN, then the adapter's state, then the header.
      if (path.local === undefined) return -errnos.EINVAL;
      const refused = await this.state.settled();
      const cleansUp = name === 'VLUN_RESIZE' || name === 'RELEASE' || name === 'DETACH';
      if (refused < 0 && !cleansUp) return refused;
    }
    if (badHeader(input)) return -errnos.EINVAL;
    switch (name) {
      case 'MANAGE_LUN':
        return this.manage(path, input as ManageInput);
      case 'ATTACH':
        return this.attach(path, caller, input as AttachInput);
      case 'USER_DIRECT':
        return this.openDirect(path, caller, input as ContextInput);
      case 'USER_VIRTUAL':
        return this.virtual.open(path, caller, input as LunCalls['USER_VIRTUAL']['input']);
      case 'VLUN_RESIZE':
        return this.virtual.resizeCall(path, caller, input as LunCalls['VLUN_RESIZE']['input']);
      case 'VLUN_CLONE':
        return this.virtual.clone(path, caller, input as LunCalls['VLUN_CLONE']['input']);
      case 'RELEASE':
        return this.release(path, caller, input as HandleInput);
      case 'DETACH':
        return this.detach(path, caller, input as ContextInput);
      case 'VERIFY':
        return this.verify(path, caller, input as VerifyInput);
      case 'RECOVER_AFU':
        return this.recover(path, caller, input as RecoverInput);
      default:
        return -errnos.EINVAL;
    }
  }

  private manage(path: LunPath, input: ManageInput): CallAnswer | number {
    const flags = input.flags ?? 0n;
    const lun = this.state.localLun(Buffer.from(input.wwid).toString('hex'), path.medium);
    const port = 1 << path.port;
    if ((flags & flashFlags.enableSuperpipe) !== 0n) {
      lun.ports |= port;
      path.local = lun;
    } else if ((flags & flashFlags.disableSuperpipe) !== 0n) {
      if (lun.global.mode !== 'none') return -errnos.EBUSY;
      path.local = undefined;
      lun.ports &= ~port;
    }
    return { returnFlags: 0n };
  }

  private attach(path: LunPath, caller: Caller, input: AttachInput): AttachAnswer | number {
    const lun = path.local as LocalLun;
    if (input.numInterrupts > mostInterrupts) return -errnos.EINVAL;
    if (lun.global.lastLba === 0n && !this.readCapacity(lun)) return -errnos.ENODEV;
    const flags = input.flags ?? 0n;
    if ((flags & flashFlags.reuseContext) !== 0n) {
      const record = this.find(input.contextId ?? 0n, caller);
      if (record === undefined || record.luns.some((access) => access.lun === lun)) {
        return -errnos.EINVAL;
      }
      record.references += 1;
      record.luns.push({ lun, path });
      return this.attached(record, lun, allOnes, 0n);
    }
    const permissions = (Number(flags & 3n) + 1) & 3;
    const interrupts = Number(input.numInterrupts);
    const started = this.start(caller, permissions, interrupts);
    if (typeof started === 'number') return started;
    started.luns.push({ lun, path });
    this.contexts.push(started);
    return this.attached(started, lun, BigInt(started.kernel.fd), flashFlags.appCloseAdapFd);
  }

  private attached(
    record: FlashContextRecord,
    lun: LocalLun,
    adapFd: bigint,
    flags: bigint,
  ): AttachAnswer {
    return {
      returnFlags: flags | this.commandMode(),
      contextId: record.id,
      mmioSize: hostPageBytes,
      blockSize: BigInt(lun.global.blockSize),
      adapFd,
      lastLba: lun.global.lastLba,
      maxXfer: mostTransfer / BigInt(lun.global.blockSize),
    };
  }

  private commandMode(): bigint {
    return this.state.squeue ? flashFlags.contextSqCmdMode : 0n;
  }

  private start(
    caller: Caller,
    permissions: number,
    interrupts: number,
  ): FlashContextRecord | number {
    const device = this.startDevice(interrupts);
    if (typeof device === 'number') return device;
    const record = new FlashContextRecord(
      device.kernel,
      caller.processId,
      permissions,
      interrupts,
      this.state.tableSize,
    );
    device.afu.record = record;
    this.devices.set(record, device.afu);
    return record;
  }

  private startDevice(interrupts: number) {
    let afu: SisliteAfu | undefined;
    const kernel = this.platform.start(interrupts, (port: ContextPort): ContextDevice => {
      const unit = new SisliteAfu(this.state.card, port);
      afu = unit;
      return {
        read64: (offset) => this.state.provoke.read64(offset) ?? unit.read64(offset),
        write64: (offset, value) => {
          if (!this.state.provoke.write64(offset, value)) unit.write64(offset, value);
        },
        step: () => unit.step(this.state.commandsAStep),
        get busy() {
          return unit.busy && !unit.dead;
        },
      };
    });
    if (typeof kernel === 'number') return kernel;
    return { kernel, afu: afu as unknown as SisliteAfu };
  }

  /** Closing a context's descriptor is a detach of every LUN. An old one, recovered, is nobody's. */
  descriptorClosed(fd: number): void {
    const record = this.contexts.find((one) => one.kernel.fd === fd);
    if (record === undefined) return;
    for (const access of [...record.luns]) this.detachLun(record, access.lun);
    this.forget(record);
  }

  private openDirect(path: LunPath, caller: Caller, input: ContextInput): OpenAnswer | number {
    const lun = path.local as LocalLun;
    if (!lun.global.attach('physical')) return -errnos.EINVAL;
    const record = this.find(input.contextId, caller, lun);
    const handle = record?.checkOut(lun, 'physical');
    if (record === undefined || handle === undefined) {
      lun.global.detach();
      return record === undefined ? -errnos.EINVAL : -errnos.EMFILE;
    }
    record.place(handle).ports = 1 << path.port;
    if (!this.state.sync()) {
      this.releaseHandle(record, lun, BigInt(handle));
      return -errnos.EAGAIN;
    }
    return { returnFlags: 0n, rsrcHandle: BigInt(handle), lastLba: lun.global.lastLba };
  }

  private release(path: LunPath, caller: Caller, input: HandleInput): CallAnswer | number {
    const lun = path.local as LocalLun;
    const record = this.find(input.contextId, caller, lun, true);
    if (record === undefined) return -errnos.EINVAL;
    const errno = this.releaseHandle(record, lun, input.rsrcHandle);
    return errno < 0 ? errno : { returnFlags: 0n };
  }

  /** 0 or -errno. */
  releaseHandle(record: FlashContextRecord, lun: LocalLun, handle: bigint): number {
    const entry = record.entry(handle, lun);
    if (entry === undefined) return -errnos.EINVAL;
    if (lun.global.mode === 'virtual') {
      const resized = this.virtual.resize(record, lun, handle, 0n);
      if (typeof resized === 'number') return resized;
    } else if (!record.inError) {
      this.state.sync();
    }
    record.checkIn(Number(BigInt.asUintN(32, handle)));
    lun.global.detach();
    return 0;
  }

  private detach(path: LunPath, caller: Caller, input: ContextInput): CallAnswer | number {
    const lun = path.local as LocalLun;
    const record = this.find(input.contextId, caller, lun, true);
    if (record === undefined) return -errnos.EINVAL;
    this.detachLun(record, lun);
    return { returnFlags: 0n };
  }

  private detachLun(record: FlashContextRecord, lun: LocalLun): void {
    for (let handle = 0; handle < record.table.length; handle += 1) {
      if (record.table[handle]?.lun === lun) this.releaseHandle(record, lun, BigInt(handle));
    }
    const at = record.luns.findIndex((access) => access.lun === lun);
    if (at >= 0) record.luns.splice(at, 1);
    record.references -= 1;
    if (record.references === 0) this.forget(record);
  }

  private forget(record: FlashContextRecord): void {
    const at = this.contexts.indexOf(record);
    if (at >= 0) this.contexts.splice(at, 1);
    const afu = this.devices.get(record);
    if (afu !== undefined) afu.record = undefined;
    this.devices.delete(record);
  }

  private verify(path: LunPath, caller: Caller, input: VerifyInput): SizeAnswer | number {
    const lun = path.local as LocalLun;
    const record = this.find(input.contextId, caller, lun);
    const entry = record?.entry(input.rsrcHandle, lun);
    if (entry === undefined) return -errnos.EINVAL;
    if (((input.hint ?? 0n) & flashFlags.hintSense) !== 0n) {
      const errno = this.judgeSense(lun, input.senseData ?? new Uint8Array(18));
      if (errno < 0) return errno;
    }
    const lastLba =
      lun.global.mode === 'virtual'
        ? lastLbaOf(BigInt(entry.chunks.length), lun.global.blockSize)
        : lun.global.lastLba;
    return { returnFlags: 0n, lastLba };
  }

  private judgeSense(lun: LocalLun, bytes: Uint8Array): number {
    const sense = parseSense(bytes);
    if (sense === undefined) return -errnos.EINVAL;
    // No sense, recovered error, not ready.
    if (sense.key <= 2) return 0;
    if (sense.key !== 6) return -errnos.EIO;
    if (sense.code === 0x29 || sense.code === 0x2a) {
      return this.readCapacity(lun) ? 0 : -errnos.ENODEV;
    }
    return sense.code === 0x3f ? 0 : -errnos.EIO;
  }

  private readCapacity(lun: LocalLun): boolean {
    if (!lun.medium.readable) return false;
    lun.global.lastLba = lun.medium.blocks - 1n;
    lun.global.blockSize = lun.medium.blockSize;
    return true;
  }

  private recover(path: LunPath, caller: Caller, input: RecoverInput): RecoverAnswer | number {
    const record = this.find(input.contextId, caller, path.local, true);
    if (record === undefined) return -errnos.EINVAL;
    if (!record.inError) {
      return { returnFlags: 0n, contextId: input.contextId, mmioSize: 0n, adapFd: 0n };
    }
    const device = this.startDevice(record.interrupts);
    if (typeof device === 'number') return device;
    record.rebind(device.kernel);
    device.afu.record = record;
    this.devices.set(record, device.afu);
    return {
      returnFlags: flashFlags.appCloseAdapFd | flashFlags.contextReset | this.commandMode(),
      contextId: record.id,
      mmioSize: hostPageBytes,
      adapFd: BigInt(device.kernel.fd),
    };
  }

  /**
   * The context of that cookie, if it is this process's (the parent's, for a clone), not in
   * error unless `orInError`, and attached to `lun` where one is given.
   */
  find(
    id: bigint,
    caller: Caller,
    lun?: LocalLun,
    orInError = false,
    ofParent = false,
  ): FlashContextRecord | undefined {
    const record = this.contexts.find((one) => one.id === id && (orInError || !one.inError));
    if (record === undefined || record.unavailable) return undefined;
    if (record.processId !== (ofParent ? caller.parentId : caller.processId)) return undefined;
    if (lun !== undefined && !record.luns.some((access) => access.lun === lun)) return undefined;
    return record;
  }

  /** The reset takes every context from the AFU; its record waits for recovery. */
  markAllInError(): void {
    for (const record of this.contexts) {
      record.inError = true;
      const afu = this.devices.get(record);
      if (afu !== undefined) {
        afu.dead = true;
        afu.record = undefined;
      }
    }
  }
}

function badHeader(header: CallHeader): boolean {
  return (
    (header.version ?? 0) !== 0 || (header.reserved ?? 0) !== 0 || (header.returnFlags ?? 0n) !== 0n
  );
}

/** Chunks that `size` 4 KiB blocks need on a LUN of that block size. */
export function chunksFor(size: bigint, blockSize: number): bigint {
  const blocks = BigInt.asUintN(64, size * 4096n) / BigInt(blockSize);
  return (blocks + chunkBlocks - 1n) / chunkBlocks;
}

export type { KernelContext };
