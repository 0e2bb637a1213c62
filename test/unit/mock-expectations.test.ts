import { describe, expect, it } from 'vitest';
import { mapped, oneEcho } from './mock-support';

const ECHO = 0x00;

describe('expectAccess', () => {
  it('gets the next access that fits, with its context', async () => {
    const system = oneEcho();
    const afu = system.card(0).afu(0);
    const any = afu.expectAccess();
    const store = afu.expectAccess({ access: 'store' });
    const echo = afu.expectAccess({ offset: ECHO, value: 7n });
    const { context, area } = await mapped(system);
    area.read32(0x0c);
    area.write64(ECHO, 6n);
    area.write64(ECHO, 7n);
    expect(await any).toMatchObject({ access: 'load', offset: 0x0c, width: 4, value: 0n });
    expect(await store).toMatchObject({ access: 'store', offset: ECHO, width: 8, value: 6n });
    const made = await echo;
    expect(made.value).toBe(7n);
    made.context.raiseInterrupt(1);
    await context.waitForInterrupt(1);
    await context.close();
  });

  it('ends with ETIMEDOUT or AbortError', async () => {
    const afu = oneEcho().card(0).afu(0);
    await expect(afu.expectAccess({ timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    const signal = AbortSignal.abort();
    await expect(afu.expectAccess({ signal })).rejects.toMatchObject({ code: 'ABORT_ERR' });
    for (const wrong of [{ access: 'read' }, { offset: -1 }, { value: 1 }, { address: 1 }]) {
      await expect(afu.expectAccess(wrong as never), JSON.stringify(wrong)).rejects.toMatchObject({
        code: expect.stringMatching(/^ERR_/),
      });
    }
  });
});

describe('expectAttach', () => {
  it('can be for a work element descriptor and a number of interrupts', async () => {
    const system = oneEcho();
    const afu = system.card(0).afu(0);
    const second = afu.expectAttach({ wed: 2n });
    const many = afu.expectAttach({ interrupts: 3 });
    const contexts = [await mapped(system, { wed: 1n }), await mapped(system, { wed: 2n })];
    expect((await second).index).toBe(1);
    const third = await system.open('afu0.0s');
    await third.attach({ wed: 1n, interrupts: 3 });
    expect((await many).index).toBe(2);
    for (const { context } of contexts) await context.close();
    await third.close();
  });
});

describe('expectWait', () => {
  it('resolves once the program waits, also when it does already', async () => {
    const system = oneEcho();
    const afu = system.card(0).afu(0);
    const expected = afu.expectWait();
    const { context } = await mapped(system);
    const event = context.waitForEvent();
    const waiting = await expected;
    expect(waiting.waiting).toBe(true);
    expect((await afu.expectWait()).index).toBe(waiting.index);
    waiting.raiseInterrupt(1);
    expect(await event).toMatchObject({ type: 'afu-interrupt', irq: 1 });
    expect(waiting.waiting).toBe(false);
    await expect(afu.expectWait({ timeout: 1 })).rejects.toMatchObject({ code: 'ETIMEDOUT' });
    await context.close();
  });
});
