/** `node-cxl list` and `info`: cards and AFUs. */

import { CONTEXT_SUFFIXES } from '../device/afu';
import { Adapter, type Afu, type Cxl, type CxlError } from '../index';
import { systemError } from '../shared/errors';
import { UsageError } from './failure';
import { type Data, type DataValue, type Format, present, presentHex, show } from './output';
import { facts, properties } from './table';

/** The ids of an AFU's first configuration record, which identify its image. */
async function identity(afu: Afu) {
  const [record] = await afu.configurationRecords();
  return {
    vendorId: presentHex(await record?.vendor(), 4),
    deviceId: presentHex(await record?.device(), 4),
  };
}

/** 'vendor:device', as lspci prints ids. */
export function idText(vendorId: string | null, deviceId: string | null): string | null {
  if (vendorId === null || deviceId === null) return null;
  return `${vendorId.slice(2)}:${deviceId.slice(2)}`;
}

async function nodes(afu: Afu): Promise<string[]> {
  const kinds = await afu.contextKinds();
  return kinds.map((kind) => `/dev/cxl/${afu.name}${CONTEXT_SUFFIXES[kind]}`);
}

async function afuSummary(afu: Afu) {
  return {
    name: afu.name,
    mode: present(await afu.mode()),
    ...(await identity(afu)),
    irqsMin: present(await afu.irqsMin()),
    irqsMax: present(await afu.irqsMax()),
    mmioSizeBytes: present(await afu.mmioSize()),
    nodes: await nodes(afu),
  };
}

async function adapterSummary(adapter: Adapter) {
  const afus = await adapter.afus();
  return {
    name: adapter.name,
    caiaVersion: present(await adapter.caiaVersion()),
    pslRevision: present(await adapter.pslRevision()),
    imageLoaded: present(await adapter.imageLoaded()),
    pciPath: present(adapter.pciPath),
    afus: await Promise.all(afus.map(afuSummary)),
  };
}

/** Every card with its AFUs. */
async function listDevices(system: Cxl) {
  const adapters = await system.adapters();
  return { backend: system.backend, adapters: await Promise.all(adapters.map(adapterSummary)) };
}

type Listing = Awaited<ReturnType<typeof listDevices>>;

/** The list of devices as a tree, for people. */
function deviceTree({ adapters }: Listing): string {
  const lines: string[] = [];
  for (const { name, caiaVersion, pslRevision, imageLoaded, pciPath, afus } of adapters) {
    const about = [
      caiaVersion === null ? [] : `CAIA ${caiaVersion}`,
      pslRevision === null ? [] : `PSL revision ${pslRevision}`,
      imageLoaded === null ? [] : `${imageLoaded} image`,
      pciPath ?? [],
    ];
    lines.push(facts(`${name}  `, about.flat(), ' '.repeat(name.length + 2)));
    for (const [index, afu] of afus.entries()) {
      const last = index === afus.length - 1;
      const details = [
        afu.mode ?? 'no mode',
        idText(afu.vendorId, afu.deviceId) ?? [],
        afu.irqsMin === null ? [] : `interrupts ${afu.irqsMin} to ${afu.irqsMax ?? '?'}`,
        afu.mmioSizeBytes === null ? [] : `problem state area ${afu.mmioSizeBytes} bytes`,
      ];
      const indent = `${last ? ' ' : '│'}  ${' '.repeat(afu.name.length + 2)}`;
      lines.push(facts(`${last ? '└─' : '├─'} ${afu.name}  `, details.flat(), indent));
      for (const [at, node] of afu.nodes.entries()) {
        lines.push(`${last ? ' ' : '│'}  ${at === afu.nodes.length - 1 ? '└─' : '├─'} ${node}`);
      }
    }
  }
  return lines.join('\n');
}

/** `node-cxl list`. */
export async function list(system: Cxl, format: Format): Promise<void> {
  const listing = await listDevices(system);
  show(format, listing, {
    text: () => deviceTree(listing),
    rows: () =>
      listing.adapters.flatMap(({ name, afus }) =>
        afus.length === 0
          ? [[name, null, null, null, null]]
          : afus.map((afu) => [
              name,
              afu.name,
              afu.mode,
              idText(afu.vendorId, afu.deviceId),
              afu.nodes.join(','),
            ]),
      ),
  });
  if (listing.adapters.length === 0) throw noCard();
}

function noCard(): CxlError {
  const hint =
    'no CAPI card found: is the cxl driver loaded (Linux 3.18 to 6.14, POWER8 and POWER9)? --mock shows a mock card';
  return systemError('ENODEV', 'find', '/sys/class/cxl', hint);
}

