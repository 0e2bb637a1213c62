// What a process holds: descriptors, threads, memory. Between two looks with nothing open none of it
// may grow.
import { readdirSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from './counts.mjs';

const MIB = 2 ** 20;
/** Bytes by which memory may differ: caches of V8 and of the C library. */
const SLACK = 48 * MIB;

function descriptors() {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} -> ${readlinkSync(`/proc/self/fd/${fd}`)}`];
    } catch {
      // That of the directory itself.
      return [];
    }
  });
}

function look() {
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    descriptors: descriptors(),
    threads: readdirSync('/proc/self/task').length,
    memory: { rss, heapUsed, arrayBuffers },
  };
}

/** The state to compare with; nothing is open. */
export async function settled() {
  // Closed descriptors and ended threads take a moment, and so does the collector.
  for (let i = 0; i < 5; i += 1) {
    await sleep(20);
    globalThis.gc?.();
  }
  return look();
}

/** @throws Violation when more is held than before */
export async function checkLeaks(before) {
  let now = await settled();
  for (let i = 0; i < 20 && isMore(before, now); i += 1) now = await settled();
  const what = isMore(before, now);
  if (what) throw new Violation(`leak: ${what}`);
  return now;
}

function isMore(before, now) {
  if (now.descriptors.length > before.descriptors.length) {
    const added = now.descriptors.filter((each) => !before.descriptors.includes(each));
    return `${now.descriptors.length} descriptors after ${before.descriptors.length}: ${added.join(', ')}`;
  }
  if (now.threads > before.threads) return `${now.threads} threads after ${before.threads}`;
  for (const kind of Object.keys(before.memory)) {
    const more = now.memory[kind] - before.memory[kind];
    if (more > SLACK) return `${kind} has grown by ${Math.round(more / MIB)} MiB`;
  }
  return undefined;
}
