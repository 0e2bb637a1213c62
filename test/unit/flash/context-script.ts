/** A flash context alone: its LUNs, its driver and its AFU do what a test says. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { vi } from 'vitest';
import { flashFlags } from '../../../lib/binding/flash';
import type { AttachOptions } from '../../../lib/flash/attach-options';
import { FlashContext } from '../../../lib/flash/flash-context';
import type { Lun } from '../../../lib/flash/lun';
import type { Resource } from '../../../lib/flash/resource';
import { type CxlError, systemError } from '../../../lib/shared/errors';
import { AfuScript } from './afu-script';
import type { VirtualTime } from './virtual-time';

export const ID = 0x5_8000_0007n;
export const NEW_ID = 0x6_8000_0009n;
export const PROCESS = 100;
export const PARENT = 99;

export type Answer = (path: string, name: string, input: Record<string, unknown>) => unknown;

/** A descriptor in an answer. */
const descriptor = (fd: bigint) => ({
  ...{ adapFd: fd, mmioSize: 65536n, returnFlags: flashFlags.appCloseAdapFd },
});

/** RECOVER_AFU of an adapter that was reset. */
export const RESET = {
  ...descriptor(8n),
  returnFlags: flashFlags.appCloseAdapFd | flashFlags.contextReset,
  contextId: NEW_ID,
};

/** RECOVER_AFU answers what a test says; the others, as the driver does. */
export const recovering =
  (answer: () => unknown): Answer =>
  (_, name) =>
    name === 'RECOVER_AFU' ? answer() : undefined;

export const ATTACHED = {
  ...descriptor(7n),
  contextId: ID,
  blockSize: 4096n,
  lastLba: 999n,
  maxXfer: 64n,
};

export const failure = (
  code: 'EAGAIN' | 'ECANCELED' | 'EINVAL' | 'EIO' | 'ENODEV' | 'ENOMEM' | 'ENOSPC',
) => systemError(code, 'ioctl');

/** A Lun: `calls` of its script has the ioctls. */
type ScriptedLun = Lun & { closed: boolean; closeError: CxlError | undefined };

export class ContextScript {
  readonly afu = new AfuScript(8);
  /** What is called, in order: ioctls with their LUN and input, the others by name. */
  readonly calls: unknown[] = [];
  /** The answer of an ioctl, or what it fails with; undefined: as the driver answers. */
  answer: Answer = () => undefined;
  /** What Cxl.adopt() fails with. */
  adoptError: CxlError | undefined;
  /** What closing a descriptor of a context fails with. */
  closeError: CxlError | undefined;
  /** What reading a register fails with. */
  readError: Error | undefined;
  handles = 0n;

  readonly system = {
    allocate: (size: number) => {
      this.calls.push('allocate');
      return this.afu.system.allocate(size);
    },
    adopt: (fd: number): object => {
      if (this.adoptError !== undefined) throw this.adoptError;
      return this.#context(fd);
    },
    binding: {
      flash: {
        processId: PROCESS,
        parentProcessId: PARENT,
        closeDescriptor: async (fd: number) => void this.calls.push(`closeDescriptor ${fd}`),
      },
    },
  };

