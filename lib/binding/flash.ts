/**
 * The flash part of the seam: the cxlflash ioctls at system-call height.
 *
 * A call answers `-errno`, or the fields that the kernel wrote. Every call runs on another thread,
 * because attach, resize, verify and recovery can wait for the adapter. The descriptor that ATTACH and RECOVER_AFU answer is
 * taken over with Binding.adoptAfu().
 */
import type { NegativeErrno } from './errno';
import type { DeviceFile } from './files';

/**
 * Fields of the header that every ioctl has (struct dk_cxlflash_hdr and ht_cxlflash_hdr). All zero
 * unless given. These types have the names of the fields of scsi/cxlflash_ioctl.h, in camel case.
 */
export interface CallHeader {
  /** Version of the structure. The driver takes 0 alone: EINVAL. */
  readonly version?: number | undefined;
  /** First reserved halfword; the driver refuses anything but 0. */
  readonly reserved?: number | undefined;
  /** Bits of flashFlags; of ATTACH also O_RDONLY, O_WRONLY or O_RDWR: what commands may do. */
  readonly flags?: bigint | undefined;
  /** Must be 0 on entry, else EINVAL. */
  readonly returnFlags?: bigint | undefined;
}

/** What every ioctl answers. */
export interface CallAnswer {
  /** Bits of flashFlags that say "returned". */
  readonly returnFlags: bigint;
}

/** What goes into ATTACH (struct dk_cxlflash_attach). */
export interface AttachInput extends CallHeader {
  /** AFU interrupts, at least the AFU's irqs_min and at most 4. */
  readonly numInterrupts: bigint;
  /** Only with REUSE_CONTEXT. */
  readonly contextId?: bigint | undefined;
}

/** What ATTACH answers. */
export interface AttachAnswer extends CallAnswer {
  /** Id of the context: 64 opaque bits, of which the AFU knows the lower 32. */
  readonly contextId: bigint;
  /** Bytes to map. */
  readonly mmioSize: bigint;
  /** Bytes a block. */
  readonly blockSize: bigint;
  /** Descriptor of the context; -1 (all ones) when a context was reused. */
  readonly adapFd: bigint;
  /** Number of the LUN's last block, in blocks of `blockSize`. */
  readonly lastLba: bigint;
  /** Blocks a command can move. */
  readonly maxXfer: bigint;
}

/** What goes into an ioctl about a context. */
export interface ContextInput extends CallHeader {
  /** As ATTACH or RECOVER_AFU answered it. */
  readonly contextId: bigint;
}

/** What goes into an ioctl about a resource handle. */
export interface HandleInput extends ContextInput {
  /** As USER_DIRECT or USER_VIRTUAL answered it. */
  readonly rsrcHandle: bigint;
}

/** What USER_DIRECT and USER_VIRTUAL answer (struct dk_cxlflash_udirect and dk_cxlflash_uvirtual). */
export interface OpenAnswer extends CallAnswer {
  /** Resource handle: an index in the context's table. */
  readonly rsrcHandle: bigint;
  /** Number of the last block. */
  readonly lastLba: bigint;
}

/** What goes into USER_VIRTUAL. */
export interface VirtualInput extends ContextInput {
  /** 4 KiB blocks. */
  readonly lunSize: bigint;
}

/** What goes into VLUN_RESIZE (struct dk_cxlflash_resize). */
export interface ResizeInput extends HandleInput {
  /** 4 KiB blocks. */
  readonly reqSize: bigint;
}

/** What VLUN_RESIZE and VERIFY answer. */
export interface SizeAnswer extends CallAnswer {
  /** Number of the last block. */
  readonly lastLba: bigint;
}

/** What goes into VLUN_CLONE (struct dk_cxlflash_clone). */
export interface CloneInput extends CallHeader {
  /** The context whose resources are cloned. */
  readonly contextIdSrc: bigint;
  /** The context that gets them. It must have none. */
  readonly contextIdDst: bigint;
  /** Ignored by Linux 6.1. */
  readonly adapFdSrc?: bigint | undefined;
}

/** What goes into VERIFY (struct dk_cxlflash_verify). */
export interface VerifyInput extends HandleInput {
  /** Why: flashFlags.hintSense, there is sense data. */
  readonly hint?: bigint | undefined;
  /** 18 bytes. */
  readonly senseData?: Uint8Array | undefined;
}

/** What goes into RECOVER_AFU (struct dk_cxlflash_recover_afu). */
export interface RecoverInput extends ContextInput {
  /** The program's reason, which the driver logs and nothing else. */
  readonly reason?: bigint | undefined;
}

/** What RECOVER_AFU answers. Only with flashFlags.contextReset are these fields the driver's. */
export interface RecoverAnswer extends CallAnswer {
  /** The context's id from now on. */
  readonly contextId: bigint;
  /** Bytes to map. */
  readonly mmioSize: bigint;
  /** Descriptor of the context from now on. */
  readonly adapFd: bigint;
}

/** What goes into MANAGE_LUN (struct dk_cxlflash_manage_lun). */
export interface ManageInput extends CallHeader {
  /** 16 bytes: the world-wide id of the LUN (page 0x83, NAA 6). */
  readonly wwid: Uint8Array;
}

/** What goes into LUN_PROVISION (struct ht_cxlflash_lun_provision). */
export interface ProvisionInput extends CallHeader {
  /** One of provisionSubcommands. */
  readonly subcmd: number;
  /** Port of the adapter, from 0. */
  readonly port: number;
  /** 4 KiB blocks. */
  readonly size?: bigint | undefined;
  /** The LUN to delete. */
  readonly lunId?: bigint | undefined;
}

