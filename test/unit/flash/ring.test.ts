/** What a flash context's AFU finds in memory and in its registers: the rings, a command, a status. */
import { createMockCxl } from 'node-cxl/mock';
import { afterEach, describe, expect, it } from 'vitest';
import { Command, type CommandData, type Operation } from '../../../lib/flash/command';
import type { Resource } from '../../../lib/flash/resource';
import { NO_RESPONSE, Ring } from '../../../lib/flash/ring';
import { ENDIAN_CONTROL, REGISTERS } from '../../../lib/flash/sislite';

const DEPTH = 3;
const BOUNCE = 8192;
const ALL_ONES = 2n ** 64n - 1n;

/** The host-transport page: registers that keep what is stored, unless a test answers for them. */
class Page {
  readonly stores: [number, bigint][] = [];
  readonly answers = new Map<number, () => bigint>();

  read64(offset: number): bigint {
    return this.answers.get(offset)?.() ?? 0n;
  }

  write64(offset: number, value: bigint): void {
    this.stores.push([offset, value]);
  }

  /** The values that a register has been given since. */
  taken(offset: number): bigint[] {
    const values = this.stores.filter(([at]) => at === offset).map(([, value]) => value);
    this.stores.length = 0;
    return values;
  }
}

describe('the rings of a context', () => {
  let ring: Ring;
  let page: Page;
  let bytes: Uint8Array;
  let view: DataView;
  let address = 0n;
  const freed: unknown[] = [];

  function open(endian: 'big' | 'little', squeue: boolean, depth = DEPTH): void {
    const mock = createMockCxl();
    page = new Page();
    const system = {
      allocate(size: number, options: { alignment: number }) {
        expect(options.alignment).toBe(65536);
        const memory = mock.allocate(size, options);
        address = memory.address;
        view = new DataView(memory.buffer);
        bytes = new Uint8Array(memory.buffer);
        const { free } = memory;
        memory.free = (how) => {
          freed.push(how);
          free.call(memory, how);
        };
        return memory;
      },
    };
    ring = new Ring(system as never, { depth, bounceBytes: BOUNCE, endian, squeue });
  }

  afterEach(() => {
    ring.free();
    // Commands that were given up may be in flight.
    expect(freed.splice(0)).toEqual([{ force: true }]);
  });

  const resource = { handle: 0x01020304, lun: { path: '/dev/sg1' } } as Resource;
  const owner = { settled: () => undefined };

  function command(name: Operation, slot: number, data: Partial<CommandData>): Command {
    const all = { bytes: undefined, memory: undefined, address: 0n, length: 0x2000, ...data };
    const made = new Command(owner, resource, name, 'normal', 0x0102030405060708n, 0x0a0b0c0d, all);
    made.slot = slot;
    return made;
  }
  const program = () => ring.program(page as never);
  const issue = (one: Command, timeout = 5000) => ring.issue(page as never, one, 0xc0de, timeout);
  const announce = () => ring.announce(page as never);
  const reset = () => ring.reset(page as never);

  for (const endian of ['big', 'little'] as const) {
    it(`are programmed in the order in which the AFU needs it, ${endian}`, () => {
      open(endian, false);
      expect(address % 65536n).toBe(0n);
      page.answers.set(REGISTERS.contextControl, () => 1n << 63n);
      expect(program()).toBe(true);
      const responses = address + BigInt(DEPTH * 128);
      expect(page.stores).toEqual([
        [REGISTERS.endianControl, ENDIAN_CONTROL[endian]],
        [REGISTERS.rrqStart, responses],
        // Of the last entry.
        [REGISTERS.rrqEnd, responses + BigInt((DEPTH - 1) * 8)],
        [REGISTERS.contextControl, 1n],
        [REGISTERS.interruptMask, ALL_ONES - 0x7ffn],
      ]);
      page.answers.set(REGISTERS.contextControl, () => 0x7fff_ffff_ffff_ffffn);
      expect(program()).toBe(false);
      page.stores.length = 0;
      page.answers.set(REGISTERS.contextControl, () => ALL_ONES);
      expect(program).toThrow(expect.objectContaining({ code: 'EIO', syscall: 'mmio' }));
      expect(page.stores.map(([offset]) => offset)).not.toContain(REGISTERS.interruptMask);
    });
  }

  it('have a place of their own each, and one entry more for submissions than commands', () => {
    const depth = 41;
    open('big', true, depth);
    program();
    const stores = new Map(page.stores);
    const start = (stores.get(REGISTERS.sqStart) ?? 0n) - address;
    const end = (stores.get(REGISTERS.sqEnd) ?? 0n) - address;
    expect([start % 64n, end - start]).toEqual([0n, BigInt(depth * 64)]);
    const responsesEnd = (stores.get(REGISTERS.rrqEnd) ?? 0n) - address + 8n;
    expect(start).toBeGreaterThanOrEqual(responsesEnd);
    // Bounce buffers begin at a page, after the last entry.
    for (const [slot, value] of [
      [0, 1],
      [depth - 1, 2],
    ] as const) {
      ring.copyIn(
        command('write', slot, { bytes: new Uint8Array(BOUNCE).fill(value), length: BOUNCE }),
      );
    }
    const first = bytes.indexOf(1);
    expect([first % 4096, first >= Number(end) + 64]).toEqual([0, true]);
    expect(bytes.lastIndexOf(2) + 1).toBe(first + depth * BOUNCE);
    expect(bytes.length).toBe(first + depth * BOUNCE);
  });

  for (const endian of ['big', 'little'] as const) {
    it(`take a command in the byte order of the context, ${endian}`, () => {
      open(endian, false);
      program();
      page.stores.length = 0;
      const little = endian === 'little';
      const at = 2 * 128;
      bytes.fill(0xee, at, at + 128);
      issue(command('write', 2, { address: 0x1122334455667788n }), 5001);
      expect(page.stores).toEqual([[REGISTERS.ioarrin, address + BigInt(at)]]);
      const expected = new DataView(new ArrayBuffer(128));
      expected.setUint16(0, 0xc0de, little);
      // By resource handle; the host writes.
      expected.setUint16(2, 0x8001, little);
      expected.setUint32(4, 0x01020304, little);
      expected.setUint32(16, 0x2000, little);
      expected.setBigUint64(24, 0x1122334455667788n, little);
      expected.setUint8(32, 2);
      // Seconds, rounded up.
      expected.setUint16(34, 6, little);
      // WRITE(16), whose bytes are big-endian in any case.
      expected.setUint8(40, 0x8a);
      expected.setBigUint64(42, 0x0102030405060708n, false);
      expected.setUint32(50, 0x0a0b0c0d, false);
      expect(bytes.subarray(at, at + 128)).toEqual(new Uint8Array(expected.buffer));

      const data = new Uint8Array(BOUNCE).fill(9);
      issue(command('read', 1, { bytes: data, length: BOUNCE }));
      expect([view.getUint16(128 + 2, little), view.getUint8(128 + 40)]).toEqual([0x8000, 0x88]);
      expect(view.getUint16(128 + 34, little)).toBe(5);
      ring.copyIn(command('write', 1, { bytes: data, length: BOUNCE }));
      expect(view.getBigUint64(128 + 24, little)).toBe(address + BigInt(bytes.indexOf(9)));

      issue(command('unmap', 0, {}));
      // WRITE SAME(16) with the bit to unmap.
      expect([view.getUint16(2, little), view.getUint16(40)]).toEqual([0x8001, 0x9308]);
    });

    it(`bring a status in the byte order of the context, ${endian}`, () => {
      open(endian, false);
      const at = 128 + 64;
      expect(ring.status(1)).toBe(undefined);
      // Sense data or a residual alone are no status.
      view.setUint32(at + 4, 5);
      bytes.fill(3, at + 12, at + 32);
      expect(ring.status(1)).toBe(undefined);
      bytes.set([0xb0, 1, 2, 0x5a], at);
      view.setUint32(at + 4, 0x01020304, endian === 'little');
      bytes.set([4, 5, 6, 7], at + 8);
      expect(ring.status(1)).toEqual({
        flags: 0xb0,
        afuCode: 1,
        scsiCode: 2,
        fcCode: 0x5a,
        residual: 0x01020304,
        port: 4,
        afuExtra: 5,
        scsiExtra: 6,
        fcExtra: 7,
        sense: new Uint8Array(20).fill(3),
      });
      const status = ring.status(1);
      bytes.fill(0, at + 12, at + 32);
      expect(status?.sense[0]).toBe(3);
    });
  }

  it('are kept until the context is closed', () => {
    open('big', false);
    const held: { address: bigint }[] = [];
    ring.holdBy({ hold: (memory: { address: bigint }) => held.push(memory) } as never);
    expect(held.map((memory) => memory.address)).toEqual([address]);
  });

  it('copy the data of a command between its bytes and the bounce buffer of its slot', () => {
    open('big', false);
    const written = Uint8Array.from({ length: 5000 }, (_, index) => index);
    ring.copyIn(command('write', 1, { bytes: written, length: 5000 }));
    const read = new Uint8Array(6000).subarray(500, 5500);
    ring.copyOut(command('read', 1, { bytes: read, length: 5000 }));
    expect(read).toEqual(written);
    ring.copyOut(command('read', 2, { bytes: read, length: 5000 }));
    expect(read).toEqual(new Uint8Array(5000));
    // Of a Memory, which the AFU accesses itself, nothing is copied.
    ring.copyIn(command('write', 1, { address: 0x1000n }));
    ring.copyOut(command('read', 1, { address: 0x1000n }));
    // Bytes that are as many no more.
    const gone = expect.objectContaining({ code: 'ERR_INVALID_STATE' });
    for (const length of [4999, 5001]) {
      expect(() => ring.copyIn(command('write', 1, { bytes: written, length }))).toThrow(gone);
      expect(() => ring.copyOut(command('read', 1, { bytes: read, length }))).toThrow(gone);
    }
  });

  it('bring the slots of responses, whose bit 0 toggles with each round', () => {
    open('big', false);
    program();
    const responses = DEPTH * 128;
    let count = 0;
    const respond = (value: bigint) => {
      const toggle = Math.floor(count / DEPTH) % 2 === 0 ? 1n : 0n;
      view.setBigUint64(responses + (count % DEPTH) * 8, value | toggle);
      count += 1;
    };
    expect(ring.response()).toBe(NO_RESPONSE);
    for (let round = 0; round < 3; round += 1) {
      for (const slot of [2, 0, 1]) {
        respond(address + BigInt(slot * 128));
        expect([ring.response(), ring.response()]).toEqual([slot, NO_RESPONSE]);
      }
    }
    // It is no slot; what is not a slot's either is a response all the same.
    expect(NO_RESPONSE).toBeLessThan(0);
    for (const value of [0n, address - 128n, address + BigInt(DEPTH * 128)]) {
      respond(value);
      const slot = ring.response();
      expect(slot).not.toBe(NO_RESPONSE);
      expect(slot).toBeLessThan(0);
    }
    respond(address);
    expect(ring.response()).toBe(0);
    // The ring is empty and begins anew, with the first toggle.
    program();
    expect(ring.response()).toBe(NO_RESPONSE);
    expect(bytes.subarray(responses, responses + DEPTH * 8)).toEqual(new Uint8Array(DEPTH * 8));
    count = 0;
    respond(address + 128n);
    expect(ring.response()).toBe(1);
  });

  it('pass commands by the submission ring, which has more entries than there are slots', () => {
    open('little', true);
    program();
    const start = new Map(page.stores).get(REGISTERS.sqStart) ?? 0n;
    page.stores.length = 0;
    let entry = 0;
    for (const slots of [[0], [1, 2], [0, 1], [2], [2, 1, 0]]) {
      for (const [index, slot] of slots.entries()) {
        issue(command('read', slot, {}));
        expect([ring.unannounced, page.stores]).toEqual([index + 1, []]);
        const at = Number(start - address) + entry * 64;
        // Where the AFU writes the status.
        expect(view.getBigUint64(at + 56, true)).toBe(address + BigInt(slot * 128 + 64));
        expect(bytes.subarray(at, at + 64)).toEqual(bytes.subarray(slot * 128, slot * 128 + 64));
        entry = (entry + 1) % (DEPTH + 1);
      }
      announce();
      expect(ring.unannounced).toBe(0);
      expect(page.taken(REGISTERS.sqTail)).toEqual([start + BigInt(entry * 64)]);
    }
    issue(command('read', 0, {}));
    program();
    expect(ring.unannounced).toBe(0);
    page.stores.length = 0;
    issue(command('read', 0, {}));
    announce();
    expect(page.taken(REGISTERS.sqTail)).toEqual([start + 64n]);
  });

  for (const squeue of [false, true]) {
    it(`are reset by the register of their kind, which says when that is over, squeue: ${squeue}`, async () => {
      open('big', squeue);
      const register = squeue ? REGISTERS.sqContextReset : REGISTERS.ioarrin;
      page.answers.set(REGISTERS.sqTail, () => {
        expect(squeue).toBe(true);
        return 0n;
      });
      let looks = 0;
      page.answers.set(register, () => {
        looks += 1;
        // The other bits mean something else.
        return looks < 2 ? 1n : 2n;
      });
      expect(await reset()).toBe(true);
      expect([page.stores, looks]).toEqual([[[register, 1n]], 2]);
      // One that is over after a pause of this process, longer than a reset may take.
      looks = 0;
      page.answers.set(register, () => {
        looks += 1;
        if (looks > 1) return 0n;
        const paused = performance.now() + 150;
        while (performance.now() < paused);
        return 1n;
      });
      expect([await reset(), looks]).toEqual([true, 2]);
      // An adapter in error is not told anything.
      page.stores.length = 0;
      page.answers.set(REGISTERS.endianControl, () => ALL_ONES);
      expect(await reset()).toBe(false);
      expect(page.stores).toEqual([]);
      page.answers.delete(REGISTERS.endianControl);
      page.answers.set(register, () => 1n);
      const begin = performance.now();
      expect(await reset()).toBe(false);
      expect(performance.now() - begin).toBeGreaterThanOrEqual(100);
    });
  }

  it('go on after a reset where the AFU is, whose entry a store that faulted may have changed', async () => {
    open('big', true);
    program();
    const start = new Map(page.stores).get(REGISTERS.sqStart) ?? 0n;
    for (const [tail, entry] of [
      [start + 128n, 2],
      [start + BigInt(DEPTH * 64), DEPTH],
      [start, 0],
      // Not an entry: the ring begins anew.
      [0n, 0],
      [start - 64n, 0],
      [start + 32n, 0],
      [start + BigInt((DEPTH + 1) * 64), 0],
      [start + BigInt((DEPTH + 2) * 64), 0],
    ] as const) {
      issue(command('read', 0, {}));
      page.answers.set(REGISTERS.sqTail, () => tail);
      expect(await reset()).toBe(true);
      expect(ring.unannounced).toBe(0);
      page.stores.length = 0;
      issue(command('read', 0, {}));
      announce();
      const next = (entry + 1) % (DEPTH + 1);
      expect(page.taken(REGISTERS.sqTail)).toEqual([start + BigInt(next * 64)]);
    }
  });
});
