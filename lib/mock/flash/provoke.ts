/**
 * The provoke block in each context's host-transport page: by it a test asks the device for
 * what a program cannot cause at will. The registers are those of the memcpy AFU's block; the
 * commands are the flash adapter's own. The simulated device has the same.
 */
import type { FlashAdapterState } from './adapter-state';
import { makeSense } from './sense';

export const provokeRegisters = {
  command: 0x1000,
  value: 0x1008,
  count: 0x1010,
  done: 0x1018,
} as const;

export const provokeCommands = {
  /** The adapter is in error state for `argument` milliseconds. */
  errorState: 0x04,
  /**
   * COUNT commands end with a status whose first 8 bytes are VALUE, big-endian: flags, AFU,
   * SCSI and FC code, residual. The argument's bytes are afu_extra, sense key, code, qualifier.
   */
  status: 0x10,
  /** COUNT AFU syncs time out. */
  slowSync: 0x11,
  /** The ports with a link are those of the argument's mask. */
  ports: 0x12,
  /** The LUN numbered by the argument has VALUE blocks from now on. */
  capacity: 0x13,
  /** 1: commands are taken in but not carried out; 0: they are again. */
  hold: 0x14,
  /** 1: the next reset does not succeed. */
  resetFails: 0x15,
  /** Argument: LUN number; VALUE 1: its capacity cannot be read. */
  unreadable: 0x16,
  /** COUNT contexts find themselves closed when the driver makes them known to the AFU. */
  closedContext: 0x17,
} as const;

export class ProvokeBlock {
  private readonly state: FlashAdapterState;
  private value = 0n;
  private count = 0n;
  private done = 0n;

  constructor(state: FlashAdapterState) {
    this.state = state;
  }

  /** Undefined for registers outside the block. */
  read64(offset: number): bigint | undefined {
    switch (offset) {
      case provokeRegisters.command:
        return 0n;
      case provokeRegisters.value:
        return this.value;
      case provokeRegisters.count:
        return this.count;
      case provokeRegisters.done:
        return this.done;
      default:
        return undefined;
    }
  }

  /** False for registers outside the block. */
  write64(offset: number, value: bigint): boolean {
    switch (offset) {
      case provokeRegisters.command:
        this.run(Number(value >> 56n), Number(value & 0xff_ffff_ffff_ffffn));
        this.done = BigInt.asUintN(64, this.done + 1n);
        return true;
      case provokeRegisters.value:
        this.value = value;
        return true;
      case provokeRegisters.count:
        this.count = value;
        return true;
      case provokeRegisters.done:
        return true;
      default:
        return false;
    }
  }

  private run(command: number, argument: number): void {
    const times = this.count === 0n ? 1 : Number(this.count);
    const medium = this.state.media[argument];
    switch (command) {
      case provokeCommands.errorState:
        this.state.reset(argument);
        break;
      case provokeCommands.status:
        for (let i = 0; i < times; i += 1) this.state.faults.statuses.push(this.status(argument));
        break;
      case provokeCommands.slowSync:
        this.state.slowSyncs = times;
        break;
      case provokeCommands.ports:
        this.state.portsUp = argument;
        break;
      case provokeCommands.capacity:
        if (medium !== undefined) medium.blocks = this.value;
        break;
      case provokeCommands.hold:
        this.state.faults.held = argument !== 0;
        break;
      case provokeCommands.resetFails:
        this.state.resetFails = argument !== 0;
        break;
      case provokeCommands.unreadable:
        if (medium !== undefined) medium.readable = this.value === 0n;
        break;
      case provokeCommands.closedContext:
        this.state.closedContexts = times;
        break;
      default:
        break;
    }
  }

  private status(argument: number): Uint8Array {
    const status = new Uint8Array(64);
    new DataView(status.buffer).setBigUint64(0, this.value, false);
    status[9] = (argument >>> 24) & 0xff;
    if ((status[0] ?? 0) & 0x80) {
      const sense = makeSense((argument >>> 16) & 0xf, (argument >>> 8) & 0xff, argument & 0xff);
      status.set(sense, 12);
    }
    return status;
  }
}
