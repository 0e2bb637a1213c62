/**
 * Injection registers: by them a test makes the flash adapter fail. They are in the register
 * page of each context, so a test reaches them through the same interface as any program. The
 * simulated device has the same registers and commands.
 */
import type { FlashAdapterState } from './adapter-state';
import { makeSense } from './sense';

/** Byte offsets in the register page; all are 64 bits wide. */
export const INJECTION_REGISTERS = {
  /**
   * A store runs a command: bits 63:56 are the command, the other bits its argument. Reads as 0
   * once the command has been run.
   */
  command: 0x1000,
  /** An operand of a command. */
  value: 0x1008,
  /** How often a command has its effect: 0 is once. */
  count: 0x1010,
  /** How many commands have been run. Read only. */
  done: 0x1018,
} as const;

/** Commands. `value` and `count` are the registers of that name; a count of 0 is 1. */
export const INJECTION_COMMANDS = {
  /** The adapter is in error for `argument` milliseconds. */
  errorState: 0x04,
  /**
   * The next `count` commands end with a status whose first 8 bytes are `value`, big-endian:
   * flags, AFU code, SCSI code, FC code, residual. The four bytes of the argument are afu_extra,
   * sense key, sense code and qualifier.
   */
  status: 0x10,
  /** The next `count` AFU syncs time out. */
  slowSync: 0x11,
  /** The ports with a link: the argument is a mask. */
  ports: 0x12,
  /** LUN number `argument` has `value` blocks from now on. */
  capacity: 0x13,
  /** Argument 1: the AFU accepts commands but does not carry them out. 0: it does again. */
  hold: 0x14,
  /** Argument 1: the next reset does not succeed. */
  resetFails: 0x15,
  /** Value 1: the capacity of LUN number `argument` cannot be read. 0: it can. */
  unreadable: 0x16,
  /** The next `count` contexts are closed before the AFU is told their capabilities. */
  closedContext: 0x17,
  /**
   * Registers read as all ones, and the driver notices after `argument` milliseconds only. The
   * reset that follows takes `value` milliseconds.
   */
  breakLink: 0x18,
  /**
   * The next AFU sync gets stuck, so that the driver resets the AFU by itself, which takes
   * `argument` milliseconds.
   */
  stuckSync: 0x19,
} as const;

export class InjectionRegisters {
  readonly #state: FlashAdapterState;
  #value = 0n;
  #count = 0n;
  #done = 0n;

  constructor(state: FlashAdapterState) {
    this.#state = state;
  }

  /** Undefined for other registers. */
  read64(offset: number): bigint | undefined {
    switch (offset) {
      case INJECTION_REGISTERS.command:
        return 0n;
      case INJECTION_REGISTERS.value:
        return this.#value;
      case INJECTION_REGISTERS.count:
        return this.#count;
      case INJECTION_REGISTERS.done:
        return this.#done;
      default:
        return undefined;
    }
  }

  /** False for other registers. */
  write64(offset: number, value: bigint): boolean {
    switch (offset) {
      case INJECTION_REGISTERS.command:
        this.#run(Number(value >> 56n), Number(value & 0xff_ffff_ffff_ffffn));
        this.#done = BigInt.asUintN(64, this.#done + 1n);
        return true;
      case INJECTION_REGISTERS.value:
        this.#value = value;
        return true;
      case INJECTION_REGISTERS.count:
        this.#count = value;
        return true;
      case INJECTION_REGISTERS.done:
        return true;
      default:
        return false;
    }
  }

  #run(command: number, argument: number): void {
    const times = this.#count === 0n ? 1 : Number(this.#count);
    const medium = this.#state.media[argument];
    switch (command) {
      case INJECTION_COMMANDS.errorState:
        this.#state.reset(argument);
        break;
      case INJECTION_COMMANDS.status:
        for (let i = 0; i < times; i += 1) this.#state.faults.statuses.push(this.#status(argument));
        break;
      case INJECTION_COMMANDS.slowSync:
        this.#state.slowSyncs = times;
        break;
      case INJECTION_COMMANDS.ports:
        this.#state.portsUp = argument;
        break;
      case INJECTION_COMMANDS.capacity:
        if (medium !== undefined) medium.blocks = this.#value;
        break;
      case INJECTION_COMMANDS.hold:
        this.#state.faults.held = argument !== 0;
        break;
      case INJECTION_COMMANDS.resetFails:
        this.#state.resetFails = argument !== 0;
        break;
      case INJECTION_COMMANDS.unreadable:
        if (medium !== undefined) medium.readable = this.#value === 0n;
        break;
      case INJECTION_COMMANDS.closedContext:
        this.#state.closedContexts = times;
        break;
      case INJECTION_COMMANDS.breakLink:
        this.#state.breakLink(argument, Number(this.#value));
        break;
      case INJECTION_COMMANDS.stuckSync:
        this.#state.stuckSync = argument;
        break;
      default:
        break;
    }
  }

  #status(argument: number): Uint8Array {
    const status = new Uint8Array(64);
    new DataView(status.buffer).setBigUint64(0, this.#value, false);
    status[9] = (argument >>> 24) & 0xff;
    if ((status[0] ?? 0) & 0x80) {
      const sense = makeSense((argument >>> 16) & 0xf, (argument >>> 8) & 0xff, argument & 0xff);
      status.set(sense, 12);
    }
    return status;
  }
}
