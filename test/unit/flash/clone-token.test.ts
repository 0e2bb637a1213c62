/** What cloneFrom() takes for a token. */
import { describe, expect, it } from 'vitest';
import { sourceContextId } from '../../../lib/flash/clone-token';

const PARENT = 17;
const token = { contextId: '1f00000007', processId: PARENT, resources: [] };

describe('a token of cloneToken()', () => {
  it('has the id of the context, in up to 16 hexadecimal digits', () => {
    expect(sourceContextId(token, PARENT)).toBe(0x1f_0000_0007n);
    expect(sourceContextId({ ...token, contextId: '0' }, PARENT)).toBe(0n);
    const most = { ...token, contextId: 'f'.repeat(16) };
    expect(sourceContextId(most, PARENT)).toBe(2n ** 64n - 1n);
  });

  it('is refused when it is none', () => {
    for (const wrong of [
      undefined,
      null,
      {},
      ...['', 'f'.repeat(17), 'x1', '1x', '0x1', 0x1f, undefined].map((contextId) => ({
        ...token,
        contextId,
      })),
      { ...token, resources: undefined },
      { ...token, resources: {} },
    ]) {
      const clone = () => sourceContextId(wrong as never, PARENT);
      expect(clone).toThrow(expect.objectContaining({ code: 'ERR_INVALID_ARG_TYPE' }));
      expect(clone).toThrow('token must be what cloneToken() made');
    }
  });

  it('is the direct parent’s', () => {
    const clone = () => sourceContextId(token, PARENT + 1);
    expect(clone).toThrow(expect.objectContaining({ code: 'ERR_INVALID_STATE' }));
    // Which process it is that has made it, and which would have to.
    expect(clone).toThrow(`process ${PARENT} made this token`);
    expect(clone).toThrow(`the parent of this process is ${PARENT + 1}`);
  });
});
