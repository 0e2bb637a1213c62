import { writeFileSync } from 'node:fs';
import { doe } from 'node-cxl/doe';
import { describe, expect, it } from 'vitest';
import { devices, force } from './devices';

const address = devices.cutShort;

describe('a device that is removed in mid-exchange', () => {
  it('fails the exchange, is dead, and fit for use when it is back', {
    timeout: 30_000,
  }, async () => {
    const [mailbox] = await doe.mailboxes(address);
    const unknown = { vendorId: 0x1e98, type: 0x77 };
    const call = mailbox!.exchange(unknown, Buffer.alloc(4), { force, timeout: 60_000 });
    const outcome = call.catch((error) => error);
    await new Promise((resolve) => setTimeout(resolve, 100));
    writeFileSync(`/sys/bus/pci/devices/${address}/remove`, '1');
    expect(await outcome).toMatchObject({ code: 'ENODEV' });
    expect(mailbox!.phase).toBe('dead');
    await expect(mailbox!.discover({ force })).rejects.toMatchObject({ code: 'ENODEV' });
    await expect(doe.mailboxes(address)).rejects.toMatchObject({ code: 'ENOENT' });

    writeFileSync('/sys/bus/pci/rescan', '1');
    const [again] = await doe.mailboxes(address);
    expect(await again!.discover({ force })).toHaveLength(2);
  });
});
