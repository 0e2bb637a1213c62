/** The in-kernel API of the driver, by which another driver such as cxlflash makes contexts. */
import { createMockCxl, memcpyAfu } from 'node-cxl/mock';
import { describe, expect, it } from 'vitest';
import { codeOf, inKernel, oneCard, oneEcho, readEvent, thrownCode } from './mock-support';

const EACCES = -13;
const EBUSY = -16;
const EINVAL = -22;
const EIO = -5;
const EMFILE = -24;
const ENOSPC = -28;

describe('the in-kernel API', () => {
  it('starts a context once, stops it once, and releases it only when stopped', () => {
    const mock = oneCard();
    const context = mock.card(0).afu(0).createKernelContext();
    expect(context.status).toBe('OPENED');
    expect(context.allocateInterrupts(2)).toBe(0);
    expect(context.start(0n)).toBe(0);
    expect(context.start(0n)).toBe(0);
    expect(context.release()).toBe(EBUSY);
    expect(context.stop()).toBe(0);
    expect(context.stop()).toBe(EBUSY);
    context.freeInterrupts();
    expect(context.release()).toBe(0);
    expect(mock.counters.contexts).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });

  it('keeps the number of interrupts, and those pending, when they are freed', () => {
    const mock = oneCard();
    const context = inKernel(mock);
    context.context.process!.raiseInterrupt(2);
    context.context.process!.raiseInterrupt(3);
    expect(context.stop()).toBe(0);
    context.freeInterrupts();
    expect(mock.card(0).freeInterrupts).toBe(2037);
    expect(context.context.interrupts).toBe(4);
    expect([readEvent(context).irq, readEvent(context).irq]).toEqual([2, 3]);
    // A second time there is nothing to give back.
    context.freeInterrupts();
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });

  it('does not free interrupts with the context: they are lost until the next probe', async () => {
    const mock = oneCard();
    const released = mock.card(0).afu(0).createKernelContext();
    expect(released.allocateInterrupts(5)).toBe(0);
    expect(released.release()).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(2032);
    const stopped = mock.card(0).afu(0).createKernelContext();
    expect(stopped.startWork({ wed: 0n, interrupts: 7 })).toBe(0);
    const program = mock.adopt(stopped.getFd(), { owned: true });
    expect(stopped.stop()).toBe(0);
    await program.close();
    expect(mock.counters.contexts).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(2025);
    mock.card(0).rebind();
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });

  it('takes irqs_min when no number is given, and refuses what is outside the limits', () => {
    const mock = oneCard();
    const context = mock.card(0).afu(0).createKernelContext();
    expect(context.startWork({ wed: 0n, interrupts: 3 })).toBe(EINVAL);
    expect(context.startWork({ wed: 0n, interrupts: 2038 })).toBe(EINVAL);
    expect(context.startWork({ wed: 0n })).toBe(0);
    expect(context.context.interrupts).toBe(4);
  });

  it('is ENOSPC when every process element is taken', () => {
    const mock = createMockCxl({ cards: [{ afus: [{ model: memcpyAfu({ processes: 1 }) }] }] });
    const afu = mock.card(0).afu(0);
    afu.createKernelContext();
    expect(thrownCode(() => afu.createKernelContext())).toBe('ENOSPC');
  });

  it('makes contexts that prevent a change of mode', async () => {
    const mock = oneCard();
    const context = mock.card(0).afu(0).createKernelContext();
    const [afu] = await mock.afus();
    expect(await codeOf(afu!.setMode('none'))).toBe('EBUSY');
    context.release();
    expect(await codeOf(afu!.setMode('none'))).toBe(undefined);
  });

  it('takes irqs_min when 0 are asked for, and no more than the card has', () => {
    const mock = createMockCxl({ cards: [{ interrupts: 10, afus: [{ model: memcpyAfu() }] }] });
    const create = () => mock.card(0).afu(0).createKernelContext();
    const first = create();
    expect(first.allocateInterrupts(0)).toBe(0);
    expect(first.context.interrupts).toBe(4);
    expect(create().allocateInterrupts(7)).toBe(ENOSPC);
    expect(create().startWork({ wed: 0n, interrupts: 7 })).toBe(ENOSPC);
    expect(mock.card(0).freeInterrupts).toBe(6);
    expect(create().startWork({ wed: 0n, interrupts: 6 })).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(0);
  });

  it('starts nothing while the link is down or the card locked, and gives all back', async () => {
    const mock = oneCard({ flavor: 'guest' });
    const [card] = await mock.adapters();
    const context = mock.card(0).afu(0).createKernelContext();
    mock.card(0).freeze();
    expect(context.start(0n)).toBe(EIO);
    expect(context.startWork({ wed: 0n })).toBe(EIO);
    mock.card(0).recover();
    // The failed starts are not counted: a context that is attached would refuse the reset.
    await card!.reset();
    expect(context.start(0n)).toBe(EBUSY);
    expect(context.startWork({ wed: 0n })).toBe(EBUSY);
    expect(context.context.interrupts).toBe(0);
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });

  it('starts a context once: a second start changes nothing and is not counted', async () => {
    const mock = oneCard();
    const context = mock.card(0).afu(0).createKernelContext();
    expect(context.start(5n)).toBe(0);
    expect(context.start(6n)).toBe(0);
    expect(mock.card(0).afu(0).context(0).wed).toBe(5n);
    expect(context.stop()).toBe(0);
    await (await mock.adapters())[0]!.reset();
  });

  it('takes no interrupts where the AFU needs none', () => {
    const model = memcpyAfu({ interruptsMinimum: 0 });
    const mock = createMockCxl({ cards: [{ afus: [{ model }] }] });
    const create = () => mock.card(0).afu(0).createKernelContext();
    expect(create().allocateInterrupts(0)).toBe(0);
    const started = create();
    expect([started.startWork({ wed: 0n }), started.status]).toEqual([0, 'STARTED']);
    expect(mock.card(0).freeInterrupts).toBe(2037);
  });

  it('makes a context while the link is down, and a descriptor of one that is detached', async () => {
    const mock = oneCard();
    mock.card(0).freeze();
    const context = mock.card(0).afu(0).createKernelContext();
    expect(context.status).toBe('OPENED');
    mock.card(0).recover();
    expect(context.status).toBe('CLOSED');
    const program = mock.adopt(context.getFd(), { owned: true });
    expect(program.linkState()).toBe('down');
    await program.close();
    const own = await mock.open('afu0.0s');
    mock.card(0).afu(0).detachAll();
    expect(thrownCode(() => mock.adopt(own.fd))).toBe('ENODEV');
    await own.close();
  });

  it('makes a slave until setMaster(), with the process element of the hardware', () => {
    const mock = oneCard({ flavor: 'guest' });
    const context = mock.card(0).afu(0).createKernelContext();
    expect(mock.card(0).afu(0).context(0).role).toBe('slave');
    context.setMaster();
    expect(mock.card(0).afu(0).context(0).role).toBe('master');
    expect(context.processElement).toBe(0xffff_ffff);
    expect(context.start(5n)).toBe(0);
    expect(context.processElement).toBe(32);
    expect(mock.card(0).afu(0).context(0).wed).toBe(5n);
  });

  it('has no context on an AFU without a mode, and no descriptor when none is free', async () => {
    const mock = oneCard();
    const context = inKernel(mock);
    mock.inject({ name: 'descriptors' });
    expect(context.getFd()).toBe(EMFILE);
    const program = mock.adopt(context.getFd(), { owned: true });
    await program.close();
    await (await mock.afus())[0]!.setMode('none');
    expect(thrownCode(() => mock.card(0).afu(0).createKernelContext())).toBe('ENODEV');
  });

  it('refuses arguments of other types, outside their range, or unknown', () => {
    const context = oneCard().card(0).afu(0).createKernelContext();
    const codes = (...calls: (() => unknown)[]) => calls.map(thrownCode);
    expect(
      codes(
        () => context.allocateInterrupts(-1),
        () => context.allocateInterrupts(0x10000),
        () => context.start(-1n),
        () => context.startWork({ wed: 1n << 64n }),
        () => context.startWork({ wed: 0n, interrupts: -1 }),
        () => context.startWork({ wed: 0n, interrupts: 0x10000 }),
        () => context.eventsPending(-1),
        () => context.eventsPending(2 ** 32),
      ),
    ).toEqual(Array(8).fill('ERR_OUT_OF_RANGE'));
    expect(
      codes(
        () => context.start(0 as never),
        () => context.startWork(null as never),
        () => context.startWork({} as never),
        () => context.setDriverOps(null as never),
      ),
    ).toEqual(Array(4).fill('ERR_INVALID_ARG_TYPE'));
    expect(thrownCode(() => context.startWork({ wed: 0n, amr: 0n } as never))).toBe(
      'ERR_INVALID_ARG_VALUE',
    );
    expect(context.status).toBe('OPENED');
    expect(context.allocateInterrupts(0xffff)).toBe(ENOSPC);
    expect(context.startWork({ wed: 0n, interrupts: 0xffff })).toBe(EINVAL);
    context.eventsPending(2 ** 32 - 1);
  });
});

