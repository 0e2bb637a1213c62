/**
 * The superpipe ioctls of one adapter: LUN modes, contexts, resource handles and recovery. The
 * model of superpipe.c and lunmgt.c in drivers/scsi/cxlflash. Virtual LUNs are in virtual-luns.ts.
 */
import type {
  AttachAnswer,
  AttachInput,
  CallAnswer,
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
import { ALL_ONES_64 } from '../../shared/all-ones';
import { ERRNOS } from '../../shared/errno';
import type { FlashAdapterState } from './adapter-state';
import { headerIsValid } from './call-header';
import { lastLbaOf } from './chunks';
import { FlashContextRecord } from './context-record';
import { FlashContexts } from './contexts';
import { InjectionRegisters } from './injection';
import type { LocalLun, LunPath } from './lun';
import type { Caller, ContextDevice, FlashPlatform, StartedContext } from './platform';
import { parseSense, SENSE_CODES, SENSE_KEYS } from './sense';
import { SisliteAfu } from './sislite-afu';
import { VirtualLuns } from './virtual-luns';

const MAX_INTERRUPTS = 4n;
/** Bytes a command can transfer: the SCSI host's max_sectors. */
const MAX_TRANSFER = 16777216n;
const HOST_PAGE_SIZE = 65536n;
/** How long RECOVER_AFU waits, in milliseconds, after it has read all ones (cxlflash_afu_recover()). */
const NOTICE_TIME = 1000;

type Answer<Name extends keyof LunCalls> = LunCalls[Name]['answer'] | number;

export class Superpipe {
  readonly contexts = new FlashContexts();
  readonly #state: FlashAdapterState;
  readonly #platform: FlashPlatform;
  readonly #virtual: VirtualLuns;
  readonly #injection: InjectionRegisters;

  constructor(state: FlashAdapterState, platform: FlashPlatform) {
    this.#state = state;
    this.#platform = platform;
    this.#virtual = new VirtualLuns(state, this.contexts);
    this.#injection = new InjectionRegisters(state);
  }

  /** One ioctl on the node of a path to a LUN. */
  async call<Name extends keyof LunCalls>(
    path: LunPath,
    caller: Caller,
    name: Name,
    input: LunCalls[Name]['input'],
  ): Promise<Answer<Name>> {
    if (this.#state.removed) return -ERRNOS.ENODEV;
    if (name !== 'MANAGE_LUN') {
      // The driver checks in this order: the LUN, the adapter's state, the header.
      if (path.local === undefined) return -ERRNOS.EINVAL;
      const refused = await this.#state.resetDone();
      // What a program calls to clean up is carried out on a failed adapter too.
      const cleansUp = name === 'VLUN_RESIZE' || name === 'RELEASE' || name === 'DETACH';
      if (refused < 0 && !cleansUp) return refused;
    }
    const answer = headerIsValid(input)
      ? await this.#perform(path, caller, name, input)
      : -ERRNOS.EINVAL;
    if (typeof answer === 'number' && answer < 0) this.#state.log.ioctlFailed(name, path, answer);
    return answer;
  }

  async #perform<Name extends keyof LunCalls>(
    path: LunPath,
    caller: Caller,
    name: Name,
    input: LunCalls[Name]['input'],
  ): Promise<Answer<Name>> {
    switch (name) {
      case 'MANAGE_LUN':
        return this.#manage(path, input as ManageInput);
      case 'ATTACH':
        return this.#attach(path, caller, input as AttachInput);
      case 'USER_DIRECT':
        return this.#openDirect(path, caller, input as ContextInput);
      case 'USER_VIRTUAL':
        return this.#virtual.open(path, caller, input as LunCalls['USER_VIRTUAL']['input']);
      case 'VLUN_RESIZE':
        return this.#virtual.resize(path, caller, input as LunCalls['VLUN_RESIZE']['input']);
      case 'VLUN_CLONE':
        return this.#virtual.clone(path, caller, input as LunCalls['VLUN_CLONE']['input']);
      case 'RELEASE':
        return this.#release(path, caller, input as HandleInput);
      case 'DETACH':
        return this.#detach(path, caller, input as ContextInput);
      case 'VERIFY':
        return this.#verify(path, caller, input as VerifyInput);
      case 'RECOVER_AFU':
        return this.#recover(path, caller, input as RecoverInput);
      default:
        return -ERRNOS.EINVAL;
    }
  }

  #manage(path: LunPath, input: ManageInput): CallAnswer | number {
    const flags = input.flags ?? 0n;
    const lun = this.#state.localLun(Buffer.from(input.wwid).toString('hex'), path.medium);
    const port = 1 << path.port;
    if ((flags & flashFlags.enableSuperpipe) !== 0n) {
      lun.ports |= port;
      path.local = lun;
    } else if ((flags & flashFlags.disableSuperpipe) !== 0n) {
      if (lun.global.mode !== 'none') return -ERRNOS.EBUSY;
      path.local = undefined;
      lun.ports &= ~port;
      if (lun.ports === 0) lun.inTable = false;
    }
    return { returnFlags: 0n };
  }

  #attach(path: LunPath, caller: Caller, input: AttachInput): AttachAnswer | number {
    const lun = path.local as LocalLun;
    if (input.numInterrupts > MAX_INTERRUPTS) return -ERRNOS.EINVAL;
    if (lun.global.lastLba === 0n && !readCapacity(lun)) {
      this.#state.log.error('cxlflash_disk_attach', `Invalid device rc=${-ERRNOS.EIO}`);
      return -ERRNOS.ENODEV;
    }
    const flags = input.flags ?? 0n;
    if ((flags & flashFlags.reuseContext) !== 0n) {
      const record = this.contexts.find(input.contextId ?? 0n, caller);
      if (record === undefined || record.reaches(lun)) return -ERRNOS.EINVAL;
      record.references += 1;
      record.luns.push({ lun, path });
      // The program has the descriptor already: -1.
      return this.#attachAnswer(record, lun, ALL_ONES_64, 0n);
    }
    const interrupts = Number(input.numInterrupts);
    const context = this.#startContext(interrupts);
    if (typeof context === 'number') return context;
    // O_RDONLY, O_WRONLY and O_RDWR (0, 1, 2) as a mask of read (1) and write (2).
    const permissions = (Number(flags & 3n) + 1) & 3;
    const record = new FlashContextRecord(
      context.started,
      caller.processId,
      permissions,
      interrupts,
      this.#state.tableSize,
    );
    this.contexts.bind(record, context.afu);
    record.luns.push({ lun, path });
    const fd = BigInt(record.started.fd);
    return this.#attachAnswer(record, lun, fd, flashFlags.appCloseAdapFd);
  }

  #attachAnswer(
    record: FlashContextRecord,
    lun: LocalLun,
    adapFd: bigint,
    flags: bigint,
  ): AttachAnswer {
    return {
      returnFlags: flags | this.#commandMode(),
      contextId: record.id,
      mmioSize: HOST_PAGE_SIZE,
      blockSize: BigInt(lun.global.blockSize),
      adapFd,
      lastLba: lun.global.lastLba,
      maxXfer: MAX_TRANSFER / BigInt(lun.global.blockSize),
    };
  }

  #commandMode(): bigint {
    return this.#state.squeue ? flashFlags.contextSqCmdMode : 0n;
  }

  #startContext(interrupts: number): { started: StartedContext; afu: SisliteAfu } | number {
    let made: SisliteAfu | undefined;
    const started = this.#platform.start(interrupts, (port) => {
      made = new SisliteAfu(this.#state, port);
      return this.#device(made);
    });
    return typeof started === 'number' ? started : { started, afu: made! };
  }

  /** The AFU of a context with the injection registers in its register page. */
  #device(afu: SisliteAfu): ContextDevice {
    const injection = this.#injection;
    return {
      read64: (offset) => injection.read64(offset) ?? afu.read64(offset),
      write64: (offset, value) => {
        if (!injection.write64(offset, value)) afu.write64(offset, value);
      },
      step: () => afu.step(),
      get busy() {
        return afu.busy;
      },
    };
  }

  /**
   * The close of a context's descriptor detaches all its LUNs. Recovery gives the context another
   * descriptor; closing the one before has no effect.
   */
  descriptorClosed(fd: number): void {
    const record = this.contexts.withDescriptor(fd);
    if (record === undefined) return;
    for (const access of [...record.luns]) this.#detachLun(record, access.lun);
    this.contexts.remove(record);
  }

  #openDirect(path: LunPath, caller: Caller, input: ContextInput): OpenAnswer | number {
    const lun = path.local as LocalLun;
    if (!lun.global.attach('physical')) return -ERRNOS.EINVAL;
    const record = this.contexts.find(input.contextId, caller, { lun });
    const handle = record?.checkOut(lun, 'physical');
    if (record === undefined || handle === undefined) {
      lun.global.detach();
      return record === undefined ? -ERRNOS.EINVAL : -ERRNOS.EMFILE;
    }
    record.place(handle).ports = 1 << path.port;
    if (!this.#state.sync()) {
      this.#releaseHandle(record, lun, BigInt(handle));
      return -ERRNOS.EAGAIN;
    }
    return { returnFlags: 0n, rsrcHandle: BigInt(handle), lastLba: lun.global.lastLba };
  }

  #release(path: LunPath, caller: Caller, input: HandleInput): CallAnswer | number {
    const lun = path.local as LocalLun;
    const record = this.contexts.find(input.contextId, caller, { lun, inError: true });
    if (record === undefined) return -ERRNOS.EINVAL;
    const errno = this.#releaseHandle(record, lun, input.rsrcHandle);
    return errno < 0 ? errno : { returnFlags: 0n };
  }

  #releaseHandle(record: FlashContextRecord, lun: LocalLun, handle: bigint): number {
    if (lun.global.mode === 'virtual') return this.#virtual.release(record, lun, handle);
    if (record.entry(handle, lun) === undefined) return -ERRNOS.EINVAL;
    if (!record.inError) this.#state.sync();
    record.checkIn(Number(BigInt.asUintN(32, handle)));
    lun.global.detach();
    return 0;
  }

  #detach(path: LunPath, caller: Caller, input: ContextInput): CallAnswer | number {
    const lun = path.local as LocalLun;
    const record = this.contexts.find(input.contextId, caller, { lun, inError: true });
    if (record === undefined) return -ERRNOS.EINVAL;
    this.#detachLun(record, lun);
    return { returnFlags: 0n };
  }

  #detachLun(record: FlashContextRecord, lun: LocalLun): void {
    for (let handle = 0; handle < record.table.length; handle += 1) {
      if (record.table[handle]?.lun === lun) this.#releaseHandle(record, lun, BigInt(handle));
    }
    const at = record.luns.findIndex((access) => access.lun === lun);
    if (at >= 0) record.luns.splice(at, 1);
    record.references -= 1;
    if (record.references === 0) this.contexts.remove(record);
  }

  #verify(path: LunPath, caller: Caller, input: VerifyInput): SizeAnswer | number {
    const lun = path.local as LocalLun;
    const record = this.contexts.find(input.contextId, caller, { lun });
    const entry = record?.entry(input.rsrcHandle, lun);
    if (entry === undefined) return -ERRNOS.EINVAL;
    if (((input.hint ?? 0n) & flashFlags.hintSense) !== 0n) {
      const errno = judgeSense(lun, input.senseData ?? new Uint8Array(18));
      if (errno < 0) {
        const message = `Failed to validate sense data (${errno})`;
        this.#state.log.error('cxlflash_disk_verify', message);
        return errno;
      }
    }
    const lastLba =
      lun.global.mode === 'virtual'
        ? lastLbaOf(BigInt(entry.chunks.length), lun.global.blockSize)
        : lun.global.lastLba;
    return { returnFlags: 0n, lastLba };
  }

  async #recover(
    path: LunPath,
    caller: Caller,
    input: RecoverInput,
  ): Promise<RecoverAnswer | number> {
    let record: FlashContextRecord | undefined;
    for (;;) {
      const { local: lun } = path;
      record = this.contexts.find(input.contextId, caller, { lun, inError: true });
      if (record === undefined) return -ERRNOS.EINVAL;
      if (record.inError) break;
      if (!this.#state.readsAllOnes) {
        return { returnFlags: 0n, contextId: input.contextId, mmioSize: 0n, adapFd: 0n };
      }
      // An error that nobody has noticed: the driver gives its handler a second to begin the reset.
      await new Promise((resolve) => setTimeout(resolve, NOTICE_TIME));
      const refused = await this.#state.resetDone();
      if (refused < 0) return refused;
    }
    const context = this.#startContext(record.interrupts);
    if (typeof context === 'number') {
      const element = input.contextId & 0xffff_ffffn;
      const message = `Recovery failed ctxid=${element} rc=${context}`;
      this.#state.log.error('cxlflash_afu_recover', message);
      return context;
    }
    record.rebind(context.started);
    this.contexts.bind(record, context.afu);
    return {
      returnFlags: flashFlags.appCloseAdapFd | flashFlags.contextReset | this.#commandMode(),
      contextId: record.id,
      mmioSize: HOST_PAGE_SIZE,
      adapFd: BigInt(record.started.fd),
    };
  }
}

/** False when the LUN does not answer. */
function readCapacity(lun: LocalLun): boolean {
  if (!lun.medium.readable) return false;
  lun.global.lastLba = lun.medium.blocks - 1n;
  lun.global.blockSize = lun.medium.blockSize;
  return true;
}

/** What VERIFY makes of sense data: 0, or why the LUN cannot be used (process_sense()). */
function judgeSense(lun: LocalLun, bytes: Uint8Array): number {
  const sense = parseSense(bytes);
  if (sense === undefined) return -ERRNOS.EINVAL;
  switch (sense.key) {
    case SENSE_KEYS.noSense:
    case SENSE_KEYS.recoveredError:
    case SENSE_KEYS.notReady:
      return 0;
    case SENSE_KEYS.unitAttention:
      break;
    default:
      return -ERRNOS.EIO;
  }
  switch (sense.code) {
    case SENSE_CODES.powerOnOrReset:
    case SENSE_CODES.parametersChanged:
      return readCapacity(lun) ? 0 : -ERRNOS.ENODEV;
    case SENSE_CODES.targetConditionsChanged:
      return 0;
    default:
      return -ERRNOS.EIO;
  }
}
