// The tables that QEMU's devices have, a file each; and the devices, in the order of their slots.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { doeFolder } from '../folders.mjs';

const gibi = 1n << 30n;

function structures() {
  const latency = { kind: 'DSLBIS', handle: 1, flags: 0, entryBaseUnit: 1000n };
  return [
    { kind: 'DSMAS', handle: 0, flags: 0, nonVolatile: false, dpaBase: 0n, dpaLength: gibi / 8n },
    {
      kind: 'DSMAS',
      handle: 1,
      flags: 4,
      nonVolatile: true,
      dpaBase: gibi / 8n,
      dpaLength: gibi / 8n,
    },
    { ...latency, handle: 0, dataType: 'access latency', entries: [120, 0, 0] },
    { ...latency, dataType: 'read latency', entries: [170, 0, 0] },
    { ...latency, dataType: 'write latency', entries: [250, 0, 0] },
    {
      ...latency,
      handle: 0,
      dataType: 'access bandwidth',
      entryBaseUnit: 1024n,
      entries: [16, 0, 0],
    },
    { kind: 'DSMSCIS', handle: 0, cacheSize: 1n << 25n, cacheAttributes: 0x0040_0101 },
    { kind: 'DSIS', flags: 1, memoryAttached: true, handle: 0 },
    {
      kind: 'DSEMTS',
      handle: 1,
      efiMemoryType: 'reserved memory',
      dpaOffset: 0n,
      dpaLength: gibi / 8n,
    },
    {
      kind: 'SSLBIS',
      dataType: 'access latency',
      entryBaseUnit: 1000n,
      entries: [{ portX: 0x100, portY: 1, value: 30 }],
    },
  ];
}

/** Writes the tables; the folder, and the devices: each has its own table, or QEMU's. */
export function writeTables() {
  const { encodeCdat } = createRequire(import.meta.url)('node-cxl/mock');
  const folder = path.join(doeFolder, 'tables');
  fs.rmSync(folder, { recursive: true, force: true });
  fs.mkdirSync(folder, { recursive: true });
  const whole = encodeCdat(structures(), { sequence: 7 });
  const badChecksum = Buffer.from(whole);
  badChecksum.writeUInt8((badChecksum.readUInt8(5) + 1) & 0xff, 5);
  // The length in its header is more than the entries have; the checksum is right.
  const cutShort = Buffer.from(whole);
  cutShort.writeUInt32LE(whole.length + 24, 0);
  cutShort.writeUInt8(0, 5);
  cutShort.writeUInt8(0xff & -cutShort.reduce((sum, byte) => sum + byte, 0), 5);
  const devices = [
    { name: 'default' },
    { name: 'whole', table: whole },
    { name: 'bad-checksum', table: badChecksum },
    { name: 'cut-short', table: cutShort },
  ];
  for (const { name, table } of devices) {
    if (table !== undefined) fs.writeFileSync(path.join(folder, name), table);
  }
  fs.writeFileSync(path.join(folder, 'count'), `${devices.length}\n`);
  return {
    folder,
    devices: devices.map(({ name, table }) => ({
      name,
      file: table === undefined ? undefined : path.join(folder, name),
    })),
  };
}
