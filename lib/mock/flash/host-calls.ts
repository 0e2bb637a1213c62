/** The host ioctls (main.c): provisioning, and the AFU's debug commands. */

import type { CallAnswer, DebugInput, ProvisionAnswer, ProvisionInput } from '../../binding/flash';
import { flashFlags, provisionSubcommands } from '../../binding/flash';
import { errnos } from '../../shared/errno';

const mostDebugBytes = 262144;
/** ENOTSUPP: the kernel's own, let out by the driver. */
const unsupported = -524;

/** What the adapter offers to provisioning. */
export interface Provisioner {
  readonly ports: number;
  readonly provisions: boolean;
  readonly debugs: boolean;
  readonly maxLuns: bigint;
  /** 4 KiB blocks. */
  readonly maxBlocks: bigint;
  /** By LUN id: 4 KiB blocks of each LUN provisioned on a port. */
  provisioned(port: number): ReadonlyMap<bigint, bigint>;
  create(port: number, blocks: bigint): { lunId: bigint; wwid: Uint8Array };
  remove(port: number, lunId: bigint): void;
}

export class HostCallsModel {
  private readonly provisioner: Provisioner;
  /** The debug command of the model stores what it is sent, and gives it back. */
  private scratch = new Uint8Array(0);

  constructor(provisioner: Provisioner) {
    this.provisioner = provisioner;
  }

  provision(input: ProvisionInput): ProvisionAnswer | number {
    const { provisioner } = this;
    if (!provisioner.provisions) return unsupported;
    if (input.port >= provisioner.ports) return -errnos.EINVAL;
    const luns = provisioner.provisioned(input.port);
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
        const room =
          BigInt(luns.size) < provisioner.maxLuns && used + size <= provisioner.maxBlocks;
        // The AFU refuses what it cannot do; the driver tells EIO.
        if (!room || size === 0n) return -errnos.EIO;
        return { ...answer, ...provisioner.create(input.port, size) };
      }
      case provisionSubcommands.delete:
        if (!luns.has(input.lunId ?? 0n)) return -errnos.EIO;
        provisioner.remove(input.port, input.lunId ?? 0n);
        return answer;
      case provisionSubcommands.queryPort:
        return {
          ...answer,
          maxNumLuns: provisioner.maxLuns,
          curNumLuns: BigInt(luns.size),
          maxCapPort: provisioner.maxBlocks,
          curCapPort: used,
        };
      default:
        return -errnos.EINVAL;
    }
  }

  debug(input: DebugInput): CallAnswer | number {
    if (!this.provisioner.debugs) return unsupported;
    const data = input.data ?? new Uint8Array(0);
    if (data.length > mostDebugBytes) return -errnos.EINVAL;
    if (((input.flags ?? 0n) & flashFlags.hostWrite) !== 0n) this.scratch = data.slice();
    else data.set(this.scratch.subarray(0, data.length));
    return { returnFlags: 0n };
  }
}
