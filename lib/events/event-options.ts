/** Which events a wait is for. */
import type { OptionNames } from '../shared/checks';
import { typeError, valueError } from '../shared/errors';
import { EVENT_TYPES, type EventType } from './events';
import { FAULTS } from './faults';
import type { PendingEvents } from './pending';
import {
  checkEventWaitOptions,
  EVENT_WAIT_OPTIONS,
  type EventWaitOptions,
  SYNC_WAIT_OPTIONS,
  type SyncWaitOptions,
} from './wait-options';

interface TypeOptions<Type extends EventType> {
  /** The types of event to wait for. Default: all. */
  types?: readonly Type[] | undefined;
}

/** Options of Context.waitForEvent(). */
export interface EventOptions<Type extends EventType> extends EventWaitOptions, TypeOptions<Type> {}

/** Options of Context.waitForEventSync(). */
export interface SyncEventOptions<Type extends EventType>
  extends SyncWaitOptions,
    TypeOptions<Type> {}

/** @internal */
export const EVENT_OPTIONS: OptionNames<EventOptions<EventType>> = {
  ...EVENT_WAIT_OPTIONS,
  types: true,
};
/** @internal */
export const SYNC_EVENT_OPTIONS: OptionNames<SyncEventOptions<EventType>> = {
  ...SYNC_WAIT_OPTIONS,
  types: true,
};

const HARDWARE_EVENTS = EVENT_TYPES.filter((type) => type !== 'afu-driver');

/** @internal The oldest event. */
export const findAny = (pending: PendingEvents) => pending.first(EVENT_TYPES);
/** @internal The oldest event that the driver itself reported. */
export const findHardwareEvent = (pending: PendingEvents) => pending.first(HARDWARE_EVENTS);

/** @internal The oldest event that the options ask for, or the fault that ends a wait for them. */
export function checkEventOptions<Type extends EventType>(
  options: EventOptions<Type>,
  names: OptionNames<EventOptions<EventType>> | OptionNames<SyncEventOptions<EventType>>,
) {
  const { types } = checkEventWaitOptions(options, names as OptionNames<EventOptions<Type>>);
  if (types === undefined) return { types, find: findAny };
  const found = [...new Set([...checkTypes(types), ...FAULTS])];
  return { types, find: (pending: PendingEvents) => pending.first(found) };
}

function checkTypes<Type extends EventType>(types: readonly Type[]): readonly Type[] {
  const expected = `an array of types of events (${EVENT_TYPES.join(', ')})`;
  if (!Array.isArray(types)) throw typeError('options.types', expected, types);
  if (types.length === 0 || !types.every((type) => EVENT_TYPES.includes(type))) {
    throw valueError('options.types', expected, types);
  }
  return types;
}
