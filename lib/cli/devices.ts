/** What `list` and `info` print about cards and AFUs. */

import { CONTEXT_SUFFIXES } from '../device/afu';
import type { Adapter, Afu, Cxl, CxlError } from '../index';
import { systemError } from '../shared/errors';
import { UsageError } from './failure';
import { type Data, hex, present } from './output';

/** 'vendor:device' of an AFU's first configuration record, which identifies its image. */
async function identity(afu: Afu): Promise<string | null> {
  const [record] = await afu.configurationRecords();
  const vendor = await record?.vendor();
  const device = await record?.device();
  if (vendor === undefined || device === undefined) return null;
  return `${hex(vendor, 4).slice(2)}:${hex(device, 4).slice(2)}`;
}

async function nodes(afu: Afu): Promise<string[]> {
  const kinds = await afu.contextKinds();
  return kinds.map((kind) => `/dev/cxl/${afu.name}${CONTEXT_SUFFIXES[kind]}`);
}

async function afuSummary(afu: Afu) {
  return {
    name: afu.name,
    mode: present(await afu.mode()),
    identity: await identity(afu),
    irqsMin: present(await afu.irqsMin()),
    irqsMax: present(await afu.irqsMax()),
    mmioSize: present(await afu.mmioSize()),
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
export async function listDevices(system: Cxl) {
  const adapters = await system.adapters();
  return { backend: system.backend, adapters: await Promise.all(adapters.map(adapterSummary)) };
}

type Listing = Awaited<ReturnType<typeof listDevices>>;

/** The list of devices as a tree, for people. */
export function deviceTree({ adapters }: Listing): string {
  const lines: string[] = [];
  for (const { name, caiaVersion, pslRevision, imageLoaded, pciPath, afus } of adapters) {
    const facts = [
      caiaVersion === null ? [] : `CAIA ${caiaVersion}`,
      pslRevision === null ? [] : `PSL revision ${pslRevision}`,
      imageLoaded === null ? [] : `${imageLoaded} image`,
      pciPath ?? [],
    ];
    lines.push(`${name}  ${facts.flat().join(', ')}`);
    for (const [index, afu] of afus.entries()) {
      const last = index === afus.length - 1;
      const details = [
        afu.mode ?? 'no mode',
        afu.identity ?? [],
        afu.irqsMin === null ? [] : `interrupts ${afu.irqsMin} to ${afu.irqsMax ?? '?'}`,
        afu.mmioSize === null ? [] : `problem state area ${afu.mmioSize} bytes`,
      ];
      lines.push(`${last ? '└─' : '├─'} ${afu.name}  ${details.flat().join(', ')}`);
      for (const [at, node] of afu.nodes.entries()) {
        lines.push(`${last ? ' ' : '│'}  ${at === afu.nodes.length - 1 ? '└─' : '├─'} ${node}`);
      }
    }
  }
  return lines.join('\n');
}

/** The attributes with null for those that are undefined. */
function nullAbsent(attributes: Record<string, unknown>): Data {
  return Object.fromEntries(
    Object.entries(attributes).map(([key, value]) => [key, present(value)]),
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
    errorBufferLength: present(errorBuffer?.length),
    configurationRecords: await Promise.all(
      records.map(async (record) => {
        const [vendor, device, type] = [
          await record.vendor(),
          await record.device(),
          await record.class(),
        ];
        return {
          index: record.index,
          vendor: vendor === undefined ? null : hex(vendor, 4),
          device: device === undefined ? null : hex(device, 4),
          class: type === undefined ? null : hex(type, 6),
        };
      }),
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

/** Everything about a card (card0) or an AFU (afu0.0). */
export async function deviceInfo(system: Cxl, name: string): Promise<Data> {
  if (/^card\d+$/.test(name)) return adapterInfo(await findAdapter(system, name));
  if (!name.includes('afu')) {
    throw new UsageError(`'${name}' is not the name of a card or AFU, such as card0 or afu0.0`);
  }
  return afuInfo(await findAfu(system, name));
}