/** Names of attributes that are numbers of bytes, with the unit. */
const WITH_UNITS: Readonly<Record<string, string>> = {
  mmioSize: 'mmioSizeBytes',
  masterMmioSize: 'masterMmioSizeBytes',
  perProcessMmioLength: 'perProcessMmioLengthBytes',
  perProcessMmioOffset: 'perProcessMmioOffsetBytes',
};

/** The attributes with null for those that are undefined. */
function nullAbsent(attributes: object): Data {
  return Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [WITH_UNITS[key] ?? key, present(value)]),
  ) as Data;
}

async function adapterInfo(adapter: Adapter): Promise<Data> {
  const afus = await adapter.afus();
  return {
    name: adapter.name,
    sysfsPath: adapter.path,
    pciPath: present(adapter.pciPath),
    ...nullAbsent(await adapter.attributes()),
    afus: afus.map((afu) => afu.name),
  };
}

async function afuInfo(afu: Afu): Promise<Data> {
  const records = await afu.configurationRecords();
  const errorBuffer = await afu.errorBuffer();
  return {
    name: afu.name,
    adapter: `card${afu.adapterNumber}`,
    sysfsPath: afu.path,
    pciPath: present(afu.pciPath),
    nodes: await nodes(afu),
    ...nullAbsent(await afu.attributes()),
    errorBufferBytes: present(errorBuffer?.length),
    configurationRecords: await Promise.all(
      records.map(async (record) => ({
        index: record.index,
        vendorId: presentHex(await record.vendor(), 4),
        deviceId: presentHex(await record.device(), 4),
        class: presentHex(await record.class(), 6),
      })),
    ),
  };
}

/** The AFU called `name`: afu0.0, or one of its nodes, /dev/cxl/afu0.0s or afu0.0s. */
export async function findAfu(system: Cxl, name: string): Promise<Afu> {
  const [, stem] = /^(?:\/dev\/cxl\/)?(afu\d+\.\d+)[dms]?$/.exec(name) ?? [];
  if (stem === undefined)
    throw new UsageError(`'${name}' is not the name of an AFU, such as afu0.0`);
  const afu = (await system.afus()).find((each) => each.name === stem);
  if (afu === undefined) throw await noDevice(system, stem);
  return afu;
}

/** The card called `name`, such as card0. */
export async function findAdapter(system: Cxl, name: string): Promise<Adapter> {
  const adapter = (await system.adapters()).find((each) => each.name === name);
  if (adapter === undefined) throw await noDevice(system, name);
  return adapter;
}

async function noDevice(system: Cxl, name: string): Promise<CxlError> {
  const adapters = (await system.adapters()).map((adapter) => adapter.name);
  const afus = (await system.afus()).map((afu) => afu.name);
  const names = [...adapters, ...afus].join(', ');
  const hint = names === '' ? undefined : `there are ${names}`;
  return systemError('ENOENT', 'find', `/sys/class/cxl/${name}`, hint);
}

/** A card (card0) or an AFU (afu0.0, or one of its nodes). */
export async function findDevice(system: Cxl, name: string): Promise<Adapter | Afu> {
  if (/^card\d+$/.test(name)) return findAdapter(system, name);
  if (!name.includes('afu')) {
    throw new UsageError(`'${name}' is not the name of a card or AFU, such as card0 or afu0.0`);
  }
  return findAfu(system, name);
}

/** `node-cxl info`: everything about a card or an AFU, or about all of them. */
export async function info(system: Cxl, name: string | undefined, format: Format): Promise<void> {
  if (name !== undefined) {
    const device = await findDevice(system, name);
    const data = device instanceof Adapter ? await adapterInfo(device) : await afuInfo(device);
    show(format, data, { text: () => properties(data) });
    return;
  }
  const adapters = await Promise.all((await system.adapters()).map(adapterAndAfus));
  const sections = adapters.flatMap(({ afus, ...rest }) => [
    { ...rest, afus: afus.map((afu) => afu['name'] as string) } as Data,
    ...afus,
  ]);
  show(
    format,
    { backend: system.backend, adapters },
    {
      text: () => sections.map((each) => properties(each)).join('\n\n'),
      rows: () =>
        sections.flatMap((each) =>
          Object.entries(each).map(([key, value]): DataValue[] => [
            each['name'] ?? null,
            key,
            value,
          ]),
        ),
    },
  );
  if (adapters.length === 0) throw noCard();
}

/** As adapterInfo(), with all about each AFU in place of its name. */
async function adapterAndAfus(adapter: Adapter) {
  const afus = await Promise.all((await adapter.afus()).map(afuInfo));
  return { ...(await adapterInfo(adapter)), afus };
}
