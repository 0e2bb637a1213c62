/** Assertions that nothing is left at the end of a test, which show where each thing came from. */
import { AssertionError } from 'node:assert';
import type { Traced } from '../../emulation/origin';

/** @throws AssertionError with each thing and its stack, if there are any */
export function assertNone(
  title: string,
  left: readonly Traced[],
  above: (...args: never[]) => unknown,
): void {
  if (left.length === 0) return;
  const entries = left.map(({ what, origin }) => `- ${what}\n${framesOf(origin)}`);
  throw new AssertionError({
    message: `${left.length} ${title}:\n${entries.join('\n')}`,
    actual: left.map(({ what }) => what),
    expected: [],
    operator: above.name,
    stackStartFn: above,
  });
}

/** The frames of a stack that are neither this package's nor Node's. */
function framesOf(origin: string): string {
  const frames = origin.split('\n').slice(1);
  const outside = frames.filter(
    (frame) => /[:/\\]/.test(frame) && !/[( ]node:/.test(frame) && !frame.includes(PACKAGE),
  );
  return (outside.length > 0 ? outside : frames).join('\n');
}

/** The folder of the compiled package: this file is in mock/device/ of it. */
const PACKAGE = __dirname.slice(0, -'mock/device'.length);
