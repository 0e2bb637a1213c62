/** The system that programs use, and what a test puts in its place. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { chooseBinding } from './backend';
import type { Binding } from './binding';
import { Cxl } from './device/cxl';
import { checkFunction } from './shared/checks';
import { typeError } from './shared/errors';

/** Set by setGlobalSystem(). */
let replacement: Cxl | undefined;
/** Set by withSystem(). Made when that is first called: a program without tests has none. */
let scoped: AsyncLocalStorage<Cxl> | undefined;

class DefaultCxl extends Cxl {
  override get binding(): Binding {
    const system = scoped?.getStore() ?? replacement;
    return system === undefined ? super.binding : system.binding;
  }
}

/**
 * The system that programs use: this machine's cards, or what NODE_CXL_BACKEND says instead, such as a
 * mock.
 */
export const cxl: Cxl = new DefaultCxl(chooseBinding);

/** @internal What `cxl` stands for now. Objects that live longer than a call keep this. */
export function currentSystem(): Cxl {
  return scoped?.getStore() ?? replacement ?? cxl;
}

/** What setGlobalSystem() returns: undoes it. */
export interface GlobalSystem extends Disposable {
  /** Puts back what was there before. Idempotent. */
  restore(): void;
}

/**
 * Makes `cxl` stand for another system, everywhere in this thread: code that imports `cxl` runs on a
 * mock, without module mocking. Flash functions without a `system` use it too. What was opened
 * before stays on the system that it was opened on.
 *
 * @param system undefined: this machine again, or what NODE_CXL_BACKEND says
 * @returns undoes this, also as `using`
 * @throws ERR_INVALID_ARG_TYPE
 * @example
 * import { cxl } from 'node-cxl';
 * import { createMockCxl, setGlobalSystem } from 'node-cxl/mock';
 *
 * async function program() {
 *   const [afu] = await cxl.afus();
 *   return (await afu?.open())?.close();
 * }
 *
 * const mock = createMockCxl();
 * using _ = setGlobalSystem(mock);
 * await program(); // on the mock
 * mock.assertNoLeaks();
 */
export function setGlobalSystem(system: Cxl | undefined): GlobalSystem {
  if (system !== undefined) checkSystem(system);
  const before = replacement;
  let restored = false;
  replacement = system === cxl ? undefined : system;
  const restore = () => {
    if (!restored) replacement = before;
    restored = true;
  };
  return { restore, [Symbol.dispose]: restore };
}

/**
 * Calls a function in which `cxl` stands for another system, also in what it awaits and in callbacks
 * that it sets. Outside it `cxl` is unchanged, so that tests that run at the same time do not
 * disturb each other. Within it, setGlobalSystem() has no effect.
 *
 * @returns what `callback` returns
 * @throws ERR_INVALID_ARG_TYPE; what `callback` throws
 * @example
 * import { cxl } from 'node-cxl';
 * import { createMockCxl, withSystem } from 'node-cxl/mock';
 *
 * const program = async () => (await cxl.afus()).length;
 * const jobs = [1, 2].map((count) => {
 *   const cards = Array.from({ length: count }, () => ({}));
 *   return withSystem(createMockCxl({ cards }), program);
 * });
 * console.log(await Promise.all(jobs)); // [ 1, 2 ]
 */
export function withSystem<T>(system: Cxl, callback: () => T): T {
  checkSystem(system);
  checkFunction('callback', callback);
  // `cxl` itself would refer to itself.
  if (system === cxl) return callback();
  scoped ??= new AsyncLocalStorage();
  return scoped.run(system, callback);
}

/** @internal The system of an option that names one; what `cxl` stands for where it does not. */
export function systemOption(system: Cxl | undefined): Cxl {
  return system === undefined ? currentSystem() : checkSystem(system, 'options.system');
}

function checkSystem(system: Cxl, name = 'system'): Cxl {
  if (!(system instanceof Cxl)) throw typeError(name, 'a Cxl, such as of createMockCxl()', system);
  return system;
}
