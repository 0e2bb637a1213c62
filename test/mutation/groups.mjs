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
      ...['geometry', 'resource', 'retry'].map((name) => `test/unit/flash/${name}.test.ts`),
      'test/conformance/flash-retry-table.test.ts',
    ],
  },
  // Which commands are on the AFU, which wait, and what each promise is told.
  'flash-queue': {
    mutate: [
      ...['command-queue', 'command-table', 'command', 'ring', 'completion-monitor'],
      ...['drain-waits', 'data-faults', 'recovery-attempts', 'transfer'],
    ].map((name) => `lib/flash/${name}.ts`),
    // Of the parts alone, whose timers pass when told: a mutant takes as long as its tests.
    tests: ['command-queue', 'completion-monitor', 'queue-model', 'ring', 'transfer', 'turns'].map(
      (name) => `test/unit/flash/${name}.test.ts`,
    ),
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
