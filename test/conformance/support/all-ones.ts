/** What the registers of a card in error read. */
export const ALL_ONES_32 = 0xffff_ffff;
export const ALL_ONES_64 = (1n << 64n) - 1n;