  #context(fd: number) {
    const { page } = this.afu;
    const registers = {
      fd,
      read64: (offset: number) => {
        if (this.readError !== undefined) throw this.readError;
        return page.read64(offset);
      },
      write64: (offset: number, value: bigint) => page.write64(offset, value),
      unmap: () => void this.calls.push(`unmap ${fd}`),
    };
    return {
      ...this.afu.context,
      fd,
      mapProblemState: () => registers,
      close: async () => {
        this.calls.push(`close ${fd}`);
        if (this.closeError !== undefined) throw this.closeError;
      },
    };
  }

  lun(path: string): ScriptedLun {
    const ioctl = async (name: string, input: Record<string, unknown>) => {
      this.calls.push([path, name, input]);
      const answer = (await this.answer(path, name, input)) ?? this.#answer(name);
      if (answer instanceof Error) throw answer;
      return answer;
    };
    const lun = {
      ...{ path, system: this.system, call: ioctl, request: ioctl },
      closed: false,
      closeError: undefined as CxlError | undefined,
      enableSuperpipe: async () => undefined,
      reopen: async () => {
        const again = this.lun(`${path} again`);
        again.closeError = lun.closeError;
        return again;
      },
      close: async () => {
        this.calls.push(`close ${path}`);
        if (lun.closeError !== undefined) throw lun.closeError;
      },
    };
    return lun as never;
  }

  #answer(name: string): object {
    if (name === 'ATTACH') return ATTACHED;
    if (name === 'USER_DIRECT') return { rsrcHandle: this.#handle(), lastLba: 999n };
    if (name === 'USER_VIRTUAL') {
      return { rsrcHandle: this.#handle(), lastLba: 2n ** 64n - 1n, returnFlags: 0n };
    }
    if (name === 'VLUN_RESIZE' || name === 'VERIFY') return { lastLba: 65535n };
    return { returnFlags: 0n };
  }

  #handle(): bigint {
    this.handles += 1n;
    return this.handles;
  }

  /** A context with the first LUN attached. What that called is not in `calls`. */
  async attach(options: AttachOptions = {}): Promise<{ lun: ScriptedLun; context: FlashContext }> {
    const lun = this.lun('/dev/sg1');
    const context = await FlashContext.attach(lun, options);
    this.calls.length = 0;
    return { lun, context };
  }

  /** And two more. */
  async attachThree(): Promise<{ luns: ScriptedLun[]; context: FlashContext }> {
    const { lun, context } = await this.attach();
    const more = ['/dev/sg2', '/dev/sg3'].map((path) => this.lun(path));
    for (const other of more) await context.join(other);
    this.calls.length = 0;
    return { luns: [lun, ...more], context };
  }

  /** What was called since the last look. */
  taken(): unknown[] {
    return this.calls.splice(0);
  }

  /** The ioctls since the last look, without their input. */
  ioctls(): string[] {
    const all = this.taken().filter((call): call is string[] => Array.isArray(call));
    return all.map(([path, name]) => `${path} ${name}`);
  }

  /** Notes the calls of a context's queue, which do nothing; `reset`: what resetContext() says. */
  observeQueue(context: FlashContext, reset = false): void {
    const { queue } = context;
    this.calls.length = 0;
    const note = (name: string) => (value?: unknown) => {
      this.calls.push(value === undefined ? `queue.${name}` : [`queue.${name}`, value]);
    };
    vi.spyOn(queue, 'pause').mockImplementation(note('pause'));
    vi.spyOn(queue, 'proceed').mockImplementation(note('proceed'));
    vi.spyOn(queue, 'free').mockImplementation(note('free'));
    vi.spyOn(queue, 'recoveryFailed').mockImplementation(note('recoveryFailed'));
    vi.spyOn(queue, 'close').mockImplementation(async () => note('close')());
    vi.spyOn(queue, 'resume').mockImplementation(async (value) => note('resume')(value));
    vi.spyOn(queue, 'resetContext').mockImplementation(async () => {
      note('resetContext')();
      return reset;
    });
  }

  /** Notes what a resource is told to overwrite, in place of doing it; `error`: it fails. */
  observeScrub(resource: Resource, error?: Error): void {
    vi.spyOn(resource, 'scrubFrom').mockImplementation(async (from, to, queue) => {
      this.calls.push(['scrub', resource.handle, from, to, queue !== undefined]);
      if (error !== undefined) throw error;
    });
  }
}

/** The promise's outcome, for which as much time passes as it takes: at most `limit` milliseconds. */
export async function settledIn(
  time: VirtualTime,
  promise: Promise<unknown>,
  limit: number,
): Promise<unknown> {
  let settled = false;
  const end = promise
    .catch((error) => error)
    .finally(() => {
      settled = true;
    });
  const start = time.now;
  for (;;) {
    await loopTurn();
    if (settled || time.now - start > limit) break;
    time.pass(50);
  }
  return settled ? end : 'not settled';
}
