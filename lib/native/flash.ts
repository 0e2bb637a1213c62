/** The flash part of the seam over real devices. */

import type { FlashBinding, FlashFile, HostCalls, LunCalls } from '../binding/flash';
import { errnos } from '../shared/errors';
import type { Addon, AddonFlashFile } from './addon';

export function nativeFlash(addon: Addon): FlashBinding {
  const open = async <Calls>(path: string): Promise<FlashFile<Calls> | number> => {
    if (path.includes('\0')) return -errnos.ENOENT;
    const file = await new Promise<AddonFlashFile | number>((settle) =>
      addon.openFlash(path, settle),
    );
    return typeof file === 'number' ? file : new NativeFlashFile<Calls>(file);
  };
  return {
    processId: process.pid,
    get parentProcessId() {
      return process.ppid;
    },
    openLun: (path) => open<LunCalls>(path),
    openHost: (path) => open<HostCalls>(path),
  };
}

class NativeFlashFile<Calls> implements FlashFile<Calls> {
  readonly #file: AddonFlashFile;
  /** The workers may finish in any order: the descriptor is closed after the last. */
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<number> | undefined;

  constructor(file: AddonFlashFile) {
    this.#file = file;
  }

  get fd(): number {
    return this.#closing === undefined ? this.#file.fd : -1;
  }

  async call(name: keyof Calls, input: unknown): Promise<never> {
    if (this.#closing !== undefined) return -errnos.EBADF as never;
    const done = new Promise<Record<string, unknown> & { data?: Uint8Array }>((settle) =>
      this.#file.call(String(name), input as object, settle as (answer: unknown) => void),
    );
    this.#underWay.add(done);
    try {
      const answer = await done;
      const { data } = input as { data?: Uint8Array };
      if (answer.data !== undefined) data?.set(answer.data);
      return answer as never;
    } finally {
      this.#underWay.delete(done);
    }
  }

  close(): Promise<number> {
    this.#closing ??= Promise.allSettled([...this.#underWay]).then(
      () => new Promise<number>((settle) => this.#file.close(settle)),
    );
    return this.#closing;
  }
}
