/** What can be made to fail, and where: the data of a fault, and its checks. */
import {
  checkInteger,
  checkOneOf,
  checkOptions,
  checkString,
  type OptionNames,
} from '../../shared/checks';
import { ERRNOS, type ErrnoName } from '../../shared/errno';
import { rangeError, typeError, valueError } from '../../shared/errors';

/** Calls that can be made to fail with an errno. */
export const REFUSABLE_CALLS = [
  /** open() of a context's node. */
  'open',
  /** open() of a card's node. */
  'open-card',
  /** Taking a descriptor over: Cxl.adopt(). */
  'adopt',
  /** START_WORK: attach(). */
  'start-work',
  /** GET_PROCESS_ELEMENT. */
  'process-element',
  /** GET_AFU_ID. */
  'afu-id',
  /** mmap() of a problem state area. */
  'map',
  /** A read() of events. */
  'read',
  /** close() of a context: the descriptor is closed, as Linux does it, and the call fails. */
  'close',
  /** Allocation of memory. */
  'allocate',
  /** A read of an attribute. */
  'sysfs-read',
  /** A write of an attribute. */
  'sysfs-write',
  /** DOWNLOAD_IMAGE and VALIDATE_IMAGE. */
  'image-transfer',
] as const;

/** Conditions that can be injected. Each has an effect of its own rather than an errno. */
export const FAULT_CONDITIONS = [
  /** An MMIO access faults (SIGBUS). Counted per access. */
  'mmio',
  /** An MMIO load reads as all ones; a store is lost. Counted per access. */
  'all-ones',
  /** At an MMIO access, the link goes down. */
  'link-down',
  /** At an MMIO access, all contexts of the AFU are detached. */
  'detach-all',
  /** At an MMIO access, the card leaves its slot. */
  'unplug',
  /** An AFU's access to memory cannot be translated. Counted per access. */
  'translation',
  /**
   * The accelerator does not give up a process element as its context is detached: the driver goes
   * on, and so does the AFU (MockAfu.keptElements). Counted per detach from an AFU-directed AFU.
   */
  'detach',
  /** An AFU interrupt is lost. Counted per interrupt. */
  'lost-interrupt',
  /** An event cannot be copied to the reader: it is lost, and the read fails with EFAULT. */
  'copy',
  /** No descriptor is free: open fails with EMFILE. */
  'descriptors',
] as const;

/**
 * A call that can be made to fail with an errno.
 *
 * @useDeclaredType
 */
export type RefusableCall = (typeof REFUSABLE_CALLS)[number];
/**
 * A condition that can be injected, with an effect of its own rather than an errno.
 *
 * @useDeclaredType
 */
export type FaultCondition = (typeof FAULT_CONDITIONS)[number];
/** What a fault is: a call that fails, or a condition. */
export type FaultName = RefusableCall | FaultCondition;

const FAULT_NAMES: readonly FaultName[] = [...REFUSABLE_CALLS, ...FAULT_CONDITIONS];

/** Where an operation happens, as far as it has a place. */
export interface FaultPlace {
  /** 'card0', 'afu0.0', and the node: 'afu0.0s'. */
  readonly devices?: readonly string[] | undefined;
  /** The driver's index. */
  readonly processElement?: number | undefined;
  /** The model of a context: one object for each. */
  readonly context?: object | undefined;
  /** Bytes from the start of the area that the context maps. */
  readonly offset?: number | undefined;
  readonly access?: 'load' | 'store' | undefined;
  /** Of a file of sysfs. */
  readonly path?: string | undefined;
}

/** A fault: what fails, where and how often. */
export interface FaultSpec {
  /** What fails: a call, or a condition. */
  readonly name: FaultName;
  /** The errno a call fails with. Default 'EIO'. Not for conditions such as 'link-down'. */
  readonly errno?: ErrnoName | undefined;
  /** How many operations that fit succeed first. Default 0. */
  readonly after?: number | undefined;
  /** How often it happens at most. Default 1; without limit if a probability is given. */
  readonly times?: number | undefined;
  /** Probability for each operation that fits, 0 to 1. Default 1. */
  readonly probability?: number | undefined;
  /** Only on this card ('card0'), AFU ('afu0.0') or node ('afu0.0s'). */
  readonly device?: string | undefined;
  /** Only for the context with this process element: the driver's index (MockContext.index). */
  readonly processElement?: number | undefined;
  /**
   * Only at these registers: an offset in bytes from the start of the area that the context maps, or
   * the first and the last offset of a range.
   */
  readonly registers?: number | readonly [first: number, last: number] | undefined;
  /** Only at loads, or at stores. */
  readonly access?: 'load' | 'store' | undefined;
  /** Only for attributes whose path ends so, such as '/afu0.0/mode'. */
  readonly path?: string | undefined;
}

