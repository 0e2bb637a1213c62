/** The mock, with what it does not offer itself put before its seam: raw bytes, odd attributes. */
import { Cxl } from 'node-cxl';
import { createMockCxl } from 'node-cxl/mock';
import type { AfuFile, Binding, EventSink, SysFs } from '../../../dist/binding';
import { provokingAfu } from '../provoking-afu';
import type { Need, Target } from '../target';

export interface MockTargetOptions {
  flavour?: 'bare-metal' | 'guest';
}

const ENOENT = -2;

export async function mockTarget({
  flavour = process.env['CXL_FLAVOUR'] === 'guest' ? 'guest' : 'bare-metal',
}: MockTargetOptions = {}): Promise<Target> {
  const guest = flavour === 'guest';
  const directed = { afus: [{ model: provokingAfu() }] };
  const dedicated = { afus: [{ model: provokingAfu({ modes: ['dedicated'] }) }] };
  const mock = createMockCxl({ flavour, cards: guest ? [directed] : [directed, dedicated] });
  const sysfs = new OddAttributes((mock as unknown as { binding: Binding }).binding.sysfs);
  const spliced = new SplicedEvents((mock as unknown as { binding: Binding }).binding, sysfs);
  const System = Cxl as unknown as new (source: () => Binding) => Cxl;
  return {
    name: 'mock',
    system: new System(() => spliced.binding),
    afu: 'afu0.0',
    dedicatedAfu: 'afu1.0',
    processes: 511,
    has: new Set<Need>(
      guest
        ? ['provoke', 'master', 'guest', 'device-side', 'few-processes']
        : ['provoke', 'master', 'dedicated', 'bare-metal', 'device-side', 'few-processes'],
    ),
    device: {
      freeze: async (card) => mock.card(card).freeze(),
      linkDown: async (card) => {
        mock.card(card).freeze();
        mock.card(card).notice();
      },
      linkUp: async (card) => mock.card(card).recover(),
      injectEventBytes: async (_afu, _processElement, bytes) => spliced.inject(bytes),
      overrideAttribute: async (path, text) => sysfs.override(path, text),
      usage: async () => {
        const { files, contexts, mappings } = mock.counters;
        return { files, attached: contexts, mappings };
      },
    },
  };
}

/** Attributes whose text a test has replaced or taken away. */
class OddAttributes implements SysFs {
  readonly #sysfs: SysFs;
  readonly #odd = new Map<string, string | undefined>();

  constructor(sysfs: SysFs) {
    this.#sysfs = sysfs;
  }

  /** `path` may be reached by links (afu0.0s/device/…), so it is the last two names that count. */
  override(path: string, text: string | undefined): () => Promise<void> {
    this.#odd.set(path, text);
    return async () => {
      this.#odd.delete(path);
    };
  }

  readdir(path: string) {
    return this.#sysfs.readdir(path);
  }

  async read(path: string, offset?: number, length?: number) {
    return (
      this.#oddly(path, await this.#sysfs.realpath(path)) ?? this.#sysfs.read(path, offset, length)
    );
  }

  readSync(path: string) {
    const direct = path.replace(/\/(afu\d+\.\d+)[dms]\/device\//, '/$1/');
    return this.#oddly(path, direct) ?? this.#sysfs.readSync(path);
  }

  write(path: string, data: string) {
    return this.#sysfs.write(path, data);
  }

  realpath(path: string) {
    return this.#sysfs.realpath(path);
  }

  #oddly(path: string, resolved: string | number): Uint8Array | number | undefined {
    for (const [odd, text] of this.#odd) {
      const tail = odd.slice('/sys/class/cxl'.length);
      if (path !== odd && !(typeof resolved === 'string' && resolved.endsWith(tail))) continue;
      return text === undefined ? ENOENT : Buffer.from(text, 'latin1');
    }
    return undefined;
  }
}

interface SplicedFile {
  sink: EventSink;
  armed: boolean;
  readonly waiting: Uint8Array[];
}

/** Lets a test put bytes where a read() of the driver would have put an event. */
class SplicedEvents {
  readonly binding: Binding;
  /** The file opened last: the tests that inject have but one. */
  #last: SplicedFile | undefined;

  constructor(binding: Binding, sysfs: SysFs) {
    const openAfu = async (path: string) => {
      const file = await binding.openAfu(path);
      return typeof file === 'number' ? file : this.#splice(file);
    };
    this.binding = new Proxy(binding, {
      get: (whole, name) => {
        if (name === 'openAfu') return openAfu;
        if (name === 'sysfs') return sysfs;
        const value = Reflect.get(whole, name, whole);
        return typeof value === 'function' ? value.bind(whole) : value;
      },
    });
  }

  inject(bytes: Uint8Array): void {
    const file = this.#last;
    if (file === undefined) throw new Error('no context has been opened');
    file.waiting.push(bytes);
    setImmediate(() => this.#deliver(file));
  }

  #deliver(file: SplicedFile): void {
    if (!file.armed) return;
    const bytes = file.waiting.shift();
    if (bytes === undefined) return;
    file.armed = false;
    file.sink(bytes, bytes.length, 0);
  }

  #splice(file: AfuFile): AfuFile {
    const spliced: SplicedFile = { sink: () => {}, armed: false, waiting: [] };
    this.#last = spliced;
    const calls: Partial<AfuFile> = {
      onEvents: (sink) => {
        spliced.sink = sink;
        file.onEvents((bytes, length, errno) => {
          spliced.armed = false;
          sink(bytes, length, errno);
        });
      },
      arm: () => {
        spliced.armed = true;
        setImmediate(() => this.#deliver(spliced));
        file.arm();
      },
      disarm: () => {
        spliced.armed = false;
        file.disarm();
      },
    };
    return new Proxy(file, {
      get: (whole, name) => {
        const own = Reflect.get(calls, name);
        if (own !== undefined) return own;
        const value = Reflect.get(whole, name, whole);
        return typeof value === 'function' ? value.bind(whole) : value;
      },
    });
  }
}
