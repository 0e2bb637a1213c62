import { expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

it('a card file that was closed sends nothing to the file that has its number now', async () => {
  const child = await runNode(
    `${prelude}
    const open = () => addon.openCard('/dev/cxl/card0');
    const send = async (card) => {
      const answer = await card.ioctl('DOWNLOAD_IMAGE', {
        flags: 0n, data: new Uint8Array(4096), lenImage: 8192n,
      });
      return answer.result ?? answer;
    };
    const closed = await open();
    const number = closed.fd;
    await closed.close();
    const next = await open();
    console.log(next.fd === number, await send(closed), await send(next));
    await next.close();
    `,
    { env: { CXLSIM_FLAVOR: 'guest' } },
  );
  expect(child).toEqual(ended('true -9 1\n'));
}, 60_000);