const SPEC_NAMES: OptionNames<FaultSpec> = {
  name: true,
  errno: true,
  after: true,
  times: true,
  probability: true,
  device: true,
  processElement: true,
  registers: true,
  access: true,
  path: true,
};

/** Which conditions of place each operation has. */
const MMIO = ['device', 'processElement', 'registers', 'access'] as const;
const CONTEXT = ['device', 'processElement'] as const;
const PLACES: Record<FaultName, readonly (keyof FaultSpec)[]> = {
  open: ['device'],
  'open-card': ['device'],
  adopt: CONTEXT,
  'start-work': CONTEXT,
  'process-element': CONTEXT,
  'afu-id': CONTEXT,
  map: CONTEXT,
  read: CONTEXT,
  close: CONTEXT,
  allocate: [],
  'sysfs-read': ['path'],
  'sysfs-write': ['path'],
  'image-transfer': ['device'],
  mmio: MMIO,
  'all-ones': MMIO,
  'link-down': MMIO,
  'detach-all': MMIO,
  unplug: MMIO,
  translation: CONTEXT,
  detach: CONTEXT,
  'lost-interrupt': CONTEXT,
  copy: CONTEXT,
  descriptors: [],
};
/** Faults that happen to a context. */
export const CONTEXT_FAULTS: readonly FaultName[] = FAULT_NAMES.filter((name) =>
  PLACES[name].includes('processElement'),
);

const PLACE_FIELDS = ['device', 'processElement', 'registers', 'access', 'path'] as const;

/** Whether a fault is for an operation at this place. */
export function fitsPlace(spec: FaultSpec, place: FaultPlace): boolean {
  const { device, processElement, registers, access, path } = spec;
  if (device !== undefined && !(place.devices?.includes(device) ?? false)) return false;
  if (processElement !== undefined && place.processElement !== processElement) return false;
  if (access !== undefined && place.access !== access) return false;
  if (path !== undefined && !(place.path?.endsWith(path) ?? false)) return false;
  if (registers === undefined) return true;
  const [first, last] = typeof registers === 'number' ? [registers, registers] : registers;
  return place.offset !== undefined && place.offset >= first && place.offset <= last;
}

/** @throws TypeError, RangeError, which name the field after `name` */
export function checkFault(spec: FaultSpec, name = 'fault'): FaultSpec {
  checkOptions(spec, SPEC_NAMES, name);
  checkOneOf(`${name}.name`, spec.name, FAULT_NAMES);
  if (spec.errno !== undefined) {
    if (!Object.hasOwn(ERRNOS, spec.errno)) {
      throw valueError(`${name}.errno`, "a name such as 'EIO'", spec.errno);
    }
    if ((FAULT_CONDITIONS as readonly string[]).includes(spec.name)) {
      throw valueError(`${name}.errno`, `absent: '${spec.name}' has its own effect`, spec.errno);
    }
  }
  const { after = 0, times = 1, probability = 1 } = spec;
  checkInteger(`${name}.after`, after, 0, Number.MAX_SAFE_INTEGER);
  if (times !== Number.POSITIVE_INFINITY) {
    checkInteger(`${name}.times`, times, 0, Number.MAX_SAFE_INTEGER);
  }
  if (typeof probability !== 'number') {
    throw typeError(`${name}.probability`, 'a number', probability);
  }
  if (!(probability >= 0 && probability <= 1)) {
    throw rangeError(`${name}.probability`, 'from 0 to 1', probability);
  }
  checkPlace(spec, name);
  return spec;
}

function checkPlace(spec: FaultSpec, name: string): void {
  for (const field of PLACE_FIELDS) {
    if (spec[field] === undefined || PLACES[spec.name].includes(field)) continue;
    throw valueError(`${name}.${field}`, `absent: '${spec.name}' has none`, spec[field]);
  }
  const { device, processElement, registers, access, path } = spec;
  if (
    device !== undefined &&
    !/^(card\d+|afu\d+\.\d+[dms]?)$/.test(checkString(`${name}.device`, device))
  ) {
    throw valueError(`${name}.device`, "a name such as 'card0', 'afu0.0' or 'afu0.0s'", device);
  }
  if (path !== undefined) checkString(`${name}.path`, path);
  if (processElement !== undefined)
    checkInteger(`${name}.processElement`, processElement, 0, 65_535);
  if (access !== undefined) checkOneOf(`${name}.access`, access, ['load', 'store']);
  if (registers === undefined) return;
  const range = typeof registers === 'number' ? [registers, registers] : registers;
  if (!Array.isArray(range) || range.length !== 2) {
    throw typeError(`${name}.registers`, 'an offset, or the first and the last', registers);
  }
  const [first, last] = range as [number, number];
  checkInteger(`${name}.registers`, first, 0, Number.MAX_SAFE_INTEGER);
  checkInteger(`${name}.registers`, last, first, Number.MAX_SAFE_INTEGER);
}
