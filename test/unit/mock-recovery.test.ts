import { createMockCxl, echoAfu, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { attached, codeOf, oneCard, slave, sleep, thrownCode, until } from './mock-support';

const allOnes = 0xffff_ffff_ffff_ffffn;

describe('a card in error (EEH)', () => {
  it('reads as all ones and loses stores until the driver notices; then the mapping faults', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    expect(context.linkState()).toBe('up');
    mock.card(0).freeze();
    expect(registers.read64(8)).toBe(allOnes);
    expect(registers.read32(8)).toBe(0xffff_ffff);
    registers.write64(0x40, 0n);
    expect(context.linkState()).toBe('down');
    expect(thrownCode(() => context.mapProblemState())).toBe('EIO');
    expect(thrownCode(() => context.afuId())).toBe('EIO');
    mock.card(0).notice();
    expect(thrownCode(() => registers.read64(8))).toBe('EIO');
    await context.close();
  });

  it('removes the device nodes until it recovers; the AFU itself stays in sysfs', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    mock.card(0).linkDown();
    await until(() => mock.card(0).afu(0).mode === 'none');
    expect((await mock.afus()).map(({ name }) => name)).toEqual(['afu0.0']);
    expect(await codeOf(mock.open(slave))).toBe('ENOENT');
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    mock.card(0).recover();
    const again = await attached(mock);
    expect(again.linkState()).toBe('up');
    expect(context.linkState()).toBe('down');
    await context.close();
    await again.close();
    expect(mock.counters.contexts).toBe(0);
  });

  it('recovers by itself after enterErrorState()', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    mock.card(0).enterErrorState(5);
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await until(() => mock.card(0).link === 'ok');
    await context.close();
    const again = await attached(mock);
    await again.close();
  });

  it('leaves a context what it was opened as, after its AFU has lost its mode', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: echoAfu(), mode: 'dedicated' }] }] });
    const context = await attached(mock, '/dev/cxl/afu0.0d');
    mock.card(0).freeze();
    mock.card(0).notice();
    expect(mock.card(0).afu(0).mode).toBe('none');
    expect(mock.card(0).afu(0).context(0).role).toBe('dedicated');
    mock.inject({ name: 'close', device: 'afu0.0d' });
    expect(await codeOf(context.close())).toBe('EIO');
  });

  it('is noticed each time, and not while the link works', async () => {
    const mock = oneCard();
    for (let round = 0; round < 2; round += 1) {
      const context = await attached(mock);
      mock.card(0).notice();
      expect(mock.card(0).afu(0).context(0).status).toBe('STARTED');
      mock.card(0).freeze();
      mock.card(0).notice();
      expect(mock.card(0).afu(0).context(0).status).toBe('CLOSED');
      mock.card(0).recover();
      await context.close();
    }
  });

  it('locks contexts out until it recovers, also when one was being attached', async () => {
    const mock = oneCard();
    const kernel = mock.card(0).afu(0).createKernelContext();
    const slow = await mock.open(slave);
    mock.card(0).freeze();
    mock.card(0).notice();
    expect(kernel.start(0n)).toBe(-16);
    mock.card(0).recover();
    await slow.close();
    const starting = await mock.open(slave);
    mock.card(0).afu(0).delayNextAttach(20);
    const attach = codeOf(starting.attach({ wed: 0n }));
    await sleep(5);
    mock.card(0).freeze();
    mock.card(0).notice();
    mock.card(0).recover();
    expect(await attach).toBe('EIO');
    await starting.close();
    const again = await attached(mock);
    await again.close();
  });

  it('of a guest stays locked for a reset when it recovers from an error', async () => {
    const mock = oneCard({ flavor: 'guest' });
    await (await mock.adapters())[0]!.reset();
    mock.card(0).freeze();
    mock.card(0).recover();
    const context = await mock.open(slave);
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EBUSY');
    await context.close();
  });

  it('stays in error when the recovery of an earlier error comes due', async () => {
    const mock = oneCard();
    mock.card(0).enterErrorState(15);
    mock.card(0).recover();
    mock.card(0).freeze();
    await sleep(30);
    expect(mock.card(0).link).toBe('frozen');
    mock.card(0).recover();
    expect(mock.card(0).link).toBe('ok');
  });

  it('refuses a reset of the AFU, and a change of mode that needs the link, and leaves the AFU with none', async () => {
    const mock = oneCard();
    const [afu] = await mock.afus();
    mock.card(0).freeze();
    expect(await codeOf(afu!.reset())).toBe('EIO');
    expect(await codeOf(afu!.setMode('afu_directed'))).toBe('EIO');
    expect(mock.card(0).afu(0).mode).toBe('none');
  });
});