/** What LUN_PROVISION answers. */
export interface ProvisionAnswer extends CallAnswer {
  /** SCSI id of the LUN that was created. */
  readonly lunId: bigint;
  /** 16 bytes: its world-wide id (page 0x83, NAA 6). */
  readonly wwid: Uint8Array;
  /** The most LUNs that the port can have. */
  readonly maxNumLuns: bigint;
  /** How many it has. */
  readonly curNumLuns: bigint;
  /** Capacity of the port, in 4 KiB blocks. */
  readonly maxCapPort: bigint;
  /** Capacity in use, in 4 KiB blocks. */
  readonly curCapPort: bigint;
}

/** What goes into AFU_DEBUG (struct ht_cxlflash_afu_debug). */
export interface DebugInput extends CallHeader {
  /** 12 bytes. */
  readonly afuSubcmd: Uint8Array;
  /** Where data comes from or goes to; must not change until the call settles. */
  readonly data?: Uint8Array | undefined;
}

/** The types of one ioctl. */
export interface FlashIoctl<Input extends CallHeader, Answer extends CallAnswer> {
  /** The fields that go in. */
  input: Input;
  /** The fields that the driver writes. */
  answer: Answer;
}

/** The superpipe ioctls, by their names in the driver's header without DK_CXLFLASH_. */
export interface LunCalls {
  /** Makes a context, or attaches the LUN to one. Source: cxlflash_disk_attach. */
  ATTACH: FlashIoctl<AttachInput, AttachAnswer>;
  /** Opens all of the LUN. Source: cxlflash_disk_direct_open. */
  USER_DIRECT: FlashIoctl<ContextInput, OpenAnswer>;
  /** Frees a resource handle. Source: cxlflash_disk_release. */
  RELEASE: FlashIoctl<HandleInput, CallAnswer>;
  /**
   * Detaches the LUN from the context, with its handles; the last one ends the context. Source:
   * cxlflash_disk_detach.
   */
  DETACH: FlashIoctl<ContextInput, CallAnswer>;
  /**
   * Checks a LUN after a unit attention, and reads its capacity again. Source:
   * cxlflash_disk_verify.
   */
  VERIFY: FlashIoctl<VerifyInput, SizeAnswer>;
  /** Makes a context usable again after a reset of the adapter. Source: cxlflash_afu_recover. */
  RECOVER_AFU: FlashIoctl<RecoverInput, RecoverAnswer>;
  /** Puts a LUN into superpipe mode, or back into legacy mode. Source: cxlflash_manage_lun. */
  MANAGE_LUN: FlashIoctl<ManageInput, CallAnswer>;
  /** Opens a part of the LUN: a virtual LUN. Source: cxlflash_disk_virtual_open. */
  USER_VIRTUAL: FlashIoctl<VirtualInput, OpenAnswer>;
  /** Changes the size of a virtual LUN. Source: cxlflash_vlun_resize. */
  VLUN_RESIZE: FlashIoctl<ResizeInput, SizeAnswer>;
  /** Gives a context the virtual LUNs of another one. Source: cxlflash_disk_clone. */
  VLUN_CLONE: FlashIoctl<CloneInput, CallAnswer>;
}

/** The host ioctls, by their names in the driver's header without HT_CXLFLASH_. */
export interface HostCalls {
  /** Creates and deletes LUNs, and asks for a port's capacity. Source: cxlflash_lun_provision. */
  LUN_PROVISION: FlashIoctl<ProvisionInput, ProvisionAnswer>;
  /** Sends the AFU a command of its own, with data. Source: cxlflash_afu_debug. */
  AFU_DEBUG: FlashIoctl<DebugInput, CallAnswer>;
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

/** DK_CXLFLASH_* and HT_CXLFLASH_* flag bits (scsi/cxlflash_ioctl.h). */
export const flashFlags = {
  /** ATTACH: `contextId` is a context that the LUN is attached to. */
  reuseContext: 1n << 63n,
  /** USER_VIRTUAL: the driver writes zeros to what is freed. It zeroes the wrong blocks. */
  needWriteSame: 1n << 63n,
  /** `hint` of VERIFY: there is sense data. */
  hintSense: 1n << 63n,
  /** RECOVER_AFU, returned: the adapter was reset, and the context has a new id. */
  contextReset: 1n << 63n,
  /** MANAGE_LUN: to superpipe mode. */
  enableSuperpipe: 1n << 63n,
  /** MANAGE_LUN: to legacy mode. */
  disableSuperpipe: 1n << 62n,
  /** MANAGE_LUN: the LUN is connected to every port. */
  allPortsAccessible: 1n << 61n,
  /** Returned by USER_VIRTUAL: the virtual LUN is used over several ports. */
  allPortsActive: 1n,
  /** Returned by ATTACH and RECOVER_AFU: the program is to close `adapFd`. */
  appCloseAdapFd: 2n,
  /** Returned by ATTACH and RECOVER_AFU: commands go to a submission queue, not to IOARRIN. */
  contextSqCmdMode: 4n,
  /** AFU_DEBUG: data goes to the AFU. */
  hostWrite: 1n,
} as const;

/** Sub-commands of LUN_PROVISION (HT_CXLFLASH_LUN_PROVISION_SUBCMD_*). */
export const provisionSubcommands = {
  /** CREATE_LUN: of `size` blocks on `port`. */
  create: 1,
  /** DELETE_LUN: `lunId` of `port`. */
  delete: 2,
  /** QUERY_PORT: number and capacity of its LUNs. */
  queryPort: 3,
} as const;
