/**
 * The timers of the process, taken before a test can replace the global ones by fake timers. What
 * the mock does at once, it does under fake timers too; its latencies and the durations that a test
 * gives it use the global ones, and follow the fake clock.
 */
const { setImmediate, clearImmediate, setTimeout, clearTimeout, setInterval, clearInterval } =
  globalThis;

export const realTimers = {
  setImmediate,
  clearImmediate,
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  /** performance.now(): milliseconds. */
  now: performance.now.bind(performance),
} as const;
