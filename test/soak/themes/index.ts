/** The themes that run over a target of the conformance tests. `flash` and `memory` are programs. */
import type { Theme } from '../turn';
import { chaos } from './chaos';
import { commandLine } from './command-line';
import { doe } from './doe';
import { events } from './events';
import { lifeCycle } from './life-cycle';
import { mock } from './mock';
import { processes } from './processes/theme';
import { registers } from './registers/theme';

export const THEMES: readonly Theme[] = [
  lifeCycle,
  events,
  registers,
  processes,
  chaos,
  doe,
  mock,
  commandLine,
];
