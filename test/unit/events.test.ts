/** Decoding of the kernel's event bytes: struct cxl_event, native-endian. */
import fc from 'fast-check';
import { formatEvent } from 'node-cxl';
import { describe, expect, it } from 'vitest';
import { type CxlEvent, EVENT_TYPES, parseEvents } from '../../dist/events/events';
import { PendingEvents } from '../../dist/events/pending';
import { thrownCode } from './mock-support';

function header(type: number, size: number, processElement = 3): Uint8Array {
  return new Uint8Array(Uint16Array.of(type, size, processElement, 0).buffer);
}

function parse(bytes: Uint8Array, length = bytes.length) {
  const events: CxlEvent[] = [];
  const error = parseEvents(bytes, length, (event) => events.push(event), 'file');
  return { events, error };
}

describe('parseEvents', () => {
  it('decodes each type', () => {
    const interrupt = Buffer.concat([
      header(1, 16),
      new Uint8Array(Uint16Array.of(5, 4, 0, 0).buffer),
    ]);
    expect(parse(interrupt).events).toEqual([
      { type: 'afu-interrupt', processElement: 3, flags: 5, irq: 4 },
    ]);
    const fault = Buffer.concat([
      header(2, 40),
      new Uint8Array(BigUint64Array.of(0n, 0xabcn, 7n, 0n).buffer),
    ]);
    expect(parse(fault).events).toEqual([
      { type: 'data-storage', processElement: 3, flags: 0, address: 0xabcn, dsisr: 7n },
    ]);
    const error = Buffer.concat([
      header(3, 24),
      new Uint8Array(BigUint64Array.of(0n, 1n << 63n).buffer),
    ]);
    expect(parse(error).events).toEqual([
      { type: 'afu-error', processElement: 3, flags: 0, error: 1n << 63n },
    ]);
    const driver = Buffer.concat([header(4, 11), Uint8Array.of(1, 2, 3)]);
    expect(parse(driver).events).toEqual([
      { type: 'afu-driver', processElement: 3, data: Uint8Array.of(1, 2, 3), decoded: undefined },
    ]);
  });

  it('uses the size in the header: a longer event of a known type is decoded', () => {
    const longer = Buffer.concat([header(1, 24), new Uint8Array(16), header(99, 8)]);
    expect(parse(longer).events.map((event) => event.type)).toEqual(['afu-interrupt', 'unknown']);
  });

  it('copies data: the bytes of the batch are reused', () => {
    const bytes = Buffer.concat([header(99, 9), Uint8Array.of(7)]);
    const { events } = parse(bytes);
    bytes.fill(0);
    expect(events[0]).toMatchObject({ data: Uint8Array.of(7) });
  });

  it('reads no bytes after the batch', () => {
    const bytes = Buffer.concat([header(99, 8), header(98, 8)]);
    expect(parse(bytes, 8).events).toHaveLength(1);
    expect(parse(bytes, 8).error).toBeUndefined();
  });

  it('returns EBADMSG where a size cannot be that of the event, after the events before', () => {
    const rows: [what: string, type: number, size: number, bytes: number, isEvent: boolean][] = [
      ['the shortest interrupt', 1, 16, 16, true],
      ['an interrupt that is too short', 1, 15, 16, false],
      ['the shortest fault', 2, 40, 40, true],
      ['a fault that is too short', 2, 39, 40, false],
      ['the shortest AFU error', 3, 24, 24, true],
      ['an AFU error that is too short', 3, 23, 24, false],
      ['one that is shorter than its header', 99, 7, 8, false],
      ['the longest that the kernel has', 99, 4096, 4096, true],
      ['one that is longer', 99, 4097, 4097, false],
      ['one that is cut', 99, 17, 16, false],
      ['a header that is cut', 99, 8, 7, false],
    ];
    for (const [what, type, size, bytes, isEvent] of rows) {
      const padded = Buffer.concat([header(type, size), Buffer.alloc(4096)]);
      const { events, error } = parse(Buffer.concat([header(98, 8), padded]), 8 + bytes);
      expect([what, events.length, error?.code]).toEqual(
        isEvent ? [what, 2, undefined] : [what, 1, 'EBADMSG'],
      );
      if (!isEvent) expect(error).toMatchObject({ syscall: 'read', path: 'file' });
    }
  });

  it('never throws, never loops, and accounts for every byte, whatever the bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { events, error } = parse(bytes);
        const consumed = events.length * 8;
        expect(consumed).toBeLessThanOrEqual(bytes.length);
        if (error === undefined && events.length === 0) expect(bytes.length).toBe(0);
        if (error !== undefined) expect(error.code).toBe('EBADMSG');
      }),
    );
  });
});

