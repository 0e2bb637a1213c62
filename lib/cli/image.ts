/** `node-cxl image`: downloads an adapter image, in a PowerVM guest. */
import { SingleBar } from 'cli-progress';
import { findAdapter } from './devices';
import { UsageError } from './failure';
import { readWhole } from './input-file';
import { bytes, type Format, show } from './output';
import type { Session } from './session';

export interface ImageOptions extends Format {
  in: string;
  needHeader?: boolean;
  yes?: boolean;
}

export async function image(
  { system, signal }: Session,
  name: string,
  options: ImageOptions,
): Promise<void> {
  const adapter = await findAdapter(system, name);
  if (options.yes !== true) {
    throw new UsageError(
      `this resets ${name} and detaches every context on it: pass --yes to confirm`,
    );
  }
  const contents = await readWhole(options.in, signal);
  const bar = process.stderr.isTTY
    ? new SingleBar({
        format: '{phase} [{bar}] {percentage}%',
        stream: process.stderr,
        // Ctrl-C must not end the process between two parts of an image.
        gracefulExit: false,
      })
    : undefined;
  bar?.start(contents.length, 0, { phase: 'download' });
  try {
    await adapter.downloadImage(contents, {
      needHeader: options.needHeader === true,
      signal,
      onProgress: ({ phase, sent }) => bar?.update(sent, { phase }),
    });
  } finally {
    bar?.stop();
  }
  show(
    options,
    { name, bytes: contents.length, file: options.in },
    { text: () => `${name}: ${bytes(contents.length)} downloaded and validated` },
  );
}
