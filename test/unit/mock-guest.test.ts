import { AbortError } from 'node-cxl';
import { createMockCxl, type MockCxl, type MockOptions, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import type { DeviceFile } from '../../lib/binding';
import type { CardIoctls } from '../../lib/binding/cxl-ioctls';
import { attached, codeOf, oneCard, slave, sleep, thrownCode, until } from './mock-support';

/** As the emulated POWER machine has it: eight processes, 64 KiB each. */
function guest(options: MockOptions = {}): MockCxl {
  const model = memcpyAfu({ processes: 7 });
  return createMockCxl({
    flavor: 'guest',
    errorPollInterval: 20,
    cards: [{ afus: [{ model }] }],
    ...options,
  });
}

function openCard(mock: MockCxl, number = 0): Promise<DeviceFile<CardIoctls>> {
  const { binding } = mock as unknown as {
    binding: { openCard(path: string): Promise<DeviceFile<CardIoctls>> };
  };
  return binding.openCard(`/dev/cxl/card${number}`);
}

/** Sends one chunk: what the driver answers. */
async function send(
  card: DeviceFile<CardIoctls>,
  operation: 'DOWNLOAD_IMAGE' | 'VALIDATE_IMAGE',
  data: Uint8Array,
  imageLength: number,
  needHeader = false,
): Promise<number> {
  const flags = needHeader ? 1n : 0n;
  const answer = await card.ioctl(operation, { flags, data, lenImage: BigInt(imageLength) });
  return typeof answer === 'number' ? answer : answer.result;
}

describe('a PowerVM guest', () => {
  it('has no process element before the attach; events carry the driver’s index', async () => {
    const mock = guest();
    const context = await mock.open(slave);
    expect(context.processElement).toBe(undefined);
    await context.attach({ wed: 0n });
    expect(context.processElement).toBe(32);
    expect(context.mapProblemState().read64(8)).toBe(32n << 48n);
    mock.card(0).afu(0).raiseInterrupt(0, 1);
    expect((await context.waitForEvent()).processElement).toBe(0);
    await context.close();
  });

  it('has the size of the areas from the first attach on', async () => {
    const mock = guest();
    const [afu] = await mock.afus();
    expect([await afu!.mmioSize(), await afu!.perProcessMmioLength()]).toEqual([524288, 0]);
    const context = await attached(mock);
    expect([await afu!.mmioSize(), await afu!.perProcessMmioLength()]).toEqual([65536, 65536]);
    expect(context.mapProblemState().length).toBe(65536);
    await context.close();
  });

  it('lacks the attributes that only bare metal has', async () => {
    const mock = guest();
    const [card] = await mock.adapters();
    expect([
      await card!.baseImage(),
      await card!.imageLoaded(),
      await card!.loadImageOnPerst(),
      await card!.perstReloadsSameImage(),
      await (await mock.afus())[0]!.perProcessMmioOffset(),
    ]).toEqual([undefined, undefined, undefined, undefined, undefined]);
    expect(await card!.pslTimebaseSynced()).toBe(true);
    expect(card!.pciPath).toMatch(/^\/sys\/devices\/platform\/.*coherent-platform-facility$/);
  });

  it('has an error buffer that reads as empty', async () => {
    const [afu] = await guest().afus();
    expect(await afu!.errorBuffer()).toEqual(new Uint8Array(0));
  });

  it('takes one interrupt more per context, for the PSL', async () => {
    const mock = createMockCxl({ flavor: 'guest', cards: [{ interrupts: 9 }] });
    const [a, b] = [await mock.open(slave), await mock.open(slave)];
    await a.attach({ wed: 0n, interrupts: 4 });
    expect(mock.card(0).freeInterrupts).toBe(4);
    expect(await codeOf(b.attach({ wed: 0n, interrupts: 4 }))).toBe('ENOSPC');
    await a.close();
    expect(mock.card(0).freeInterrupts).toBe(9);
    await b.close();
  });

  it('has the highest irqs_max that the hypervisor gives the AFU, not what the card has', async () => {
    const afus = [{ interruptsMaximum: 8 }];
    for (const [flavor, outcome] of [
      ['guest', 'EINVAL'],
      ['bare-metal', undefined],
    ] as const) {
      const [afu] = await createMockCxl({ flavor, cards: [{ afus }] }).afus();
      expect(await afu!.irqsMax()).toBe(8);
      expect(await codeOf(afu!.setIrqsMax(9))).toBe(outcome);
      expect(await codeOf(afu!.setIrqsMax(7))).toBe(undefined);
    }
  });

  it('has no dedicated mode', async () => {
    const [afu] = await guest().afus();
    expect(await afu!.modesSupported()).toEqual(['afu_directed']);
    expect(await codeOf(afu!.setMode('dedicated_process'))).toBe('EINVAL');
  });

  // guest.c, cxl_guest_init_afu
  it('has no AFU of one process: the driver removes it, and keeps the others and the card', async () => {
    const mock = createMockCxl({
      flavor: 'guest',
      cards: [
        { afus: [{ model: memcpyAfu({ processes: 1 }) }, { model: memcpyAfu() }] },
        { afus: [{ model: memcpyAfu({ processes: 1 }) }] },
      ],
    });
    expect((await mock.adapters()).map((one) => one.name)).toEqual(['card0', 'card1']);
    expect((await mock.afus()).map((one) => one.name)).toEqual(['afu0.1']);
    expect(await codeOf(mock.open(slave))).toBe('ENOENT');
    expect(thrownCode(() => mock.card(0).afu(0).mode)).toBe('ERR_INVALID_STATE');
    expect(mock.card(0).afu(1).mode).toBe('directed');
    expect(mock.log).toContain('AFU 0 failed to initialise: -22');
    mock.card(0).linkDown();
    mock.card(0).recover();
    await (await attached(mock, '/dev/cxl/afu0.1s')).close();
  });

  // flash.c, device_open
  it('opens one card’s node at a time, whichever it is, and resets it at each close', async () => {
    const mock = guest({ cards: [{}, {}] });
    const first = await openCard(mock);
    const opened: string[] = [];
    const second = openCard(mock, 1).then((card) => {
      opened.push('second');
      return card;
    });
    const third = openCard(mock).then((card) => {
      opened.push('third');
      return card;
    });
    await sleep(20);
    expect(opened).toEqual([]);
    await first.close();
    expect(await (await second).close()).toBe(0);
    expect(await (await third).close()).toBe(0);
    expect(opened).toEqual(['second', 'third']);
  });

  it('has no node any more for an open that waited while its card was unplugged', async () => {
    const mock = guest({ cards: [{}, {}] });
    const first = await openCard(mock);
    const waiting = openCard(mock, 1);
    await sleep(5);
    mock.card(1).unplug();
    await first.close();
    expect(await waiting).toBe(-19);
    expect(await (await openCard(mock)).close()).toBe(0);
  });

  it('has no tunneled operations, whatever the card can do', async () => {
    const card = { caiaVersion: '2.0', tunneledOps: true };
    const mock = createMockCxl({ flavor: 'guest', cards: [card] });
    expect(await (await mock.adapters())[0]!.tunneledOpsSupported()).toBe(false);
    const bareMetal = createMockCxl({ cards: [card, { caiaVersion: '1.0', tunneledOps: true }] });
    const shown = (await bareMetal.adapters()).map((one) => one.tunneledOpsSupported());
    expect(await Promise.all(shown)).toEqual([true, false]);
  });
});

describe('an error state in a guest', () => {
  it('is EIO at once, but wakes a wait only when the driver polls', async () => {
    const mock = guest();
    const context = await attached(mock);
    const registers = context.mapProblemState();
    const wait = codeOf(context.waitForEvent());
    mock.card(0).linkDown();
    // Without a wait, during which the driver might poll on a slow machine.
    expect(context.linkState()).toBe('down');
    expect(registers.read64(8)).toBe(0xffff_ffff_ffff_ffffn);
    expect(mock.card(0).afu(0).context(0).status).toBe('STARTED');
    expect(await codeOf(mock.open(slave))).toBe('EIO');
    expect(await wait).toBe('EIO');
    expect(mock.card(0).afu(0).context(0).status).toBe('CLOSED');
    expect(thrownCode(() => registers.read64(8))).toBe('EIO');
    mock.card(0).recover();
    const again = await attached(mock);
    await again.close();
    await context.close();
  });

  it('is not noticed before the driver polls', async () => {
    const mock = guest({ errorPollInterval: 60_000 });
    const context = await attached(mock);
    mock.card(0).linkDown();
    await sleep(10);
    expect(mock.card(0).afu(0).context(0).status).toBe('STARTED');
    mock.card(0).notice();
    expect(mock.card(0).afu(0).context(0).status).toBe('CLOSED');
    await context.close();
  });

  it('keeps the device nodes', async () => {
    const mock = guest();
    mock.card(0).linkDown();
    mock.card(0).notice();
    expect(mock.card(0).afu(0).mode).toBe('directed');
  });
});

describe('a reset of a guest’s card', () => {
  it('makes every later START_WORK fail until the driver is bound again', async () => {
    const mock = guest();
    const [card] = await mock.adapters();
    const opened = await mock.open(slave);
    await card!.reset();
    expect(mock.card(0).afu(0).context(0).status).toBe('CLOSED');
    await opened.close();
    const context = await mock.open(slave);
    expect(await codeOf(context.attach({ wed: 0n }))).toBe('EBUSY');
    await context.close();
    mock.card(0).rebind();
    const again = await attached(mock);
    await again.close();
  });

  it('does not when it is forced, but detaches all contexts', async () => {
    const mock = guest();
    const [card] = await mock.adapters();
    const context = await attached(mock);
    expect(await codeOf(card!.reset())).toBe('EBUSY');
    await card!.reset({ force: true });
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await context.close();
    const again = await attached(mock);
    await again.close();
  });

  it('clears the registers of its AFUs', async () => {
    const mock = guest();
    const [card] = await mock.adapters();
    const context = await attached(mock, '/dev/cxl/afu0.0m');
    context.mapProblemState().write64(0, 0x2000_0000_0000_0000n);
    await context.close();
    await card!.reset({ force: true });
    const again = await attached(mock, '/dev/cxl/afu0.0m');
    expect(again.mapProblemState().read64(0)).toBe(0n);
    await again.close();
  });
});

describe('/dev/cxl/cardN of a guest', () => {
  it('is not there on bare metal', async () => {
    const mock = oneCard();
    expect(await openCard(mock)).toBe(-2);
    const [card] = await mock.adapters();
    expect(await codeOf(card!.downloadImage(new Uint8Array(16)))).toBe('ENOENT');
  });

  it('is not opened with invalid options, since the close would reset the adapter', async () => {
    const mock = guest();
    const [card] = await mock.adapters();
    const image = new Uint8Array(16);
    for (const options of [
      null,
      { needHeader: 1 },
      { onProgress: 'a bar' },
      { signal: { aborted: false } },
    ]) {
      expect(await codeOf(card!.downloadImage(image, options as never))).toBe(
        'ERR_INVALID_ARG_TYPE',
      );
    }
    expect(mock.card(0).link).toBe('ok');
  });

  it('takes an image twice in chunks; then the card is probed as a new one', async () => {
    const mock = guest();
    const [card] = await mock.adapters();
    const image = Uint8Array.from({ length: 2.5 * 1024 * 1024 }, (_, index) => index % 251);
    const progress: string[] = [];
    await card!.downloadImage(image, {
      needHeader: true,
      onProgress: ({ phase, sent }) => progress.push(`${phase} ${sent}`),
    });
    const first = 1024 * 1024 - 128;
    const sent = [first, first + 1024 * 1024, image.length];
    expect(progress).toEqual([
      ...sent.map((bytes) => `download ${bytes}`),
      ...sent.map((bytes) => `validate ${bytes}`),
    ]);
    await until(() => mock.card(0).bound);
    expect((await mock.adapters()).map(({ number }) => number)).toEqual([0]);
    expect(mock.counters.files).toBe(0);
    const context = await attached(mock);
    await context.close();
  });

  it('is reset and closed by an abort at any step of a download, and is usable afterwards', async () => {
    const mock = guest();
    const image = new Uint8Array(2.5 * 1024 * 1024);
    const steps = 6;
    for (let step = 0; step <= steps; step += 1) {
      const [card] = await mock.adapters();
      const controller = new AbortController();
      let done = 0;
      if (step === 0) setImmediate(() => controller.abort());
      const downloading = card!.downloadImage(image, {
        signal: controller.signal,
        onProgress: () => {
          done += 1;
          if (done === step) controller.abort();
        },
      });
      // After the last step nothing is left to abort.
      if (step === steps) expect(await downloading).toBe(undefined);
      else {
        await expect(downloading).rejects.toBeInstanceOf(AbortError);
        expect(done).toBe(step);
      }
      expect(mock.counters.files).toBe(0);
      await until(() => mock.card(0).bound && mock.card(0).link === 'ok');
      const context = await attached(mock);
      await context.close();
    }
  });

  it('refuses a chunk over 1 MiB with its header, and resets the card', async () => {
    const mock = guest();
    const card = await openCard(mock);
    expect(await send(card, 'DOWNLOAD_IMAGE', new Uint8Array(1024 * 1024), 2 ** 21)).toBe(1);
    expect(await send(card, 'DOWNLOAD_IMAGE', new Uint8Array(1024 * 1024), 2 ** 21, true)).toBe(
      -22,
    );
    expect(mock.card(0).link).toBe('frozen');
    await card.close();
    await until(() => mock.card(0).link === 'ok');
  });

  it('takes a chunk of 1 MiB with its header, and no byte more', async () => {
    const mock = guest();
    const card = await openCard(mock);
    const most = 1024 * 1024 - 128;
    expect(await send(card, 'DOWNLOAD_IMAGE', new Uint8Array(most), 2 ** 21, true)).toBe(1);
    expect(await send(card, 'DOWNLOAD_IMAGE', new Uint8Array(most + 1), 2 ** 21, true)).toBe(-22);
    expect(await send(card, 'DOWNLOAD_IMAGE', new Uint8Array(1024 * 1024), 2 ** 21)).toBe(1);
    expect(await send(card, 'DOWNLOAD_IMAGE', new Uint8Array(1024 * 1024 + 1), 2 ** 22)).toBe(-22);
    await card.close();
  });

  it('refuses more than the image has, and begins anew after it', async () => {
    const mock = guest();
    const card = await openCard(mock);
    const image = Uint8Array.of(1, 2, 3);
    expect(await send(card, 'DOWNLOAD_IMAGE', Uint8Array.of(9, 9), 3)).toBe(1);
    expect(await send(card, 'DOWNLOAD_IMAGE', Uint8Array.of(9, 9), 3)).toBe(-22);
    expect(mock.card(0).link).toBe('frozen');
    // What was sent of a download that another operation followed does not count.
    expect(await send(card, 'DOWNLOAD_IMAGE', Uint8Array.of(9), 3)).toBe(1);
    expect(await send(card, 'VALIDATE_IMAGE', Uint8Array.of(9), 3)).toBe(1);
    for (const byte of image) {
      const left = 3 - byte;
      expect(await send(card, 'DOWNLOAD_IMAGE', Uint8Array.of(byte), 3)).toBe(left > 0 ? 1 : 0);
    }
    expect(await send(card, 'VALIDATE_IMAGE', image.subarray(0, 2), 3)).toBe(1);
    expect(await send(card, 'VALIDATE_IMAGE', image.subarray(2), 3)).toBe(0);
    await card.close();
    await until(() => mock.card(0).link === 'ok');
  });

  it('is among what is left open', async () => {
    const mock = guest({ cards: [{}, {}] });
    const card = await openCard(mock, 1);
    expect(() => mock.assertNoLeaks()).toThrow(/- an open card: card1\n/);
    await card.close();
    mock.assertNoLeaks();
  });

  it('removes the AFUs once an image is validated; the close probes the card', async () => {
    const mock = guest();
    const context = await attached(mock);
    const card = await openCard(mock);
    const image = Uint8Array.of(1, 2, 3);
    expect(await send(card, 'DOWNLOAD_IMAGE', image, 3)).toBe(0);
    expect((await mock.afus()).length).toBe(1);
    expect(await send(card, 'VALIDATE_IMAGE', image, 3)).toBe(0);
    expect(await mock.afus()).toEqual([]);
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await card.close();
    // The close of an image that was replaced is no error of the link.
    expect([mock.card(0).link, mock.card(0).number]).toEqual(['ok', 1]);
    expect((await mock.afus()).map(({ name }) => name)).toEqual(['afu1.0']);
    await context.close();
    mock.card(0).rebind();
    expect(mock.card(0).number).toBe(0);
  });

  it('refuses to validate what was not downloaded', async () => {
    const mock = guest();
    const card = await openCard(mock);
    expect(await send(card, 'DOWNLOAD_IMAGE', Uint8Array.of(1, 2, 3), 3)).toBe(0);
    expect(await send(card, 'VALIDATE_IMAGE', Uint8Array.of(1, 2), 3)).toBe(1);
    expect(await send(card, 'VALIDATE_IMAGE', Uint8Array.of(4), 3)).toBe(-22);
    await card.close();
    await until(() => mock.card(0).link === 'ok');
  });

  it('has a copy of what was downloaded, and validates nothing without a download', async () => {
    const mock = guest();
    const card = await openCard(mock);
    expect(await send(card, 'VALIDATE_IMAGE', Uint8Array.of(1), 1)).toBe(-22);
    const image = Uint8Array.of(1, 2, 3);
    expect(await send(card, 'DOWNLOAD_IMAGE', image, 3)).toBe(0);
    image.fill(9);
    expect(await send(card, 'VALIDATE_IMAGE', Uint8Array.of(1, 2, 3), 3)).toBe(0);
    await card.close();
  });

  it('resets nothing at its close once the driver is unbound', async () => {
    const mock = guest();
    const card = await openCard(mock);
    mock.card(0).unbind();
    await card.close();
    expect([mock.card(0).bound, mock.card(0).link]).toEqual([false, 'ok']);
    mock.card(0).bind();
    await (await attached(mock)).close();
  });

  it('detaches contexts when it is closed, even if nothing was transferred', async () => {
    const mock = guest();
    const context = await attached(mock);
    const card = await openCard(mock);
    await card.close();
    expect([mock.card(0).link, mock.card(0).number]).toEqual(['frozen', 0]);
    expect(await codeOf(context.waitForEvent())).toBe('EIO');
    await context.close();
  });
});
