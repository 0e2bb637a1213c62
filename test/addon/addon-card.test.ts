import { expect, it } from 'vitest';
import { ended, prelude, runNode } from './child';

it('a card file that was closed sends nothing to the file that has its number now', async () => {
  const child = await runNode(
    `${prelude}
    const open = () => settled((settle) => addon.openCard('/dev/cxl/card0', settle));
    const send = (card) => settled((settle) =>
      card.transfer(false, false, new Uint8Array(4096), 8192, settle));
    const closed = await open();
    const number = closed.fd;
    await settled((settle) => closed.close(settle));
    const next = await open();
    console.log(next.fd === number, await send(closed), await send(next));
    await settled((settle) => next.close(settle));
    `,
    { env: { CXLSIM_FLAVOUR: 'guest' } },
  );
  expect(child).toEqual(ended('true -9 1\n'));
}, 60_000);
