/** A LUN over several paths, whose contexts and devices answer what a test says. */
import { setImmediate as loopTurn } from 'node:timers/promises';
import { expect } from 'vitest';
import type { TransferOptions, TransferRequest } from '../../../lib/flash/block-access';
import type { LunPath, PathState } from '../../../lib/flash/lun-path';
import {
  MultipathBlockDevice,
  type MultipathSetup,
  type PathChange,
} from '../../../lib/flash/multipath-device';
import { Undo } from '../../../lib/flash/undo';
import { systemError } from '../../../lib/shared/errors';

export const SIZE = 512;
export const coded = (code: string) => expect.objectContaining({ code });
export const gone = () => systemError('ENODEV', 'sislite');

export async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await loopTurn();
}

interface Begun {
  readonly request: TransferRequest;
  readonly options: TransferOptions;
  settle(error?: unknown): void;
}

/** What a path has while it is attached. */
class Device {
  readonly begun: Begun[] = [];
  unmapSupported = true;
  drains = 0;
  readonly queueStatistics = { issued: 7 };

  submit(requests: readonly TransferRequest[], options: TransferOptions): Promise<void>[] {
    return requests.map(
      (request) =>
        new Promise((resolve, reject) => {
          const settle = (error?: unknown) => (error === undefined ? resolve() : reject(error));
          this.begun.push({ request, options, settle });
        }),
    );
  }

  async drained(): Promise<void> {
    this.drains += 1;
  }
}

export class Path {
  readonly node: string;
  readonly info: { address: string; host: number; port: number };
  state: PathState = 'failed';
  error: unknown;
  transfers = 0;
  device: Device | undefined;
  resource: { blocks: bigint; blockSize: number } | undefined;
  readonly #log: string[];
  /** What attach() and fence() wait for, or fail with. */
  attaching: () => Promise<void> = async () => undefined;
  fencing: () => Promise<void> = async () => undefined;

  constructor(log: string[], index: number, attached: boolean) {
    this.#log = log;
    this.node = `/dev/sg${index}`;
    this.info = { address: `0:${index}:0:0`, host: index, port: index + 10 };
    if (attached) this.#attached();
  }

  #attached(): void {
    this.device = new Device();
    this.resource = { blocks: 100n + BigInt(this.info.host), blockSize: SIZE };
    this.state = 'ready';
    this.error = undefined;
  }

  async attach(): Promise<void> {
    this.#log.push(`attach ${this.info.host}`);
    await this.attaching();
    this.#attached();
  }

  async fence(reason: unknown): Promise<void> {
    this.state = 'failed';
    this.error = reason;
    this.device = undefined;
    this.resource = undefined;
    this.#log.push(`fence ${this.info.host}`);
    await this.fencing();
    this.#log.push(`fenced ${this.info.host}`);
  }
}

/** A device over paths of which those are attached; the first one of them is active. */
export function open(attached: readonly boolean[], setup: Partial<MultipathSetup> = {}) {
  const log: string[] = [];
  const paths = attached.map((one, index) => new Path(log, index, one));
  const changes: PathChange[] = [];
  const undo = new Undo();
  let undone = 0;
  undo.add(async () => {
    undone += 1;
  });
  const device = new MultipathBlockDevice({
    paths: paths as unknown as LunPath[],
    active: paths[attached.indexOf(true)] as unknown as LunPath,
    undo,
    failover: true,
    repeat: true,
    onPathChange: (change) => changes.push(change),
    ...setup,
  });
  const read = (lba = 0, options: TransferOptions = {}) => {
    const promise = device.readv(lba, [new Uint8Array(2 * SIZE)], options);
    promise.catch(() => undefined);
    return promise;
  };
  return { device, paths, log, changes, read, undone: () => undone };
}

/** The transfers that a path's device has and that were not looked at. */
export const begunOn = (path: Path | undefined) => path?.device?.begun.splice(0) ?? [];
