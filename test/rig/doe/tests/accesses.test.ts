import {
  type ConfigSpace,
  Doe,
  discoverIndex,
  discoveryProtocol,
  type PciBus,
  SysfsPci,
} from 'node-cxl/doe';
import { beforeAll, describe, expect, it } from 'vitest';
import { devices, force } from './devices';

/** Counts what goes to the device. */
class CountedPci implements PciBus {
  readonly kind = 'native';
  readonly #sysfs = new SysfsPci();
  reads = 0;
  writes = 0;

  functions() {
    return this.#sysfs.functions();
  }

  path(address: string) {
    return this.#sysfs.path(address);
  }

  owner(address: string) {
    return this.#sysfs.owner(address);
  }

  driver(address: string) {
    return this.#sysfs.driver(address);
  }

  unbind(address: string) {
    return this.#sysfs.unbind(address);
  }

  bind(address: string, driver: string) {
    return this.#sysfs.bind(address, driver);
  }

  open(address: string, access: 'read' | 'write'): ConfigSpace | number {
    const space = this.#sysfs.open(address, access);
    if (typeof space === 'number') return space;
    return {
      size: space.size,
      readDword: (offset) => {
        this.reads += 1;
        return space.readDword(offset);
      },
      writeDword: (offset, value) => {
        this.writes += 1;
        return space.writeDword(offset, value);
      },
      lock: (offset, length) => space.lock(offset, length),
      unlock: (offset, length) => space.unlock(offset, length),
      close: () => space.close(),
    };
  }
}

describe('accesses of configuration space', () => {
  const bus = new CountedPci();
  const doe = new Doe(bus);

  beforeAll(async () => {
    await doe.mailboxes(devices.default);
  });

  it('of one discovery: 14, as the protocol needs of a device that answers at once', async () => {
    const [mailbox] = await doe.mailboxes(devices.default);
    bus.reads = 0;
    bus.writes = 0;
    await discoverIndex(mailbox!, 0, { force });
    // Reads: idle, ready, three dwords, still ready, no error. Writes: three dwords of the request,
    // "go", and one after each dword read.
    expect([bus.reads, bus.writes]).toEqual([7, 7]);
  });

  it('of a longer answer: two more a dword', async () => {
    const [mailbox] = await doe.mailboxes(devices.default);
    bus.reads = 0;
    bus.writes = 0;
    const request = Buffer.from([0, 0, 1, 0]);
    const answer = await mailbox!.exchange({ vendorId: 0x1e98, type: 2 }, request, { force });
    expect(bus.reads + bus.writes).toBe(12 + (answer.length / 4) * 2);
  });

  it('of finding the mailboxes of a function: the list, and one a mailbox', async () => {
    bus.reads = 0;
    bus.writes = 0;
    expect(await doe.mailboxes(devices.default)).toHaveLength(1);
    expect(bus.writes).toBe(0);
    expect(bus.reads).toBeLessThan(10);
    expect(discoveryProtocol).toEqual({ vendorId: 1, type: 0 });
  });
});
