// What a process holds. Between two looks with nothing open none of it may grow.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { Violation } from './counts.mjs';

const MIB = 2 ** 20;
/** Bytes by which memory may differ: caches of V8 and of the C library. */
const SLACK = 48 * MIB;
/** How many mappings may come and go: heaps of V8 and of the C library, stacks of ended threads. */
const MAPPINGS_SLACK = 128;

/**
 * But for those of modules: Node loses the descriptor of the module that a worker was loading when it
 * was terminated, also in a program that uses nothing but Node.
 */
function descriptors() {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const file = readlinkSync(`/proc/self/fd/${fd}`);
      return file.endsWith('.mjs') ? [] : [`${fd} -> ${file}`];
    } catch {
      // That of the directory itself.
      return [];
    }
  });
}

/** Timers, sockets and requests that keep the process alive. */
function handles() {
  // Node 18.18 has it, its type declarations may not.
  return process.getActiveResourcesInfo();
}

function look() {
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  return {
    descriptors: descriptors(),
    threads: readdirSync('/proc/self/task').length,
    handles: handles(),
    mappings: readFileSync('/proc/self/maps', 'latin1').split('\n').length - 1,
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

/**
 * `memory: false` for a theme that has a rule of its own for memory.
 *
 * @throws Violation when more is held than before
 */
export async function checkLeaks(before, { memory = true } = {}) {
  const base = memory ? before : { ...before, mappings: Number.POSITIVE_INFINITY, memory: {} };
  let now = await settled();
  for (let i = 0; i < 20 && isMore(base, now); i += 1) now = await settled();
  const what = isMore(base, now);
  if (what) throw new Violation(`leak: ${what}`);
  return now;
}

/** Bytes that the addon has mapped for memory. */
export function mappedMemory() {
  const main = createRequire(import.meta.url).resolve('node-cxl');
  return createRequire(main)('./native').nativeBinding().mappedMemory();
}

/** What a report says of it. */
export function summary({ descriptors, threads, handles, mappings, memory }) {
  const bytes = Object.entries(memory).map(([kind, size]) => [
    `${kind}MiB`,
    Math.round(size / MIB),
  ]);
  return {
    descriptors: descriptors.length,
    threads,
    handles: handles.length,
    mappings,
    ...Object.fromEntries(bytes),
  };
}

function isMore(before, now) {
  if (now.descriptors.length > before.descriptors.length) {
    const added = now.descriptors.filter((each) => !before.descriptors.includes(each));
    return `${now.descriptors.length} descriptors after ${before.descriptors.length}: ${added.join(', ')}`;
  }
  if (now.threads > before.threads) return `${now.threads} threads after ${before.threads}`;
  if (now.handles.length > before.handles.length) {
    return `handles ${now.handles.join(', ')} after ${before.handles.join(', ') || 'none'}`;
  }
  if (now.mappings > before.mappings + MAPPINGS_SLACK) {
    return `${now.mappings} mappings after ${before.mappings}`;
  }
  for (const kind of Object.keys(before.memory)) {
    const more = now.memory[kind] - before.memory[kind];
    if (more > SLACK) return `${kind} has grown by ${Math.round(more / MIB)} MiB`;
  }
  return undefined;
}
