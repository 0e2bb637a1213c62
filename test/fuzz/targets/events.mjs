// The bytes that read() of an AFU's file returned, from the kernel or from an AFU's own driver.
import assert from 'node:assert/strict';
import { endianness } from 'node:os';
import { codeOf, load } from './support.mjs';

const { parseEvents } = load('events/events.js');
const { formatEvent } = load('events/format.js');
const { isFault, faultError } = load('events/faults.js');
const { PendingEvents } = load('events/pending.js');

const little = endianness() === 'LE';
const LEAST = { 1: 16, 2: 40, 3: 24 };
const HEADER = 8;
const LARGEST = 4096;

export const target = {
  maxLength: 600,
  modules: ['events/events.js', 'events/format.js', 'events/faults.js'],
  run(bytes) {
    const taken = [];
    // Within a larger buffer, as a batch of the addon is: what lies beyond it must not show.
    const held = new Uint8Array(bytes.length + 128).fill(0xa5);
    held.set(bytes, 64);
    const error = parseEvents(
      held.subarray(64, 64 + bytes.length + 64),
      bytes.length,
      (event) => taken.push(event),
      '/dev/cxl/afu0.0s',
    );
    const before = structuredClone(taken);
    held.fill(0x5a);
    assert.deepEqual(taken, before, 'an event shares the bytes of its batch');
    const expected = walk(bytes);
    assert.deepEqual(taken, expected.events);
    assert.equal(error !== undefined, expected.malformed);
    if (error !== undefined) assert.equal(codeOf(error), 'EBADMSG');
    for (const event of taken) checkEvent(event);
    checkPending(taken);
    return `${[...new Set(taken.map(({ type }) => type))].sort()} ${error?.message.replace(/\d+/g, '#')}`;
  },
};

/** The same, decoded from struct cxl_event by itself. */
function walk(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const u16 = (at) => view.getUint16(at, little);
  const u64 = (at) => view.getBigUint64(at, little);
  const events = [];
  let at = 0;
  for (; at < bytes.length; at += u16(at + 2)) {
    if (bytes.length - at < HEADER) return { events, malformed: true };
    const [type, size, processElement] = [u16(at), u16(at + 2), u16(at + 4)];
    if (size < (LEAST[type] ?? HEADER) || size > LARGEST || size > bytes.length - at) {
      return { events, malformed: true };
    }
    const body = at + HEADER;
    const data = new Uint8Array(bytes.subarray(body, at + size));
    const known = {
      1: () => ({ type: 'afu-interrupt', flags: u16(body), irq: u16(body + 2) }),
      2: () => ({
        type: 'data-storage',
        flags: u16(body),
        address: u64(body + 8),
        dsisr: u64(body + 16),
      }),
      3: () => ({ type: 'afu-error', flags: u16(body), error: u64(body + 8) }),
      4: () => ({ type: 'afu-driver', data, decoded: undefined }),
    }[type]?.();
    events.push({ processElement, ...(known ?? { type: 'unknown', rawType: type, data }) });
  }
  assert.equal(at, bytes.length, 'the lengths of the events do not add up');
  return { events, malformed: false };
}

function checkEvent(event) {
  const text = formatEvent(event);
  assert.match(text, /^\S[^\n]* \(process element \d+\)$/);
  assert.doesNotMatch(text, /undefined|NaN/);
  if (isFault(event)) {
    const error = faultError(event, 'read', '/dev/cxl/afu0.0s');
    assert.match(codeOf(error), /^(?:EFAULT|EREMOTEIO)$/);
    assert.equal(error.event, event);
  }
}

/** Each event is pending or was dropped, but an interrupt that is pending already; in their order. */
function checkPending(events) {
  const pending = new PendingEvents();
  pending.beginBatch();
  for (const event of events) pending.add(event);
  const seen = new Set();
  const expected = events.filter(({ type, irq }) => {
    if (type !== 'afu-interrupt') return true;
    return seen.size < seen.add(irq).size;
  });
  const types = ['afu-interrupt', 'data-storage', 'afu-error', 'afu-driver', 'unknown'];
  const taken = [];
  for (let first = pending.first(types); first !== undefined; first = pending.first(types)) {
    taken.push(first.event);
    pending.remove(first);
  }
  assert.deepEqual(taken, expected);
  assert.equal(pending.dropped, 0);
}
