// What the targets share.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** A module of the built package. */
export function load(file) {
  return require(`../../../dist/${file}`);
}

/** An error of this package: one with a code. Anything else is a defect. Answers the code. */
export function codeOf(error) {
  const code = error?.code;
  const known =
    /^(?:E[A-Z0-9]+|ERR_(?:INVALID_ARG_TYPE|INVALID_ARG_VALUE|OUT_OF_RANGE|INVALID_STATE|CXL_BAD_RECORDING))$/;
  const own =
    error?.name === 'CxlError' || error?.name === 'ComplianceError' || error?.name === 'AbortError';
  if (code === undefined || !known.test(code)) throw error;
  // Node's own errors have the same codes, but name no argument of ours.
  if (code.startsWith('ERR_') && isNodes(error)) throw error;
  if (!code.startsWith('ERR_') && !own) throw error;
  // What was given may be undefined, and nothing else of a message.
  assert.doesNotMatch(error.message.replace(/got .*$/s, ''), /^$|undefined|\[object|NaN/);
  return code;
}

function isNodes(error) {
  // Node's stack begins in its own code.
  const [, first = ''] = error.stack.split('\n    at ');
  return /\(?node:/.test(first);
}

/** The outcome of a call: what `describe` makes of its answer, or the code of its error. */
export async function outcomeOf(call, describe = () => 'ok') {
  let answer;
  try {
    answer = await call();
  } catch (error) {
    return codeOf(error);
  }
  return describe(answer);
}

/** As outcomeOf(), for a call that is not asynchronous. */
export function outcomeOfSync(call, describe = () => 'ok') {
  let answer;
  try {
    answer = call();
  } catch (error) {
    return codeOf(error);
  }
  return describe(answer);
}

/** A count, in few classes: outcomes that differ in it alone are few. */
export function few(count) {
  if (count < 4) return String(count);
  return count < 16 ? '4+' : '16+';
}
