/** composeAfu(): an AFU model made of behaviors. */
import { checkInteger, checkOptions, checkString, type OptionNames } from '../../shared/checks';
import { typeError } from '../../shared/errors';
import {
  type AfuDescriptor,
  type AfuModel,
  type AfuProcess,
  DESCRIPTOR_FIELDS,
  type MmioWidth,
  type ProcessLogic,
} from './afu-model';
import type { Behavior, BehaviorLogic, RegisterValues } from './behaviors';
import { type Register, Registers } from './registers';

/** Bytes of the area of each process, if the description does not say. */
const AREA_SIZE = 0x10000;

/** A descriptor most of whose fields have defaults. */
export interface AfuDescription extends Partial<AfuDescriptor> {
  /** The model's name. */
  readonly name: string;
}

const DESCRIPTION: OptionNames<AfuDescription> = { ...DESCRIPTOR_FIELDS, name: true };

/**
 * Makes a model of an AFU of behaviors. By default it has one process in AFU-directed mode, needs
 * one interrupt, and has 64 KiB of big-endian registers a process, after as many of its own.
 *
 *
 * @example
 * import { answers, composeAfu, raisesInterrupt, register } from 'node-cxl/mock';
 *
 * // A card that adds: store A and B, load the sum; a store to DONE raises interrupt 1.
 * const [A, B, SUM, DONE] = [0x00, 0x08, 0x10, 0x18];
 * const adder = composeAfu(
 *   { name: 'adder', processes: 4 },
 *   register(A),
 *   register(B),
 *   answers(SUM, (_, values) => values.get(A) + values.get(B)),
 *   raisesInterrupt(1, DONE),
 * );
 * console.log(adder.descriptor.processes); // 4
 */
export function composeAfu(description: AfuDescription, ...behaviors: Behavior[]): AfuModel {
  const { name, ...given } = checkOptions(description, DESCRIPTION, 'description');
  checkString('description.name', name);
  for (const [index, behavior] of behaviors.entries()) {
    if (typeof behavior !== 'function')
      throw typeError(`behaviors[${index}]`, 'a behavior', behavior);
  }
  const processes = checkInteger('processes', given.processes ?? 1, 1, 65_535);
  const descriptor: AfuDescriptor = {
    processes,
    interruptsMinimum: 1,
    modes: ['directed'],
    problemStateSize: AREA_SIZE * (processes + 1),
    perProcess: { offset: AREA_SIZE, size: AREA_SIZE },
    ...given,
  };
  return {
    name,
    descriptor,
    powerOn: () => ({
      attach: (process) => new ComposedProcess(process, behaviors, descriptor.endian ?? 'big'),
    }),
  };
}

class ComposedProcess implements ProcessLogic {
  readonly #logics: readonly BehaviorLogic[];
  readonly #registers: Registers;

  constructor(process: AfuProcess, behaviors: readonly Behavior[], endian: 'big' | 'little') {
    const stored = new Map<number, bigint>();
    const values: RegisterValues = {
      get: (offset) => stored.get(offset) ?? 0n,
      set: (offset, value) => {
        stored.set(offset, BigInt.asUintN(64, value));
      },
    };
    this.#logics = behaviors.map((behavior) => behavior(process, values));
    this.#registers = new Registers(merge(this.#logics), endian);
  }

  mmioRead(offset: number, width: MmioWidth): bigint {
    return this.#registers.read(offset, width);
  }

  mmioWrite(offset: number, width: MmioWidth, value: bigint): void {
    this.#registers.write(offset, width, value);
  }

  step(): boolean {
    let more = false;
    for (const logic of this.#logics) more = (logic.step?.() ?? false) || more;
    return more;
  }

  detach(): void {
    for (const logic of this.#logics) logic.detach?.();
  }
}

function merge(logics: readonly BehaviorLogic[]): Record<number, Register> {
  const parts = new Map<number, Register[]>();
  for (const { registers = {} } of logics) {
    for (const [key, part] of Object.entries(registers)) {
      const offset = Number(key);
      parts.set(offset, [...(parts.get(offset) ?? []), part]);
    }
  }
  const merged: Record<number, Register> = {};
  for (const [offset, several] of parts) {
    const read = several.find((part) => part.read !== undefined)?.read;
    merged[offset] = {
      ...(read && { read }),
      write: (value) => {
        for (const part of several) part.write?.(value);
      },
    };
  }
  return merged;
}
