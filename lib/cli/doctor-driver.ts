/** `node-cxl doctor`: the driver, the cards and AFUs it found, and their device nodes. */
import { CONTEXT_SUFFIXES } from '../device/afu';
import type { Finding } from './doctor';
import type { Host } from './doctor-host';

const CLASS = '/sys/class/cxl';
const NODE = new RegExp(`^afu\\d+\\.\\d+[${Object.values(CONTEXT_SUFFIXES).join('')}]$`);

/** The first and the last Linux that have the driver. */
const FIRST_LINUX = [3, 18] as const;
const LAST_LINUX = [6, 14] as const;

/** Names of the device nodes that the driver has made known. */
export async function nodeNames(host: Host): Promise<string[]> {
  return ((await host.list(CLASS)) ?? []).filter((name) => NODE.test(name));
}

export async function checkDriver(host: Host): Promise<Finding> {
  const { release, machine } = await host.kernel();
  const linux = `Linux ${release ?? 'of unknown version'}`;
  const check = { check: 'driver', subject: 'cxl' } as const;
  if ((await host.list(CLASS)) !== undefined) {
    return { ...check, status: 'ok', message: `the cxl driver is loaded (${linux})` };
  }
  if (machine !== undefined && !machine.startsWith('ppc')) {
    return {
      ...check,
      status: 'note',
      message: `CAPI cards need a POWER8 or POWER9 machine; this is ${machine}`,
      advice: 'run programs on mock devices: --mock, or NODE_CXL_BACKEND=mock',
    };
  }
  const problem = { ...check, status: 'problem', exitCode: 3 } as const;
  const version =
    release === undefined ? undefined : /^(\d+)\.(\d+)/.exec(release)?.slice(1).map(Number);
  const [major = 0, minor = 0] = version ?? [];
  const before = ([a, b]: readonly [number, number]) => major < a || (major === a && minor < b);
  if (
    version !== undefined &&
    (before(FIRST_LINUX) || !before([LAST_LINUX[0], LAST_LINUX[1] + 1]))
  ) {
    return {
      ...problem,
      message: `${linux} has no cxl driver`,
      advice: `use Linux ${FIRST_LINUX.join('.')} to ${LAST_LINUX.join('.')}`,
    };
  }
  const modules = [
    await host.text(`/lib/modules/${release}/modules.dep`),
    await host.text(`/lib/modules/${release}/modules.builtin`),
  ];
  if (modules.some((list) => list?.includes('drivers/misc/cxl/cxl.ko'))) {
    return { ...problem, message: 'the cxl driver is not loaded', advice: 'modprobe cxl' };
  }
  return {
    ...problem,
    message: `the cxl driver is not loaded, and ${linux} seems to be built without it`,
    advice: 'use a kernel with CONFIG_CXL=m (its modules may be a package of their own)',
  };
}

export async function checkCards(host: Host): Promise<Finding[]> {
  const names = await host.list(CLASS);
  if (names === undefined) return [];
  const cards = names.filter((name) => /^card\d+$/.test(name));
  if (cards.length === 0) {
    return [
      {
        check: 'cards',
        status: 'problem',
        subject: CLASS,
        message: 'the driver has found no card',
        advice: 'see what it says: dmesg | grep cxl. Is the card in a slot that has CAPI?',
        exitCode: 3,
      },
    ];
  }
  const found = await Promise.all(cards.map((card) => checkImage(host, card)));
  const afus = names.filter((name) => /^afu\d+\.\d+$/.test(name));
  return [...found, ...(await Promise.all(afus.map((afu) => checkMode(host, afu))))];
}

async function checkImage(host: Host, card: string): Promise<Finding> {
  const image = await host.text(`${CLASS}/${card}/image_loaded`);
  const check = { check: 'cards', subject: card } as const;
  if (image !== 'factory') {
    return { ...check, status: 'ok', message: image === undefined ? 'present' : `${image} image` };
  }
  return {
    ...check,
    status: 'note',
    message: 'runs its factory image, which seldom has an AFU',
    advice: `node-cxl set ${card} load_image_on_perst=user && node-cxl reset ${card}`,
  };
}

async function checkMode(host: Host, afu: string): Promise<Finding> {
  const mode = await host.text(`${CLASS}/${afu}/mode`);
  const check = { check: 'cards', subject: afu } as const;
  if (mode !== 'none') return { ...check, status: 'ok', message: `mode ${mode ?? 'unknown'}` };
  const [supported = 'afu_directed'] =
    (await host.text(`${CLASS}/${afu}/modes_supported`))?.split('\n') ?? [];
  return {
    ...check,
    status: 'problem',
    message: 'has no mode, so no context can be opened',
    advice: `node-cxl set ${afu} mode=${supported}`,
    exitCode: 3,
  };
}

export async function checkNodes(host: Host): Promise<Finding[]> {
  const check = 'nodes';
  const findings: Finding[] = [];
  for (const name of await nodeNames(host)) {
    const subject = `/dev/cxl/${name}`;
    if ((await host.ownership(subject)) !== undefined) {
      findings.push({ check, status: 'ok', subject, message: 'present' });
      continue;
    }
    findings.push({
      check,
      status: 'problem',
      subject,
      message: 'the node is missing',
      advice: 'udevadm trigger -s cxl (in a container: pass the device to it)',
      exitCode: 3,
    });
  }
  return findings;
}
