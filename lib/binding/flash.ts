/**
 * The flash part of the seam: the cxlflash ioctls at system-call height.
 *
 * A call answers `-errno`, or the fields that the kernel wrote. Every call runs on another thread,
 * because attach, resize, verify and recovery can wait for the adapter. The descriptor that ATTACH and RECOVER_AFU answer is
 * taken over with Binding.adoptAfu().
 */
import type { NegativeErrno } from './errno';
import type { DeviceFile } from './files';

/** Fields of the header every ioctl carries. All zero unless given. */
export interface CallHeader {
  readonly version?: number | undefined;
  /** First reserved halfword; the driver refuses anything but 0. */
  readonly reserved?: number | undefined;
  readonly flags?: bigint | undefined;
  /** Must be 0 on entry, else EINVAL. */
  readonly returnFlags?: bigint | undefined;
}

export interface CallAnswer {
  readonly returnFlags: bigint;
}

export interface AttachInput extends CallHeader {
  readonly numInterrupts: bigint;
  /** Only with REUSE_CONTEXT. */
  readonly contextId?: bigint | undefined;
}

export interface AttachAnswer extends CallAnswer {
  readonly contextId: bigint;
  /** Bytes to map. */
  readonly mmioSize: bigint;
  /** Bytes a block. */
  readonly blockSize: bigint;
  /** Descriptor of the context; -1 (all ones) when a context was reused. */
  readonly adapFd: bigint;
  readonly lastLba: bigint;
  /** Blocks a command can move. */
  readonly maxXfer: bigint;
}

export interface ContextInput extends CallHeader {
  readonly contextId: bigint;
}

export interface HandleInput extends ContextInput {
  readonly rsrcHandle: bigint;
}

export interface OpenAnswer extends CallAnswer {
  readonly rsrcHandle: bigint;
  readonly lastLba: bigint;
}

export interface VirtualInput extends ContextInput {
  /** 4 KiB blocks. */
  readonly lunSize: bigint;
}

export interface ResizeInput extends HandleInput {
  /** 4 KiB blocks. */
  readonly reqSize: bigint;
}

export interface SizeAnswer extends CallAnswer {
  readonly lastLba: bigint;
}

export interface CloneInput extends CallHeader {
  readonly contextIdSrc: bigint;
  readonly contextIdDst: bigint;
  /** Ignored by Linux 6.1. */
  readonly adapFdSrc?: bigint | undefined;
}

export interface VerifyInput extends HandleInput {
  readonly hint?: bigint | undefined;
  /** 18 bytes. */
  readonly senseData?: Uint8Array | undefined;
}

export interface RecoverInput extends ContextInput {
  readonly reason?: bigint | undefined;
}

export interface RecoverAnswer extends CallAnswer {
  readonly contextId: bigint;
  readonly mmioSize: bigint;
  readonly adapFd: bigint;
}

export interface ManageInput extends CallHeader {
  /** 16 bytes. */
  readonly wwid: Uint8Array;
}

export interface ProvisionInput extends CallHeader {
  readonly subcmd: number;
  readonly port: number;
  /** 4 KiB blocks. */
  readonly size?: bigint | undefined;
  readonly lunId?: bigint | undefined;
}

export interface ProvisionAnswer extends CallAnswer {
  readonly lunId: bigint;
  readonly wwid: Uint8Array;
  readonly maxNumLuns: bigint;
  readonly curNumLuns: bigint;
  readonly maxCapPort: bigint;
  readonly curCapPort: bigint;
}

export interface DebugInput extends CallHeader {
  /** 12 bytes. */
  readonly afuSubcmd: Uint8Array;
  /** Where data comes from or goes to; must not change until the call settles. */
  readonly data?: Uint8Array | undefined;
}

/** The superpipe ioctls, by their names in the driver's header without DK_CXLFLASH_. */
export interface LunCalls {
  ATTACH: { input: AttachInput; answer: AttachAnswer };
  USER_DIRECT: { input: ContextInput; answer: OpenAnswer };
  RELEASE: { input: HandleInput; answer: CallAnswer };
  DETACH: { input: ContextInput; answer: CallAnswer };
  VERIFY: { input: VerifyInput; answer: SizeAnswer };
  RECOVER_AFU: { input: RecoverInput; answer: RecoverAnswer };
  MANAGE_LUN: { input: ManageInput; answer: CallAnswer };
  USER_VIRTUAL: { input: VirtualInput; answer: OpenAnswer };
  VLUN_RESIZE: { input: ResizeInput; answer: SizeAnswer };
  VLUN_CLONE: { input: CloneInput; answer: CallAnswer };
}

/** The host ioctls, by their names in the driver's header without HT_CXLFLASH_. */
export interface HostCalls {
  LUN_PROVISION: { input: ProvisionInput; answer: ProvisionAnswer };
  AFU_DEBUG: { input: DebugInput; answer: CallAnswer };
}

/** The node of a LUN. Its ioctls run several at a time: one that recovers need not wait behind one
 * that waits for the recovery. */
export type LunFile = DeviceFile<LunCalls>;
/** The node of a flash adapter. */
export type HostFile = DeviceFile<HostCalls>;

/** What a backend that knows cxlflash adds to its Binding. */
export interface FlashBinding {
  /** Opens /dev/sdX or /dev/sgX, O_RDWR|O_CLOEXEC|O_NONBLOCK. */
  openLun(path: string): Promise<LunFile | NegativeErrno>;
  /** Opens /dev/cxlflash/cxlflashN. */
  openHost(path: string): Promise<HostFile | NegativeErrno>;
  /**
   * The descriptor that an ATTACH or RECOVER_AFU answered is the caller's to close from now on. Before
   * that, and before adoptAfu() with `owned`, it is closed when the worker that asked for it ends.
   */
  takeDescriptor(fd: number): void;
  /** Closes such a descriptor that nobody has taken, on another thread. 0 or -errno. */
  closeDescriptor(fd: number): Promise<number>;
  /** Id of the process that calls: tokens belong to one. */
  readonly processId: number;
  /** Id of the process that started it. */
  readonly parentProcessId: number;
}

/** DK_CXLFLASH_* flag bits. */
export const flashFlags = {
  reuseContext: 1n << 63n,
  needWriteSame: 1n << 63n,
  hintSense: 1n << 63n,
  contextReset: 1n << 63n,
  enableSuperpipe: 1n << 63n,
  disableSuperpipe: 1n << 62n,
  allPortsAccessible: 1n << 61n,
  /** Returned. */
  allPortsActive: 1n,
  appCloseAdapFd: 2n,
  contextSqCmdMode: 4n,
  /** AFU_DEBUG: data goes to the AFU. */
  hostWrite: 1n,
} as const;

/** LUN_PROVISION's sub-commands. */
export const provisionSubcommands = { create: 1, delete: 2, queryPort: 3 } as const;
