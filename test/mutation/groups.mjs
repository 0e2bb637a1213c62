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
    tests: ['test/conformance/events.test.ts'],
  },
  doe: {
    mutate: ['lib/doe/*.ts', '!lib/doe/index.ts'],
    tests: [
      // Not those that start processes: they take most of the time, and show the command line.
      ...[
        ...['cdat', 'compliance', 'discovery', 'dump', 'exchange', 'finding', 'options'],
        ...['sharing', 'timeouts'],
      ].map((name) => `test/unit/doe/${name}.test.ts`),
      'test/conformance/doe.test.ts',
    ],
  },
  // The queue's decisions: statuses, retries, geometry, and where commands are.
  flash: {
    mutate: ['geometry', 'status-table', 'command-status', 'sense', 'retry', 'command-table'].map(
      (name) => `lib/flash/${name}.ts`,
    ),
    tests: [
      'test/unit/flash-queue.test.ts',
      'test/unit/flash-status.test.ts',
      'test/unit/flash/*.test.ts',
      'test/conformance/flash-retry-table.test.ts',
      'test/conformance/flash-retry.test.ts',
      'test/conformance/flash-status.test.ts',
      'test/conformance/flash-block-size.test.ts',
      'test/conformance/flash-chunks.test.ts',
    ],
  },
  // Which commands are on the AFU, which wait, and what each promise is told.
  'flash-queue': {
    mutate: ['command-queue', 'ring', 'completion-monitor', 'drain-waits', 'command'].map(
      (name) => `lib/flash/${name}.ts`,
    ),
    tests: [
      // Not those that wait for real time-outs: a mutant takes as long as its tests.
      ...['flash-queue', 'flash-batches', 'flash/queue-model'].map(
        (name) => `test/unit/${name}.test.ts`,
      ),
      ...['submit', 'status', 'io', 'retry-table'].map(
        (name) => `test/conformance/flash-${name}.test.ts`,
      ),
    ],
  },
  // The model of the driver, in parts with tests of their own. Not here: tests that start processes or
  // wait for real time-outs, and driver-rules, which has one of 5 s.
  'kernel-contexts': {
    mutate: [
      ...['context', 'kernel-context', 'events', 'open-file', 'process-element', 'problem-state'],
    ].map((name) => `lib/mock/kernel/${name}.ts`),
    tests: [
      ...[
        'calls',
        'delivery',
        'driver-events',
        'in-kernel',
        'leaks',
        'life',
        'model',
        'recovery',
        'wakeup',
      ].map((name) => `test/unit/mock-${name}.test.ts`),
      ...['events', 'life-table', 'problem-state'].map(
        (name) => `test/conformance/${name}.test.ts`,
      ),
    ],
  },
  'kernel-cards': {
    mutate: [
      ...['afu', 'adapter', 'kernel', 'timers', 'sysfs', 'sysfs-attributes', 'card-image'],
    ].map((name) => `lib/mock/kernel/${name}.ts`),
    tests: [
      ...['guest', 'life', 'model', 'recovery', 'sysfs', 'timers', 'wakeup'].map(
        (name) => `test/unit/mock-${name}.test.ts`,
      ),
      ...['life-table', 'sysfs'].map((name) => `test/conformance/${name}.test.ts`),
    ],
  },
  'kernel-faults': {
    mutate: ['faults', 'fault-spec'].map((name) => `lib/mock/kernel/${name}.ts`),
    tests: ['expectations', 'fault-options', 'fault-places', 'faults', 'random-faults'].map(
      (name) => `test/unit/mock-${name}.test.ts`,
    ),
  },
};