describe('a mapping of another driver’s descriptor', () => {
  it('faults after a detach, as without ERR_FF', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const program = mock.adopt(kernel.getFd(), { owned: true });
    const registers = program.mapProblemState();
    expect(registers.read64(8)).toBe(0n);
    mock.card(0).afu(0).detachAll();
    expect(thrownCode(() => registers.read64(8))).toBe('EIO');
    await program.close();
  });

  it('is refused as the driver’s mapping operations say', async () => {
    const mock = oneCard();
    const kernel = inKernel(mock);
    const program = mock.adopt(kernel.getFd(), { owned: true });
    kernel.context.mappingOps = { mmap: () => EACCES, fault: () => undefined };
    expect(thrownCode(() => program.mapProblemState())).toBe('EACCES');
    await program.close();
  });

  it('has pages that stay what their first access made them, until all are taken away', async () => {
    const mock = oneEcho({ pageSize: 4096 });
    const kernel = inKernel(mock);
    const program = mock.adopt(kernel.getFd(), { owned: true });
    let answer: 'ones' | 'sigbus' | undefined = 'sigbus';
    let faults = 0;
    kernel.context.mappingOps = {
      mmap: () => 0,
      fault: () => {
        faults += 1;
        return answer;
      },
    };
    const registers = program.mapProblemState();
    // A page that could not be made present is asked for again at each access.
    expect(thrownCode(() => registers.read64(0))).toBe('EIO');
    expect(thrownCode(() => registers.write64(0, 1n))).toBe('EIO');
    expect(faults).toBe(2);
    answer = 'ones';
    expect(registers.read64(0)).toBe(0xffff_ffff_ffff_ffffn);
    answer = undefined;
    expect(registers.read32(4092)).toBe(0xffff_ffff);
    expect(registers.read64(4096)).toBe(0n);
    expect(faults).toBe(4);
    answer = 'ones';
    expect(registers.read64(4096)).toBe(0n);
    answer = undefined;
    kernel.context.unmappings += 1;
    expect(registers.read64(0)).toBe(0n);
    expect(faults).toBe(5);
    await program.close();
  });
});
