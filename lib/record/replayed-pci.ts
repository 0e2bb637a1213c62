/** The PCI functions of a recording. */
import type { NegativeErrno } from '../binding';
import type { ConfigSpace, Owner, PciBus } from '../binding/configuration-space';
import { ERRNOS } from '../shared/errno';
import type { CallStep, Lane } from './plan';
import type { AccessRecord } from './records';
import { Answers } from './replayed-binding';
import { answerOf, laterAnswerOf } from './replayed-files';
import type { Replayer } from './replayer';

export class ReplayedPci implements PciBus {
  readonly kind = 'replay';
  readonly #replayer: Replayer;
  readonly #answers: Answers;

  constructor(replayer: Replayer) {
    this.#replayer = replayer;
    this.#answers = new Answers(replayer);
  }

  async functions(): Promise<string[] | NegativeErrno> {
    return (await this.#answer('pci.functions', {})) as string[] | NegativeErrno;
  }

  path(address: string): string {
    return `/sys/bus/pci/devices${address === '' ? '' : `/${address}/config`}`;
  }

  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    const input = { address, access };
    const step = this.#replayer.free('pci.open', input, ({ answer }) => answer !== undefined);
    if (step === undefined) throw this.#replayer.notRecorded('pci.open', input);
    const answer = answerOf(this.#replayer, step) as { size: number } | NegativeErrno;
    if (typeof answer === 'number') return answer;
    return new ReplayedSpace(answer.size, this.#replayer.lane(step.created!), this.#replayer);
  }

  async owner(address: string): Promise<Owner> {
    return (await this.#answer('pci.owner', { address })) as Owner;
  }

  async driver(address: string): Promise<string | undefined> {
    const step = this.#find('pci.driver', { address });
    // Undefined is no answer in the file.
    return step.answer?.answer as string | undefined;
  }

  unbind(address: string): Promise<number | NegativeErrno> {
    return this.#answer('pci.unbind', { address }) as Promise<number>;
  }

  bind(address: string, driver: string): Promise<number | NegativeErrno> {
    return this.#answer('pci.bind', { address, driver }) as Promise<number>;
  }

  #find(name: string, input: Record<string, unknown>): CallStep {
    const step = this.#answers.find(name, input);
    if (step === undefined) throw this.#replayer.notRecorded(name, input);
    return step;
  }

  async #answer(name: string, input: Record<string, unknown>): Promise<unknown> {
    return laterAnswerOf(this.#replayer, this.#find(name, input));
  }
}

class ReplayedSpace implements ConfigSpace {
  readonly size: number;
  readonly #lane: Lane;
  readonly #replayer: Replayer;
  #open = true;

  constructor(size: number, lane: Lane, replayer: Replayer) {
    this.size = size;
    this.#lane = lane;
    this.#replayer = replayer;
  }

  readDword(offset: number): number | NegativeErrno {
    const { record } = this.#replayer.required(this.#lane, 'config.read', offset, { offset });
    const { errno, value } = record as AccessRecord;
    return errno ?? (value as number);
  }

  writeDword(offset: number, value: number): number | NegativeErrno {
    return this.#call('config.write', { offset, value });
  }

  lock(offset: number, length: number): number | NegativeErrno {
    return this.#call('config.lock', { offset, length });
  }

  unlock(offset: number, length: number): number | NegativeErrno {
    return this.#call('config.unlock', { offset, length });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#call('config.close', {});
  }

  #call(name: string, input: Record<string, unknown>): number {
    const step = this.#replayer.call(this.#lane, name, input);
    const answer = answerOf(this.#replayer, step);
    return typeof answer === 'number' ? answer : -ERRNOS.EIO;
  }
}
