/**
 * What an access reads when no device answers: a PCI function that is gone, or an adapter in
 * error.
 */
export const ALL_ONES_32 = 0xffff_ffff;
export const ALL_ONES_64 = (1n << 64n) - 1n;
