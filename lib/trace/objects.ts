/** The names of the objects of one file of a recording, which has numbers for them. */
import path from 'node:path';
import type { CallRecord, MemoryAddress, ReturnRecord } from '../record';
import { MemoryPlace } from './entry';

/** What a record is about. */
export interface TraceContext {
  readonly name: string;
  readonly path: string | undefined;
}

export const MEMORY: TraceContext = { name: 'memory', path: undefined };
export const RECORDING: TraceContext = { name: 'recording', path: undefined };
const SYSFS: TraceContext = { name: 'sysfs', path: undefined };
const PCI: TraceContext = { name: 'pci', path: undefined };
const DESCRIPTORS: TraceContext = { name: 'descriptors', path: undefined };

interface TraceMemory {
  readonly name: string;
  readonly address: bigint;
  readonly size: number;
}

export class TraceObjects {
  readonly #contexts = new Map<number, TraceContext>();
  readonly #memories = new Map<number, TraceMemory>();
  /** How often each device was opened. */
  readonly #openings = new Map<string, number>();

  /** Takes note of what a call made, and returns what the call was about. */
  add(call: CallRecord, returned: ReturnRecord | undefined): TraceContext {
    const created = returned?.created;
    const { name, object, input } = call;
    switch (name) {
      case 'open':
        return this.#opened(baseName(input['path']), text(input['path']), created);
      case 'pci.open': {
        const { path: file } = (returned?.answer ?? {}) as { path?: unknown };
        return this.#opened(baseName(input['address']), text(file), created);
      }
      case 'adopt':
        return this.#opened(`fd${String(input['fd'])}`, undefined, created);
      case 'mmap': {
        const context = this.context(object);
        if (created !== undefined) this.#contexts.set(created, context);
        return context;
      }
      case 'allocate':
      case 'addressOf':
        if (created !== undefined) this.#allocated(created, call, returned?.answer);
        return MEMORY;
      case 'takeDescriptor':
      case 'closeDescriptor':
        return DESCRIPTORS;
      default:
        if (object !== 0) return this.context(object);
        if (name.startsWith('sysfs.')) return SYSFS;
        if (!name.startsWith('pci.')) return RECORDING;
        return 'address' in input ? { name: baseName(input['address']), path: undefined } : PCI;
    }
  }

  /** What an object belongs to. One whose making the file has lost has its number for a name. */
  context(object: number): TraceContext {
    if (object === 0 || this.#memories.has(object)) return MEMORY;
    return this.#contexts.get(object) ?? { name: `object${object}`, path: undefined };
  }

  isMemory(object: number): boolean {
    return this.#memories.has(object);
  }

  place({ memory, offset }: MemoryAddress): MemoryPlace {
    return new MemoryPlace(this.#memories.get(memory)?.name ?? `object${memory}`, offset);
  }

  /** The place that an address is in. Memory that was freed does not count. */
  find(address: bigint): MemoryPlace | undefined {
    for (const { name, address: start, size } of this.#memories.values()) {
      const offset = address - start;
      if (offset >= 0n && offset < size) return new MemoryPlace(name, Number(offset));
    }
    return undefined;
  }

  freed(object: number): void {
    const memory = this.#memories.get(object);
    // Its name stays: records of its last contents may follow.
    if (memory !== undefined) this.#memories.set(object, { ...memory, size: 0 });
  }

  #opened(device: string, file: string | undefined, created: number | undefined): TraceContext {
    if (created === undefined) return { name: device, path: file };
    const count = (this.#openings.get(device) ?? 0) + 1;
    this.#openings.set(device, count);
    const context = { name: `${device}#${count}`, path: file };
    this.#contexts.set(created, context);
    return context;
  }

  #allocated(id: number, { input }: CallRecord, answer: unknown): void {
    const { address, size = input['size'] } = (answer ?? {}) as Record<string, unknown>;
    this.#memories.set(id, {
      name: `mem${this.#memories.size + 1}`,
      address: typeof address === 'bigint' ? address : 0n,
      size: typeof address === 'bigint' ? Number(size) : 0,
    });
  }
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function baseName(value: unknown): string {
  return path.basename(String(value));
}