describe('formatEvent', () => {
  const processElement = 5;

  it('is one line about an event of each type', () => {
    const lines = [
      formatEvent({ type: 'afu-interrupt', processElement, flags: 0, irq: 3 }),
      formatEvent({
        type: 'data-storage',
        processElement,
        flags: 0,
        address: 0x40n,
        dsisr: 1n << 30n,
      }),
      formatEvent({ type: 'afu-error', processElement, flags: 0, error: 0xfeedn }),
      formatEvent({
        type: 'afu-driver',
        processElement,
        data: Uint8Array.of(1, 0xab),
        decoded: undefined,
      }),
      formatEvent({ type: 'unknown', processElement, rawType: 99, data: Uint8Array.of(7) }),
    ];
    expect(lines).toEqual([
      'AFU interrupt 3 (process element 5)',
      'data storage fault at 0x40, DSISR 0x40000000 (process element 5)',
      'AFU error 0xfeed (process element 5)',
      'AFU-driver event of 2 bytes: 01ab (process element 5)',
      'event of unknown type 99 with 1 byte: 07 (process element 5)',
    ]);
  });

  it('prints at most 32 bytes of data, of the event alone', () => {
    const data = new Uint8Array(4096).fill(0x11).subarray(8, 4096);
    const line = formatEvent({ type: 'unknown', processElement, rawType: 9, data });
    expect(line).toBe(
      `event of unknown type 9 with 4088 bytes: ${'11'.repeat(32)}… (process element 5)`,
    );
    const whole = formatEvent({
      type: 'unknown',
      processElement,
      rawType: 9,
      data: data.subarray(0, 32),
    });
    expect(whole).toContain(`with 32 bytes: ${'11'.repeat(32)} (`);
    const empty = {
      type: 'afu-driver',
      processElement,
      data: new Uint8Array(0),
      decoded: 7,
    } as const;
    expect(formatEvent(empty)).toBe('AFU-driver event of 0 bytes (process element 5)');
  });

  it('refuses what is no event', () => {
    for (const none of [null, undefined, 7]) {
      expect(thrownCode(() => formatEvent(none as never))).toBe('ERR_INVALID_ARG_TYPE');
    }
    const other = { type: 'afu', processElement } as never;
    expect(thrownCode(() => formatEvent(other))).toBe('ERR_INVALID_ARG_VALUE');
  });
});

