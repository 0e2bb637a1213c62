/** The mock of a bare-metal system, or of a PowerVM guest. */
import { createMockCxl } from 'node-cxl/mock';
import { injectionAfu } from '../injection-afu';
import type { Need, Target } from '../target';

export interface MockTargetOptions {
  flavor?: 'bare-metal' | 'guest';
  /** Default 65536. */
  pageSize?: number;
}

export async function mockTarget({
  flavor = process.env['CXL_FLAVOR'] === 'guest' ? 'guest' : 'bare-metal',
  pageSize = 65536,
}: MockTargetOptions = {}): Promise<Target> {
  const guest = flavor === 'guest';
  const caia2 = process.env['CXL_CAIA'] === '2';
  const caiaVersion = caia2 ? '2.0' : '1.0';
  // In a guest the hypervisor limits the interrupts of each AFU.
  const limit = guest ? { interruptsMaximum: 1024 } : {};
  const directed = { caiaVersion, afus: [{ model: injectionAfu(), ...limit }] };
  const dedicated = { caiaVersion, afus: [{ model: injectionAfu({ modes: ['dedicated'] }) }] };
  const mock = createMockCxl({
    flavor,
    pageSize: pageSize === 4096 ? 4096 : 65536,
    cards: guest ? [directed] : [directed, dedicated],
  });
  return {
    name: 'mock',
    system: mock,
    afu: 'afu0.0',
    dedicatedAfu: 'afu1.0',
    processes: 511,
    has: new Set<Need>([
      ...([
        'injection',
        'event-injection',
        'master',
        'many-processes',
        'descriptors',
        'device-side',
        'few-processes',
        'numa',
        'hugetlb',
        'real-time',
      ] as const),
      ...(guest ? (['guest'] as const) : (['dedicated', 'bare-metal'] as const)),
      ...(caia2 ? (['caia-2'] as const) : []),
    ]),
    device: {
      freeze: async (card) => mock.card(card).freeze(),
      linkDown: async (card) => {
        mock.card(card).freeze();
        mock.card(card).notice();
      },
      linkUp: async (card) => mock.card(card).recover(),
      injectEventBytes: async (_afu, processElement, bytes) =>
        mock.card(0).afu(0).context(processElement).injectEvent(bytes),
      overrideAttribute: async (path, text) => {
        mock.setAttribute(path, text);
        return async () => mock.restoreAttributes();
      },
      writeAttribute: (path, text) =>
        mock.writeAttribute(path, text).then(
          () => undefined,
          (error) => error.code,
        ),
      setEnabled: async (afu, enabled) => {
        const found = mock.cards.flatMap((card) => card.afus).find(({ name }) => name === afu)!;
        if (enabled) found.enable();
        else found.disable();
      },
      usage: async () => {
        const { files, contexts, mappings } = mock.counters;
        return { files, attached: contexts, mappings };
      },
    },
  };
}
