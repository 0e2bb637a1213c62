const kernel = (...names) => names.map((name) => `lib/mock/kernel/${name}.ts`);
const mock = (...names) => names.map((name) => `test/unit/mock-${name}.test.ts`);

/** By name: the files of lib/ that are changed, and the tests that must notice each change. */
export const GROUPS = {
  // Decoding and the queue, by tests that need no mock.
  'event-queue': {
    mutate: ['events', 'format', 'pending', 'queue'].map((name) => `lib/events/${name}.ts`),
    tests: ['test/unit/events.test.ts', 'test/unit/event-queue.test.ts'],
  },
  events: {
    mutate: ['event-options', 'faults', 'iterator', 'wait-options'].map(
      (name) => `lib/events/${name}.ts`,
    ),
    tests: ['test/unit/event-iterator.test.ts', 'test/conformance/events.test.ts'],
  },
  doe: {
    mutate: ['lib/doe/*.ts', '!lib/doe/index.ts'],
    tests: [
      // Not those that start processes: they take most of the time, and show the command line.
      ...[
        ...['bus', 'cdat', 'compliance', 'discovery', 'dump', 'exchange', 'finding'],
        ...['options', 'sharing', 'timeouts'],
      ].map((name) => `test/unit/doe/${name}.test.ts`),
      'test/conformance/doe.test.ts',
    ],
  },
  // What the flash queue decides by: statuses, sizes, retries of ioctls, resources.
  flash: {
    mutate: ['geometry', 'status-table', 'command-status', 'sense', 'retry', 'resource'].map(
      (name) => `lib/flash/${name}.ts`,
    ),
    tests: [
      'test/unit/flash-status.test.ts',
      ...['command-status', 'geometry', 'resource', 'retry'].map(
        (name) => `test/unit/flash/${name}.test.ts`,
      ),
    ],
  },
  // Transfers and streams over block devices of each kind, whose devices and paths are a test's own.
  'flash-devices': {
    mutate: [
      ...['adoption', 'attach-options', 'block-access', 'block-device', 'block-number'],
      ...['block-requests', 'clone-token', 'multipath-device', 'path-error', 'read-stream'],
      ...['stream-transfers', 'striped-device', 'undo', 'write-stream'],
    ].map((name) => `lib/flash/${name}.ts`),
    tests: [
      ...['adoption', 'attach-options', 'block-device', 'clone-token', 'multipath-device'],
      ...['multipath-limits', 'path-error', 'streams', 'striped-device', 'undo'],
    ].map((name) => `test/unit/flash/${name}.test.ts`),
  },
  // What a context asks of the driver, and a block device's paths: over scripted parts.
  'flash-contexts': {
    mutate: ['flash-context', 'lun-path', 'open-block-device'].map(
      (name) => `lib/flash/${name}.ts`,
    ),
    tests: ['context', 'context-recovery', 'context-close', 'lun-path', 'opening'].map(
      (name) => `test/unit/flash/${name}.test.ts`,
    ),
  },
  // Which commands are on the AFU, which wait, and what each promise is told.
  'flash-queue': {
    mutate: [
      ...['command-queue', 'command-table', 'command', 'ring', 'completion-monitor'],
      ...['drain-waits', 'data-faults', 'recovery-attempts', 'transfer'],
    ].map((name) => `lib/flash/${name}.ts`),
    // Of the parts alone, whose timers pass when told: a mutant takes as long as its tests.
    tests: [
      ...['command-queue', 'completion-monitor', 'data-faults', 'drain-waits', 'queue-model'],
      ...['resource', 'ring', 'transfer', 'turns'],
    ].map((name) => `test/unit/flash/${name}.test.ts`),
  },
  // Nodes and their paths, what is counted, and the zeros of a scrub: over scripted parts.
  'flash-nodes': {
    mutate: [
      ...['block-statistics', 'discovery', 'flash-binding', 'flash-node', 'host', 'lun'],
      ...['scrub', 'statistics', 'wwid'],
    ].map((name) => `lib/flash/${name}.ts`),
    tests: ['discovery', 'nodes', 'scrub', 'statistics'].map(
      (name) => `test/unit/flash/${name}.test.ts`,
    ),
  },
  // The model of the driver, in parts with tests of their own. Not here: tests that start processes or
  // wait for real time-outs, and driver-rules, which has one of 5 s.
  'kernel-contexts': {
    mutate: kernel(
      'context',
      'kernel-context',
      'events',
      'open-file',
      'process-element',
      'problem-state',
    ),
    tests: [
      ...mock('delivery', 'driver-events', 'expectations', 'faults', 'in-kernel', 'leaks'),
      ...mock('life', 'mappings', 'model', 'recovery', 'wakeup'),
      'test/conformance/problem-state.test.ts',
    ],
  },
  'kernel-cards': {
    mutate: kernel('afu', 'adapter', 'kernel', 'timers', 'sysfs', 'sysfs-attributes', 'card-image'),
    tests: mock('faults', 'guest', 'life', 'mappings', 'model', 'recovery', 'sysfs', 'timers'),
  },
  'kernel-faults': {
    mutate: kernel('faults', 'fault-spec'),
    tests: mock('expectations', 'fault-options', 'fault-places', 'faults', 'random-faults'),
  },
};
