import type { Binding } from '../binding';
import { ADAPTER_IMAGE_FLAGS } from '../binding/cxl-ioctls';
import { checkWaitOptions, throwIfAborted } from '../shared/abort';
import { checkBoolean, checkBytes, checkFunction, type OptionNames } from '../shared/checks';
import { debug, debugResult } from '../shared/debug';
import { ERRNOS } from '../shared/errno';
import { systemError, typeError, unwrap } from '../shared/errors';
import { Mutex } from '../shared/mutex';

/** How far the download of an image has come. */
export interface ImageProgress {
  /** The whole image is sent twice: once to be downloaded, once to be validated. */
  readonly phase: 'download' | 'validate';
  /** Bytes of the image sent in this phase. */
  readonly sent: number;
  /** Bytes of the image. */
  readonly total: number;
}

/** Options of Adapter.downloadImage(). */
export interface ImageDownloadOptions {
  /** Whether the image lacks the adapter image header, so that the driver adds one. Default false. */
  needHeader?: boolean | undefined;
  /** Called after each chunk. If it throws, the download ends as by an abort. */
  onProgress?: ((progress: ImageProgress) => void) | undefined;
  /**
   * Checked between chunks of 1 MiB: an abort rejects with an AbortError once the chunk in progress
   * is sent and the node is closed. The adapter is then reset and has no complete image.
   */
  signal?: AbortSignal | undefined;
}
const DOWNLOAD_OPTIONS: OptionNames<ImageDownloadOptions> = {
  needHeader: true,
  onProgress: true,
  signal: true,
};

/** Bytes: the driver takes 256 buffers of 4096 bytes in one call, its header included. */
const CHUNK_SIZE = 1024 * 1024;
/** CXL_AI_HEADER_SIZE of the driver. */
const HEADER_SIZE = 128;

/** One download at a time, whatever the card: the driver has one semaphore. */
const mutexes = new WeakMap<Binding, Mutex>();

function mutexOf(binding: Binding): Mutex {
  const known = mutexes.get(binding);
  if (known !== undefined) return known;
  const mutex = new Mutex();
  mutexes.set(binding, mutex);
  return mutex;
}

/**
 * Sends an image in chunks by DOWNLOAD_IMAGE, then again by VALIDATE_IMAGE. The first chunk is
 * shorter by the header where the driver adds one.
 * Source: drivers/misc/cxl/flash.c, handle_image and transfer_image.
 */
export async function downloadImage(
  binding: Binding,
  path: string,
  image: Uint8Array,
  options: ImageDownloadOptions,
): Promise<void> {
  checkBytes('image', image);
  if (image.length === 0) throw typeError('image', 'at least one byte', image);
  // Every check comes first: a failure after the first chunk leaves the adapter without an image.
  const { signal, needHeader = false, onProgress } = checkWaitOptions(options, DOWNLOAD_OPTIONS);
  checkBoolean('options.needHeader', needHeader);
  if (onProgress !== undefined) checkFunction('options.onProgress', onProgress);
  throwIfAborted(signal);
  // A copy, since the caller may change its bytes, and both phases must send the same.
  const bytes = image.slice();
  // The driver's open() waits until another descriptor is closed, which has to be done by the same
  // thread of the addon.
  const unlock = await mutexOf(binding).lock(signal);
  try {
    await transfer(binding, path, bytes, { ...options, needHeader });
  } finally {
    unlock();
  }
}

async function transfer(
  binding: Binding,
  path: string,
  bytes: Uint8Array,
  { signal, needHeader, onProgress }: ImageDownloadOptions,
): Promise<void> {
  debug('open %s', path);
  const card = await binding.openCard(path);
  debugResult('open', path, typeof card === 'number' ? card : card.fd);
  if (typeof card === 'number') {
    const hint = card === -ERRNOS.ENOENT ? 'only PowerVM guests have this node' : undefined;
    throw systemError(card, 'open', path, hint);
  }
  try {
    for (const phase of ['download', 'validate'] as const) {
      const ioctl = phase === 'download' ? 'DOWNLOAD_IMAGE' : 'VALIDATE_IMAGE';
      const syscall = `ioctl(${ioctl})`;
      let sent = 0;
      let more = 1;
      while (sent < bytes.length) {
        throwIfAborted(signal);
        const headed = sent === 0 && needHeader;
        const chunk = bytes.subarray(sent, sent + (headed ? CHUNK_SIZE - HEADER_SIZE : CHUNK_SIZE));
        debug('%s %s: %d bytes at %d', syscall, path, chunk.length, sent);
        const answer = await card.ioctl(ioctl, {
          flags: headed ? ADAPTER_IMAGE_FLAGS.NEED_HEADER : 0n,
          data: chunk,
          lenImage: BigInt(bytes.length),
        });
        debugResult(syscall, path, answer);
        more = unwrap(answer, syscall, path).result;
        sent += chunk.length;
        onProgress?.({ phase, sent, total: bytes.length });
        if (more === 0) break;
      }
      if (more !== 0 || sent < bytes.length) {
        const what =
          more !== 0
            ? 'the adapter expects more bytes than the image has'
            : 'the adapter accepted only a part of the image';
        throw systemError('EBADMSG', syscall, path, `${what}: is it an image for this card?`);
      }
    }
  } finally {
    await card.close();
  }
}
