/** `node-cxl image`: downloads an adapter image, in a PowerVM guest. */
import { readFile } from 'node:fs/promises';
import { SingleBar } from 'cli-progress';
import type { Cxl } from '../index';
import { findAdapter } from './devices';
import { UsageError } from './failure';
import { bytes, print } from './output';

export interface ImageOptions {
  in: string;
  needHeader?: boolean;
  yes?: boolean;
}

export async function image(
  system: Cxl,
  name: string,
  options: ImageOptions,
  signal: AbortSignal,
): Promise<void> {
  const adapter = await findAdapter(system, name);
  if (options.yes !== true) {
    throw new UsageError(
      `this resets ${name} and detaches every context on it: pass --yes to confirm`,
    );
  }
  const contents = await readFile(options.in);
  const bar = process.stderr.isTTY
    ? new SingleBar({ format: '{phase} [{bar}] {percentage}%', stream: process.stderr })
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
  print(`${name}: ${bytes(contents.length)} downloaded and validated`);
}
