// A program as a user's compiler sees it; only its types are looked at.
import {
  type Adapter,
  type Context,
  CxlError,
  type CxlEvent,
  type cxl,
  type Memory,
} from 'node-cxl';
import {
  type CdatStructure,
  Compliance,
  ComplianceError,
  complianceProtocol,
  type DiscoveredProtocol,
  type Doe,
  type DoeMailbox,
  doe,
  readCdat,
  tableAccessProtocol,
} from 'node-cxl/doe';
import {
  type BlockDevice,
  type CommandError,
  type FlashContext,
  type Geometry,
  type Lun,
  listLuns,
  openLun,
  type Recovery,
  type Resource,
} from 'node-cxl/flash';
import {
  type AfuLogic,
  type AfuModel,
  type AfuProcess,
  createMockCxl,
  createMockDoe,
  echoAfu,
  type MockContext,
  type MockCxl,
  type MockDoe,
  type MockFlashAdapter,
  memcpyAfu,
  memoryDevice,
  mockDoeFromConfig,
  mockFromConfig,
  type ProcessLogic,
  Registers,
} from 'node-cxl/mock';

const mock: MockCxl = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
const system: typeof cxl = mock;

export async function program(signal: AbortSignal): Promise<bigint> {
  const adapters: Adapter[] = await system.adapters();
  for (const adapter of adapters) {
    for (const afu of await adapter.afus()) console.log(afu.name, await afu.mode());
  }
  const context: Context = await system.open('/dev/cxl/afu0.0s');
  const memory: Memory = system.allocate(4096, { alignment: 65536 });
  try {
    memory.store64(16, memory.address, { endian: 'big' });
    await context.attach({ wed: memory.address, interrupts: 4, holds: [memory] });
    const registers = context.mapProblemState({ endian: 'big' });
    for await (const event of context.events({ signal })) {
      const seen: CxlEvent = event;
      if (seen.type === 'afu-interrupt') console.log(seen.irq);
      // @ts-expect-error: an event of that type has no such property
      if (seen.type === 'afu-error') console.log(seen.irq);
    }
    return registers.read64(8);
  } catch (error) {
    if (error instanceof CxlError) console.log(error.code, error.errno, error.syscall);
    throw error;
  } finally {
    await context.close();
  }
}

/** Events of an AFU driver have the type that the context's decoder gives them. */
export async function decoded(context: Context): Promise<number | undefined> {
  const typed: Context<{ code: number }> = context.decodeDriverEvents((data, processElement) => ({
    code: (data[0] ?? 0) + processElement,
  }));
  const event = await typed.waitForEvent({ timeout: 1000 });
  // @ts-expect-error: only an event of the driver is decoded
  console.log(event.decoded);
  return event.type === 'afu-driver' ? event.decoded.code : undefined;
}

export async function store(records: readonly Uint8Array[], signal: AbortSignal): Promise<bigint> {
  const adapter: MockFlashAdapter = mock.flash.add({ luns: [{ blocks: 262144n }], ports: 1 });
  const node: string | undefined = (await listLuns({ system: mock }))[0]?.generic;
  const lun: Lun = await openLun(node ?? '/dev/sg1', { system: mock });
  await lun.enableSuperpipe();
  const context: FlashContext = await lun.attach({ endian: 'big', onReset: 'fail' });
  try {
    const { blockSize, blocks }: Geometry = context.geometry();
    const resource: Resource = await context.openVirtual({ blocks: 65536 });
    const device: BlockDevice = resource.blockDevice();
    await device.writev(0, records, { signal });
    const bytes: Uint8Array = await device.read(0n, 1);
    const memory: Memory = mock.allocate(blockSize);
    const same: Memory = await device.read(0, memory);
    // @ts-expect-error: blocks are counted, not named
    await device.read('0', 1);
    adapter.reset(10);
    const { reset, id }: Recovery = await context.recover();
    console.log(bytes.length, same.size, reset, id);
    return blocks;
  } catch (error) {
    const { status, sense, attempts } = error as CommandError;
    console.log(status.afuCode, sense?.key, attempts);
    throw error;
  } finally {
    await context.close();
    await lun.close();
  }
}

export async function mailboxes(signal: AbortSignal): Promise<readonly CdatStructure[]> {
  const modeled: MockDoe = createMockDoe({ functions: [memoryDevice({ driver: 'cxl_pci' })] });
  const systems: Doe[] = [doe, modeled, mockDoeFromConfig('mock.json')];
  for (const { address, owner, problem } of await systems[0]!.scan()) {
    console.log(address, owner.driver, problem?.code);
  }
  const mailbox: DoeMailbox = await modeled.find('0d:00.0', tableAccessProtocol);
  const protocols: DiscoveredProtocol[] = await mailbox.discover({ signal, force: true });
  const answer: Uint8Array = await mailbox.exchange(protocols[0]!, new Uint8Array(4), {
    timeout: 100,
  });
  // @ts-expect-error: a protocol has a vendor, too
  await mailbox.exchange({ type: 2 }, answer);
  try {
    await new Compliance(await modeled.find('0d:00.0', complianceProtocol)).status();
  } catch (error) {
    if (error instanceof ComplianceError) console.log(error.request, error.statusName);
  }
  for (const structure of (await readCdat(mailbox)).structures) {
    if (structure.kind === 'DSMAS') console.log(structure.dpaLength + 1n);
  }
  return (await readCdat(mailbox, { verify: false })).structures;
}

/** An AFU of one's own, and the device's side of a test. */
export async function device(): Promise<MockContext> {
  class Process implements ProcessLogic {
    readonly #registers: Registers;
    constructor(process: AfuProcess) {
      this.#registers = new Registers({ 0: { read: () => process.wed } });
    }
    mmioRead(offset: number, width: 4 | 8): bigint {
      return this.#registers.read(offset, width);
    }
    mmioWrite(): void {}
  }
  const model: AfuModel = {
    ...echoAfu(),
    powerOn: (): AfuLogic => ({ attach: (process) => new Process(process) }),
  };
  const system: MockCxl = createMockCxl({
    cards: [{ afus: [{ model, apiVersion: 2 }], caiaVersion: '2.0' }],
    faults: [{ name: 'open', errno: 'EACCES', probability: 0.5 }],
    latency: { open: [1, 5] },
    seed: 7,
  });
  // @ts-expect-error: no fault of that name
  system.inject({ name: 'frob' });
  const attached: Promise<MockContext> = system.card(0).afu(0).expectAttach({ timeout: 1000 });
  const { files }: { files: number } = mockFromConfig().counters;
  console.log(files);
  return attached;
}