describe('the pending events', () => {
  const processElement = 0;
  const interrupt = (irq: number): CxlEvent => ({
    type: 'afu-interrupt',
    processElement,
    flags: 0,
    irq,
  });
  const unknown = (rawType: number): CxlEvent => ({
    type: 'unknown',
    processElement,
    rawType,
    data: new Uint8Array(0),
  });
  function taken(pending: PendingEvents): CxlEvent[] {
    const events: CxlEvent[] = [];
    const first = () => pending.first(EVENT_TYPES);
    for (let next = first(); next !== undefined; next = first()) {
      pending.remove(next);
      events.push(next.event);
    }
    return events;
  }

  it('come in the order of their arrival, whatever their types', () => {
    const events: CxlEvent[] = [
      unknown(1),
      interrupt(3),
      { type: 'afu-error', processElement, flags: 0, error: 1n },
      interrupt(1),
      { type: 'data-storage', processElement, flags: 0, address: 1n, dsisr: 0n },
      { type: 'afu-driver', processElement, data: new Uint8Array(1), decoded: undefined },
      unknown(2),
    ];
    const pending = new PendingEvents();
    pending.beginBatch();
    for (const event of events) pending.add(event);
    expect(taken(pending)).toEqual(events);
  });

  it('keep 1024 that waits have passed over, and count those dropped; interrupts are kept', () => {
    const pending = new PendingEvents();
    for (let batch = 0; batch < 40; batch += 1) {
      pending.beginBatch();
      for (let n = 0; n < 100; n += 1) pending.add(unknown(batch * 100 + n));
      pending.add(interrupt(1 + (batch % 4)));
    }
    expect(pending.dropped).toBe(4000 - 1024);
    const events = taken(pending);
    expect(events.filter((event) => event.type === 'afu-interrupt')).toHaveLength(4);
    const kept = events.flatMap((event) => (event.type === 'unknown' ? [event.rawType] : []));
    expect(kept).toEqual(Array.from({ length: 1024 }, (_, n) => n));
  });

  it('are all kept of a batch that comes while none are pending', () => {
    const pending = new PendingEvents();
    pending.beginBatch();
    for (let n = 0; n < 3000; n += 1) pending.add(unknown(n));
    expect(pending.dropped).toBe(0);
    expect(taken(pending)).toHaveLength(3000);
  });

  it('bound events of AFU drivers and of unknown types together, and nothing else', () => {
    const driver = (n: number): CxlEvent => ({
      type: 'afu-driver',
      processElement,
      data: Uint8Array.of(n & 0xff, n >> 8),
      decoded: undefined,
    });
    const fault = (address: bigint): CxlEvent => ({
      type: 'data-storage',
      processElement,
      flags: 0,
      address,
      dsisr: 0n,
    });
    const pending = new PendingEvents();
    for (let batch = 0; batch < 3; batch += 1) {
      pending.beginBatch();
      for (let n = 0; n < 300; n += 1) {
        pending.add(driver(n));
        pending.add(unknown(n));
      }
    }
    // The first batch came while none was pending; the second filled what is left; the third is over it.
    expect(pending.dropped).toBe(1800 - 1024);
    pending.beginBatch();
    for (let n = 0; n < 5; n += 1) pending.add(fault(BigInt(n)));
    pending.add(driver(1));
    expect(pending.dropped).toBe(1801 - 1024);
    expect(taken(pending).filter(({ type }) => type === 'data-storage')).toHaveLength(5);
  });

  it('keep an interrupt that comes again where it was', () => {
    const [first, again] = [interrupt(1), interrupt(1)];
    const pending = new PendingEvents();
    pending.beginBatch();
    for (const event of [first, interrupt(2), again]) pending.add(event);
    const events = taken(pending);
    expect(events).toEqual([interrupt(1), interrupt(2)]);
    expect(events[0]).toBe(first);
  });

  it('a wait for one interrupt gets what it may not pass over, if that came before', () => {
    const fault: CxlEvent = { type: 'afu-error', processElement, flags: 0, error: 1n };
    const found = (events: CxlEvent[], irq: number) => {
      const pending = new PendingEvents();
      pending.beginBatch();
      for (const event of events) pending.add(event);
      return pending.interrupt(irq, ['afu-error'])?.event;
    };
    expect(found([interrupt(1), fault], 1)).toEqual(interrupt(1));
    expect(found([fault, interrupt(1)], 1)).toBe(fault);
    expect(found([interrupt(2), fault], 1)).toBe(fault);
    expect(found([interrupt(1), interrupt(2)], 2)).toEqual(interrupt(2));
    expect(found([interrupt(2)], 1)).toBeUndefined();
  });
});
