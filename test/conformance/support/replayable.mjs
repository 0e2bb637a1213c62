// What a recording cannot serve of the conformance tests, and why. JavaScript, as the configuration of vitest imports it.

const ORDER = 'which call is next depends on how long the device takes';
const DESCRIPTORS = 'descriptors of the process, which a replay does not open';
const CLOCK = 'compares what the device has with the clock of this run';

const TIMERS = 'block I/O, for which timers of the package load registers and end commands';

/**
 * Files that are neither recorded nor replayed.
 *
 * @type {Readonly<Record<string, string>>}
 */
export const LIVE_FILES = {
  doe: 'has no device, only a model of mailboxes',
  'flash-block-size': TIMERS,
  'flash-chunks': TIMERS,
  'flash-failure': TIMERS,
  'flash-io': TIMERS,
  'flash-mappings': TIMERS,
  'flash-open': TIMERS,
  'flash-processes': 'child processes, whose recordings are others',
  'flash-recovery': TIMERS,
  'flash-retry': TIMERS,
  'flash-retry-table': TIMERS,
  'flash-scrub': TIMERS,
  'flash-status': TIMERS,
  'flash-streams': TIMERS,
  'flash-submit': TIMERS,
  'flash-superpipe': TIMERS,
  'model-based': `random sequences: ${ORDER}`,
};

/**
 * Tests that a replay skips, by file and title.
 *
 * @type {Readonly<Record<string, Readonly<Record<string, string>>>>}
 */
export const LIVE_TESTS = {
  closing: {
    'among the descriptors of the process': DESCRIPTORS,
    'ENODEV: a descriptor of something else': DESCRIPTORS,
    'at any step of open() leaves nothing open': ORDER,
  },
  events: {
    'takeEvent() loses nothing to a wait that was aborted': ORDER,
    'nor does a time-out that is due when the event loop runs again': ORDER,
  },
  memcpy: { 'has a timebase that keeps up with a thread that polls it': CLOCK },
  'sync-waits': { 'is a part of the time-out, and goes over into a wait': ORDER },
};

/**
 * Tests that measure how long the device takes: replayed with the times that were recorded.
 *
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const IN_REAL_TIME = {
  closing: ['while START_WORK is in progress ends attach() at once, and closes the context'],
  'driver-rules': [
    'fails with EBUSY after 5 seconds, and can be made again (native.c, do_process_element_cmd)',
  ],
  'life-table': ['can take long, and does not block the event loop'],
};
