/** One path to a LUN: its node, a context on its adapter, and the LUN opened in the context. */
import type { Cxl } from '../device/cxl';
import { CxlError } from '../shared/errors';
import type { AttachOptions } from './attach-options';
import type { BlockDevice } from './block-device';
import type { LunInfo } from './discovery';
import type { FlashContext } from './flash-context';
import { type Lun, openLun, type SuperpipeOptions } from './lun';
import type { OpenVirtualOptions, Resource } from './resource';
import { Undo } from './undo';

/** `active`: transfers go over it. `ready`: attached. `failed`: its context was closed. */
export type PathState = 'active' | 'ready' | 'failed';

/** How a path is opened. */
export interface PathSetup {
  readonly system: Cxl;
  readonly attach: AttachOptions;
  /** Undefined: the whole LUN. */
  readonly virtual: OpenVirtualOptions | undefined;
  /** The LUN's world-wide id; undefined: from sysfs. */
  readonly wwid: string | Uint8Array | undefined;
}

interface Attached {
  readonly context: FlashContext;
  readonly resource: Resource;
  readonly device: BlockDevice;
}

export class LunPath {
  readonly info: LunInfo;
  readonly node: string;
  state: PathState = 'failed';
  /** Why it failed. */
  error: unknown;
  /** Transfers that succeeded over it. */
  transfers = 0;
  readonly #setup: PathSetup;
  readonly #lun: Lun;
  readonly #undo: Undo;
  #attached: Attached | undefined;
  #attaching: Promise<void> | undefined;

  private constructor(info: LunInfo, node: string, setup: PathSetup, lun: Lun, undo: Undo) {
    this.info = info;
    this.node = node;
    this.#setup = setup;
    this.#lun = lun;
    this.#undo = undo;
  }

  /** Opens the node and enables superpipe; both are undone by close(). */
  static async open(info: LunInfo, node: string, setup: PathSetup): Promise<LunPath> {
    const undo = new Undo();
    try {
      const lun = await openLun(node, { system: setup.system });
      undo.add(() => lun.close());
      const options = { wwid: setup.wwid };
      await lun.enableSuperpipe(options);
      // A LUN that was in superpipe mode before stays so.
      if (info.mode !== 'superpipe') undo.add(() => disableSuperpipe(lun, options));
      return new LunPath(info, node, setup, lun, undo);
    } catch (error) {
      await undo.run().catch(() => undefined);
      throw error;
    }
  }

  /** The block device, while the path is attached. */
  get device(): BlockDevice | undefined {
    return this.#attached?.device;
  }

  get resource(): Resource | undefined {
    return this.#attached?.resource;
  }

  /** Attaches a context and opens the LUN in it; undone when either fails. Calls share one attempt. */
  attach(): Promise<void> {
    this.#attaching ??= this.#attach().finally(() => {
      this.#attaching = undefined;
    });
    return this.#attaching;
  }

  async #attach(): Promise<void> {
    const context = await this.#lun.attach(this.#setup.attach);
    try {
      const { virtual } = this.#setup;
      const resource = await (virtual === undefined
        ? context.openDirect()
        : context.openVirtual(virtual));
      this.#attached = { context, resource, device: resource.blockDevice() };
    } catch (error) {
      await context.close().catch(() => undefined);
      throw error;
    }
    this.state = 'ready';
    this.error = undefined;
  }

  /**
   * Closes the context. Afterwards no command that was issued over this path runs any more: the
   * kernel has taken the context from the AFU.
   */
  async fence(reason: unknown): Promise<void> {
    this.state = 'failed';
    this.error = reason;
    const attached = this.#attached;
    this.#attached = undefined;
    await attached?.context.close();
  }

  /** Closes the context, disables superpipe if open() enabled it, and closes the node. */
  async close(): Promise<void> {
    await this.#attaching?.catch(() => undefined);
    const attached = this.#attached;
    this.#attached = undefined;
    if (attached !== undefined) this.#undo.add(() => attached.context.close());
    await this.#undo.run();
  }
}

/** EBUSY: another user of the LUN needs it to stay in superpipe mode. */
async function disableSuperpipe(lun: Lun, options: SuperpipeOptions): Promise<void> {
  try {
    await lun.disableSuperpipe(options);
  } catch (error) {
    if (!(error instanceof CxlError && error.code === 'EBUSY')) throw error;
  }
}
