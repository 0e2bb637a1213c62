/** Bits of the data storage interrupt status register, by major version of CAIA. */
export const DSISR = {
  /** CXL_PSL_DSISR_An_DM and CXL_PSL_DSISR_An_M; CXL_PSL_DSISR_An_S. */
  1: { notFound: 0x4000_0000_4000_0000n, store: 0x0000_0000_0200_0000n },
  /** CXL_PSL9_DSISR_An_TF; CXL_PSL_DSISR_An_S. */
  2: { notFound: 0x1000_0000_0000_0000n, store: 0x0000_0000_0200_0000n },
} as const;