describe('recovery of a card that a reset gives an image', () => {
  const withImage = (perstReloadsSameImage: boolean) =>
    createMockCxl({
      cards: [{ loadImageOnPerst: 'user', perstReloadsSameImage, afus: [{ model: memcpyAfu() }] }],
    });

  it('recovers as the same card when the image is the same (perst_reloads_same_image 1)', async () => {
    const mock = withImage(true);
    const context = await attached(mock);
    mock.card(0).linkDown();
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    mock.card(0).recover();
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
    expect(mock.log).not.toContain('card0: reflashing, so opting out of EEH!');
    await context.close();
  });

  it('is probed as a new card otherwise (0), with another number while contexts are open', async () => {
    const mock = withImage(false);
    const context = await attached(mock);
    const [before] = await mock.afus();
    await before!.setIrqsMax(100);
    mock.card(0).linkDown();
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    expect(await mock.adapters()).toEqual([]);
    expect(mock.log.at(-1)).toBe('card0: reflashing, so opting out of EEH!');
    mock.card(0).recover();
    const [after] = await mock.afus();
    expect(after!.name).toBe('afu1.0');
    expect(await after!.irqsMax()).toBe(2037);
    expect(await mock.adapters().then(([card]) => card!.perstReloadsSameImage())).toBe(false);
    await context.close();
    mock.card(0).rebind();
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
  });

  it('stays bound in a guest, whose driver knows of no image', () => {
    const mock = createMockCxl({ flavor: 'guest', cards: [{ loadImageOnPerst: 'user' }] });
    mock.card(0).freeze();
    mock.card(0).notice();
    expect(mock.card(0).bound).toBe(true);
  });

  it('keeps its number when nothing was open', async () => {
    const mock = withImage(false);
    mock.card(0).linkDown();
    await until(() => !mock.card(0).bound);
    mock.card(0).recover();
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
  });
});

describe('a reset of the card', () => {
  it('is refused while a context is attached, and only then', async () => {
    const mock = oneCard();
    const [card] = await mock.adapters();
    const opened = await mock.open(slave);
    const context = await attached(mock);
    expect(await codeOf(card!.reset())).toBe('EBUSY');
    await context.close();
    expect(await codeOf(card!.reset())).toBe(undefined);
    expect(mock.card(0).link).toBe('frozen');
    await until(() => mock.card(0).link === 'ok');
    await opened.close();
    const again = await attached(mock);
    await again.close();
  });

  it('detaches contexts when it is forced', async () => {
    const mock = oneCard();
    const [card] = await mock.adapters();
    const context = await attached(mock);
    await card!.reset({ force: true });
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await until(() => mock.card(0).link === 'ok');
    await context.close();
  });

  it('is EINVAL while perst_reloads_same_image is set', async () => {
    const mock = createMockCxl({ cards: [{ perstReloadsSameImage: true }] });
    const [card] = await mock.adapters();
    expect(await codeOf(card!.reset())).toBe('EINVAL');
    expect(await codeOf(card!.reset({ force: true }))).toBe('EINVAL');
    expect(mock.log.at(-1)).toMatch(/^card0: .*perst_reloads_same_image is set/);
    const context = await attached(mock);
    // A reset that was forced does not forget that a context is attached.
    expect(await codeOf(card!.reset({ force: true }))).toBe('EINVAL');
    expect(await codeOf(card!.reset())).toBe('EBUSY');
    await context.close();
  });
});

describe('a reset of an AFU', () => {
  it('is EBUSY while any context exists, and clears the registers', async () => {
    const mock = oneCard();
    const [afu] = await mock.afus();
    const context = await attached(mock, '/dev/cxl/afu0.0m');
    context.mapProblemState().write64(0, 0x2000_0000_0000_0000n);
    expect(await codeOf(afu!.reset())).toBe('EBUSY');
    await context.close();
    await afu!.reset();
    const again = await attached(mock, '/dev/cxl/afu0.0m');
    expect(again.mapProblemState().read64(0)).toBe(0n);
    await again.close();
  });
});

describe('a card out of its slot', () => {
  it('has no device nodes, and calls on what is open are EIO', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    mock.card(0).afu(0).raiseInterrupt(0, 1);
    mock.card(0).unplug();
    expect(await mock.adapters()).toEqual([]);
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    expect(thrownCode(() => registers.read64(0))).toBe('EIO');
    await context.close();
    mock.card(0).plug();
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
    const again = await attached(mock);
    await again.close();
  });

  it('is gone, whatever happens to its link, until it is plugged in', async () => {
    const mock = oneCard();
    mock.card(0).linkDown();
    mock.card(0).unplug();
    mock.card(0).freeze();
    mock.card(0).recover();
    mock.card(0).unbind();
    await sleep(5);
    expect([mock.card(0).link, mock.card(0).bound]).toEqual(['gone', false]);
    mock.card(0).plug();
    expect([mock.card(0).link, mock.card(0).number]).toEqual(['ok', 0]);
  });

  it('keeps its number from the next card while a context of any of its AFUs is open', async () => {
    const mock = createMockCxl({ cards: [{ afus: [{}, {}] }] });
    const [first, second] = [await attached(mock), await mock.open(slave)];
    mock.card(0).unplug();
    await second.close();
    mock.card(0).plug();
    expect(mock.card(0).number).toBe(1);
    await first.close();
    expect(mock.card(0).number).toBe(1);
    mock.card(0).rebind();
    expect(mock.card(0).number).toBe(0);
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
  });

  it('cannot be plugged in twice', () => {
    expect(thrownCode(() => oneCard().card(0).plug())).toBe('ERR_INVALID_STATE');
    expect(thrownCode(() => oneCard().card(0).bind())).toBe('ERR_INVALID_STATE');
  });

  it('still delivers pending events when only the driver was unbound', async () => {
    const mock = oneCard();
    const context = await attached(mock);
    mock.card(0).afu(0).afuError(0, 9n);
    mock.card(0).unbind();
    expect(await context.waitForEvent()).toMatchObject({ type: 'afu-error', error: 9n });
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await context.close();
    mock.card(0).bind();
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
  });
});
