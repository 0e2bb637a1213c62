/**
 * The ioctls of a flash adapter's host node: LUN provisioning and AFU debug commands. The model
 * of their part of drivers/scsi/cxlflash/main.c.
 */
import type {
  CallAnswer,
  DebugInput,
  HostCalls,
  ProvisionAnswer,
  ProvisionInput,
} from '../../binding/flash';
import { flashFlags, provisionSubcommands } from '../../binding/flash';
import { ERRNOS } from '../../shared/errno';
import { headerIsValid } from './call-header';
import type { LunPaths } from './lun-paths';
import type { CheckedOptions } from './options';

/** Bytes of data that AFU_DEBUG transfers at most. */
const MAX_DEBUG_DATA = 262144;

/** LUNs that a port can have, and their capacity together in 4 KiB blocks. */
const MAX_LUNS = 256n;
const MAX_BLOCKS = 1n << 28n;

export class HostCallsModel {
  readonly #options: Pick<CheckedOptions, 'provisioning' | 'debugging'>;
  readonly #luns: LunPaths;
  /** Every debug command of the model either stores data or returns what was stored last. */
  #scratch = new Uint8Array(0);

  constructor(options: Pick<CheckedOptions, 'provisioning' | 'debugging'>, luns: LunPaths) {
    this.#options = options;
    this.#luns = luns;
  }

  call<Name extends keyof HostCalls>(name: Name, input: HostCalls[Name]['input']) {
    if (!headerIsValid(input)) return -ERRNOS.EINVAL;
    return name === 'LUN_PROVISION'
      ? this.#provision(input as ProvisionInput)
      : this.#debug(input as DebugInput);
  }

  #provision(input: ProvisionInput): ProvisionAnswer | number {
    if (!this.#options.provisioning) return -ERRNOS.ENOTSUPP;
    if (input.port >= this.#luns.ports) return -ERRNOS.EINVAL;
    const luns = this.#luns.provisioned(input.port);
    const used = [...luns.values()].reduce((sum, blocks) => sum + blocks, 0n);
    const answer = {
      returnFlags: 0n,
      lunId: input.lunId ?? 0n,
      wwid: new Uint8Array(16),
      maxNumLuns: 0n,
      curNumLuns: 0n,
      maxCapPort: 0n,
      curCapPort: 0n,
    };
    switch (input.subcmd) {
      case provisionSubcommands.create: {
        const size = input.size ?? 0n;
        const fits = BigInt(luns.size) < MAX_LUNS && used + size <= MAX_BLOCKS;
        // The AFU refuses; the driver reports EIO for every reason.
        if (!fits || size === 0n) return -ERRNOS.EIO;
        return { ...answer, ...this.#luns.create(input.port, size) };
      }
      case provisionSubcommands.delete:
        if (!luns.has(input.lunId ?? 0n)) return -ERRNOS.EIO;
        this.#luns.remove(input.port, input.lunId ?? 0n);
        return answer;
      case provisionSubcommands.queryPort:
        return {
          ...answer,
          maxNumLuns: MAX_LUNS,
          curNumLuns: BigInt(luns.size),
          maxCapPort: MAX_BLOCKS,
          curCapPort: used,
        };
      default:
        return -ERRNOS.EINVAL;
    }
  }

  #debug(input: DebugInput): CallAnswer | number {
    if (!this.#options.debugging) return -ERRNOS.ENOTSUPP;
    const data = input.data ?? new Uint8Array(0);
    if (data.length > MAX_DEBUG_DATA) return -ERRNOS.EINVAL;
    if (((input.flags ?? 0n) & flashFlags.hostWrite) !== 0n) this.#scratch = data.slice();
    else data.set(this.#scratch.subarray(0, data.length));
    return { returnFlags: 0n };
  }
}
