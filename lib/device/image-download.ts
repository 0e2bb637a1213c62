import { types } from 'node:util';
import type { Binding } from '../binding';
import { ADAPTER_IMAGE_FLAGS } from '../binding/cxl-ioctls';
import { AbortError, checkWaitOptions } from '../shared/abort';
import { checkBoolean } from '../shared/checks';
import { debug } from '../shared/debug';
import { errnos } from '../shared/errno';
import { systemError, typeError, unwrap } from '../shared/errors';

export interface ImageProgress {
  /** The whole image is sent in each. */
  readonly phase: 'download' | 'validate';
  /** Bytes of the image sent in this phase. */
  readonly sent: number;
  /** Bytes of the image. */
  readonly total: number;
}

export interface ImageDownloadOptions {
  /** The image lacks the adapter image header; the driver puts one before it. Default false. */
  needHeader?: boolean;
  /** Called after each chunk. What it throws ends the download, as an abort does. */
  onProgress?: (progress: ImageProgress) => void;
  /** Looked at between chunks. An abort leaves the adapter without a complete image, and reset. */
  signal?: AbortSignal;
}

const CHUNK = 1024 * 1024;
const HEADER = 128;

/**
 * Sends a whole image by DOWNLOAD_IMAGE, then the whole again by VALIDATE_IMAGE, in chunks of
 * at most 1 MiB (256 buffers of 4096 bytes), the first shorter by the header the driver adds.
 * Source: drivers/misc/cxl/flash.c, handle_image and transfer_image.
 */
export async function downloadImage(
  binding: Binding,
  path: string,
  image: Uint8Array,
  options: ImageDownloadOptions,
): Promise<void> {
  if (!types.isUint8Array(image)) throw typeError('image', 'a Buffer or Uint8Array', image);
  if (image.length === 0) throw typeError('image', 'at least one byte', image);
  // All of it now: once the first chunk is sent, a failure costs the adapter its image.
  const { signal, needHeader = false, onProgress } = checkWaitOptions(options);
  checkBoolean('options.needHeader', needHeader);
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw typeError('options.onProgress', 'a function', onProgress);
  }
  if (signal?.aborted) throw new AbortError(signal);
  // The caller's bytes may change between the two passes; what is validated must be what was sent.
  const bytes = image.slice();
  debug('open %s', path);
  const card = await binding.openCard(path);
  if (typeof card === 'number') {
    const hint = card === -errnos.ENOENT ? 'only PowerVM guests have this node' : undefined;
    throw systemError(card, 'open', path, hint);
  }
  try {
    for (const phase of ['download', 'validate'] as const) {
      const ioctl = phase === 'download' ? 'DOWNLOAD_IMAGE' : 'VALIDATE_IMAGE';
      const syscall = `ioctl(${ioctl})`;
      let sent = 0;
      let more = 1;
      while (sent < bytes.length) {
        if (signal?.aborted) throw new AbortError(signal);
        const headed = sent === 0 && needHeader;
        const chunk = bytes.subarray(sent, sent + (headed ? CHUNK - HEADER : CHUNK));
        debug('%s %s: %d bytes at %d', syscall, path, chunk.length, sent);
        const answer = await card.ioctl(ioctl, {
          flags: headed ? ADAPTER_IMAGE_FLAGS.NEED_HEADER : 0n,
          data: chunk,
          lenImage: BigInt(bytes.length),
        });
        more = unwrap(answer, syscall, path).result;
        sent += chunk.length;
        onProgress?.({ phase, sent, total: bytes.length });
        if (more === 0) break;
      }
      if (more !== 0 || sent < bytes.length) {
        const what =
          more !== 0
            ? 'the adapter wants more than the image has'
            : 'the adapter took only a part of the image';
        throw systemError('EBADMSG', syscall, path, `${what}: is it an image for this card?`);
      }
    }
  } finally {
    await card.close();
  }
}
