import { realTimers } from './real-timers';

/**
 * Resolves in a later turn of the event loop, as what the addon does on another thread. With a duration it
 * follows the fake clock of a test.
 */
export function later(milliseconds = 0): Promise<void> {
  return new Promise((done) => {
    if (milliseconds > 0) setTimeout(done, milliseconds);
    else realTimers.setImmediate(done);
  });
}
