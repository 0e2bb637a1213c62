/**
 * The ioctls of the cxl driver: what native/files/cxl_ioctls.cc has as tables. Fields have the
 * kernel's names (misc/cxl.h), in camel case.
 */

export interface StartWork {
  /** START_WORK_FLAGS. */
  readonly flags: bigint;
  /** An opaque 64-bit value handed to the AFU. */
  readonly workElementDescriptor: bigint;
  /** Authority mask register; with the flag AMR. */
  readonly amr?: bigint | undefined;
  /** Number of AFU interrupts; with the flag NUM_IRQS. */
  readonly numInterrupts?: number | undefined;
}

/** The ioctls of a context. */
export interface AfuIoctls {
  START_WORK: {
    input: StartWork;
    /** With the flag TID: what the AFU is to be told to wake the calling thread. */
    answer: { readonly tid: number };
  };
  GET_PROCESS_ELEMENT: {
    input: object;
    /** 0xffffffff: none yet. */
    answer: { readonly processElement: number };
  };
  GET_AFU_ID: {
    input: object;
    answer: {
      readonly flags: bigint;
      readonly cardId: number;
      readonly afuOffset: number;
      readonly afuMode: number;
    };
  };
}

export interface AdapterImage {
  /** ADAPTER_IMAGE_FLAGS. */
  readonly flags: bigint;
  /** At most 1 MiB. */
  readonly data: Uint8Array;
  /** Bytes of the whole image. */
  readonly lenImage: bigint;
}

interface ImageTransfer {
  input: AdapterImage;
  /** 1: more is wanted, 0: complete. */
  answer: { readonly result: number };
}

/** The ioctls of /dev/cxl/cardN, a PowerVM guest's. Closing the file resets the adapter. */
export interface CardIoctls {
  DOWNLOAD_IMAGE: ImageTransfer;
  VALIDATE_IMAGE: ImageTransfer;
}

/** CXL_START_WORK_*. */
export const START_WORK_FLAGS = {
  AMR: 1n,
  NUM_IRQS: 2n,
  /** After a detach the mapping reads as all ones instead of raising SIGBUS. */
  ERR_FF: 4n,
  /** Bind the calling thread, so that the AFU can wake it: ioctlSync() alone. */
  TID: 8n,
} as const;

/** CXL_AFUID_FLAG_*. */
export const AFU_ID_FLAGS = { SLAVE: 1n } as const;

/** CXL_AI_*. */
export const ADAPTER_IMAGE_FLAGS = { NEED_HEADER: 1n } as const;
