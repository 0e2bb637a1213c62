/** The addon on the simulated device (test/simulated-device), a library preloaded into this process. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cxl } from 'node-cxl';
import type { Need, Target } from '../target';
import { isCaia2 } from './work-queue';

const CONTROL = '/dev/cxl-sim';

/** What reading the control file of the simulated device returns. */
interface Status {
  flavor: 'guest' | 'native';
  mappings: number;
  openContexts: number;
  foreignSigbus: number;
  truncations: number;
  cards: { attached: number }[];
}

/** Writes a command of test/simulated-device/README.md to the control file. */
export function command(line: string): void {
  writeFileSync(CONTROL, line);
}

export function status(): Status {
  return JSON.parse(readFileSync(CONTROL, 'utf8')) as Status;
}

function override(path: string, text: string | undefined): void {
  const value = text === undefined ? 'absent' : text.trim() === '' ? 'empty' : text.trim();
  command(`set-attr ${path} ${value}`);
}

export async function simulatedTarget(): Promise<Target> {
  if (!existsSync(CONTROL)) {
    throw new Error(
      'the simulated device is not preloaded: LD_PRELOAD=test/simulated-device/build/libcxlsim.so',
    );
  }
  const guest = status().flavor === 'guest';
  return {
    name: 'simulated',
    system: cxl,
    afu: 'afu0.0',
    dedicatedAfu: 'afu1.0',
    processes: 511,
    has: new Set<Need>([
      'injection',
      'event-injection',
      'master',
      'many-processes',
      'descriptors',
      'device-side',
      'native',
      'few-processes',
      // qemu's user-mode emulation lacks mbind() and MAP_HUGETLB, and is slow.
      ...(process.env['CXL_EMULATED'] === undefined
        ? (['numa', 'hugetlb', 'real-time'] as const)
        : []),
      ...((await isCaia2(cxl)) ? (['caia-2'] as const) : []),
      ...(guest ? (['guest'] as const) : (['bare-metal', 'dedicated'] as const)),
    ]),
    device: {
      freeze: async (card) => command(`link-down card${card}`),
      linkDown: async (card) => command(`link-down card${card}\ndetach-all afu${card}.0`),
      linkUp: async (card) => command(`link-up card${card}`),
      injectEventBytes: async (afu, processElement, bytes) =>
        command(`event-raw ${afu} ${processElement} ${Buffer.from(bytes).toString('hex')}`),
      overrideAttribute: async (path, text) => {
        override(path, text);
        return async () => command(`set-attr ${path} normal`);
      },
      writeAttribute: async (path, text) => {
        try {
          writeFileSync(path, text);
          return undefined;
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      },
      setEnabled: async (afu, enabled) => command(`${enabled ? 'enable' : 'disable'} ${afu}`),
      usage: async () => {
        const { cards, openContexts: files, mappings } = status();
        return { files, attached: cards.reduce((sum, card) => sum + card.attached, 0), mappings };
      },
    },
  };
}
