/**
 * Bytes that look random, the same in every run and other ones for each call, as what was recorded is
 * compared with what a test writes again.
 */
export function someBytes(size: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (let at = 0; at < size; at += 1) {
    // Numerical Recipes' generator; the high bits are the better ones.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

let state = 1;
