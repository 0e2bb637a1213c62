/** PCI functions whose calls are recorded. */
import type { NegativeErrno } from '../binding';
import type { ConfigSpace, Owner, PciBus } from '../binding/configuration-space';
import { ACCESS_FLAGS } from './access-columns';
import { recorded } from './recorded-binding';
import type { Recorder } from './recorder';

export class RecordedPci implements PciBus {
  readonly kind: PciBus['kind'];
  readonly #bus: PciBus;
  readonly #recorder: Recorder;

  constructor(bus: PciBus, recorder: Recorder) {
    this.#bus = bus;
    this.#recorder = recorder;
    this.kind = bus.kind;
  }

  functions(): Promise<string[] | NegativeErrno> {
    return recorded(this.#recorder, 'pci.functions', {}, () => this.#bus.functions());
  }

  path(address: string): string {
    return this.#bus.path(address);
  }

  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    const call = this.#recorder.begin('pci.open', 0, { address, access });
    const space = this.#bus.open(address, access);
    if (typeof space === 'number') {
      this.#recorder.end(call, space);
      return space;
    }
    const id = this.#recorder.newObject();
    const path = this.#bus.path(address);
    this.#recorder.end(call, { size: space.size, path }, id);
    return new RecordedSpace(space, id, this.#recorder);
  }

  owner(address: string): Promise<Owner> {
    return recorded(this.#recorder, 'pci.owner', { address }, () => this.#bus.owner(address));
  }

  driver(address: string): Promise<string | undefined> {
    return recorded(this.#recorder, 'pci.driver', { address }, () => this.#bus.driver(address));
  }

  unbind(address: string): Promise<number | NegativeErrno> {
    return recorded(this.#recorder, 'pci.unbind', { address }, () => this.#bus.unbind(address));
  }

  bind(address: string, driver: string): Promise<number | NegativeErrno> {
    const bind = () => this.#bus.bind(address, driver);
    return recorded(this.#recorder, 'pci.bind', { address, driver }, bind);
  }
}

class RecordedSpace implements ConfigSpace {
  readonly size: number;
  readonly #space: ConfigSpace;
  readonly #id: number;
  readonly #recorder: Recorder;
  #open = true;

  constructor(space: ConfigSpace, id: number, recorder: Recorder) {
    this.#space = space;
    this.#id = id;
    this.#recorder = recorder;
    this.size = space.size;
  }

  readDword(offset: number): number | NegativeErrno {
    const answer = this.#space.readDword(offset);
    // A failed access is recorded with its errno, positive.
    const flags = answer < 0 ? ACCESS_FLAGS.FAILED : 0;
    this.#recorder.load('config.read', this.#id, offset, Math.abs(answer), flags);
    return answer;
  }

  writeDword(offset: number, value: number): number | NegativeErrno {
    const time = this.#recorder.now();
    const answer = this.#space.writeDword(offset, value);
    // An access has room for its value or an errno.
    if (answer < 0) {
      this.#recorder.end(this.#recorder.begin('config.write', this.#id, { offset, value }), answer);
    } else {
      this.#recorder.store('config.write', this.#id, offset, value, 0, time);
    }
    return answer;
  }

  lock(offset: number, length: number): number | NegativeErrno {
    const call = this.#recorder.begin('config.lock', this.#id, { offset, length });
    const answer = this.#space.lock(offset, length);
    this.#recorder.end(call, answer);
    return answer;
  }

  unlock(offset: number, length: number): number | NegativeErrno {
    const call = this.#recorder.begin('config.unlock', this.#id, { offset, length });
    const answer = this.#space.unlock(offset, length);
    this.#recorder.end(call, answer);
    return answer;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const call = this.#recorder.begin('config.close', this.#id, {});
    this.#space.close();
    this.#recorder.end(call, undefined);
  }
}
