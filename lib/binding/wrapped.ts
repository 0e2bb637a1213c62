/** Backends that pass every call on to another one. */
import type { Binding } from '.';

const wrapped = new WeakMap<Binding, Binding>();

/** Declares that `outer` passes every call on to `inner`. */
export function wraps(outer: Binding, inner: Binding): void {
  wrapped.set(outer, inner);
}

/** The backend that a wrapped one passes its calls on to, and `binding` itself where it is none. */
export function unwrapped(binding: Binding): Binding {
  let inner = binding;
  for (let next = wrapped.get(inner); next !== undefined; next = wrapped.get(inner)) inner = next;
  return inner;
}
