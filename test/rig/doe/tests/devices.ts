/** The devices of the machine, by what their tables are (see ../tables.mjs). */
export const devices = {
  default: '0000:0d:00.0',
  whole: '0000:0e:00.0',
  badChecksum: '0000:0f:00.0',
  cutShort: '0000:10:00.0',
} as const;

/** cxl_pci is bound to all of them. */
export const force = true;
