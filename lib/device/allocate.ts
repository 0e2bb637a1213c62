/** Memory of a backend's own making. */
import { constants } from 'node:buffer';
import type { AllocationRequest, Binding } from '../binding';
import { operandsOf } from '../binding/operands';
import {
  checkInteger,
  checkOneOf,
  checkOptions,
  checkPowerOfTwo,
  type OptionNames,
} from '../shared/checks';
import { type Endian, resolveEndian } from '../shared/endian';
import { ERRNOS } from '../shared/errno';
import { systemError } from '../shared/errors';
import { Memory, type MemoryPlace } from './memory';
import { MemoryPool } from './memory-pool';
import { holdersOfRegion } from './region-buffer';

/** Options of Cxl.allocate() and of Context.allocate(). */
export interface AllocateOptions {
  /** Bytes, a power of two up to 1 GiB. Default: the system's page size. */
  alignment?: number | undefined;
  /**
   * `transparent` asks the kernel to back the memory with huge pages where it can;
   * `explicit` takes them from the hugetlb pool (ENOMEM when it is empty). Default `none`.
   */
  hugePages?: 'none' | 'transparent' | 'explicit' | undefined;
  /** NUMA node to bind the pages to. Default: the kernel's choice. */
  numaNode?: number | undefined;
  /** Byte order of load and store unless a call names one. Default `host`. */
  endian?: Endian | undefined;
}

const ALLOCATE_OPTIONS: OptionNames<AllocateOptions> = {
  alignment: true,
  hugePages: true,
  numaNode: true,
  endian: true,
};

/** As Cxl.allocate(). */
export function allocateMemory(binding: Binding, size: number, options: AllocateOptions): Memory {
  return new Memory(allocate(binding, size, options));
}

/** As Cxl.allocatePool(). */
export function allocatePool(binding: Binding, size: number, options: AllocateOptions): MemoryPool {
  const { alignment = binding.pageSize } = options;
  return new MemoryPool(allocate(binding, size, options), alignment);
}

function allocate(binding: Binding, size: number, options: AllocateOptions): MemoryPlace {
  const { endian, ...request } = checkAllocation(size, options, binding.pageSize);
  // Node makes no larger buffer.
  const region = size > constants.MAX_LENGTH ? -ERRNOS.ENOMEM : binding.allocate(request);
  if (typeof region === 'number') {
    throw systemError(region, 'mmap', undefined, allocationHint(region, request));
  }
  const holders = holdersOfRegion(region);
  return { region, holders, operands: operandsOf(binding.operands), endian, offset: 0, size };
}

function checkAllocation(size: unknown, options: AllocateOptions, pageSize: number) {
  const {
    alignment = pageSize,
    hugePages = 'none',
    numaNode = -1,
  } = checkOptions(options, ALLOCATE_OPTIONS);
  checkInteger('size', size, 1, 2 ** 40);
  checkPowerOfTwo('options.alignment', alignment, 2 ** 30);
  checkOneOf('options.hugePages', hugePages, ['none', 'transparent', 'explicit']);
  checkInteger('options.numaNode', numaNode, -1, 1023);
  const endian = resolveEndian('options.endian', options.endian ?? 'host');
  return { size: size as number, alignment, hugePages, numaNode, endian };
}

/** The hint for a failed allocation. The general hints for mmap are about problem state areas. */
function allocationHint(errno: number, request: AllocationRequest): string | undefined {
  if (errno === -ERRNOS.EINVAL) {
    return `this machine has no NUMA node ${request.numaNode} with memory: see /sys/devices/system/node`;
  }
  if (errno === -ERRNOS.EOPNOTSUPP) {
    return 'this runtime allows no ArrayBuffers outside its heap, or this kernel has no huge pages';
  }
  if (errno !== -ERRNOS.ENOMEM) return undefined;
  return request.hugePages === 'explicit'
    ? 'not enough huge pages left in the pool: raise /proc/sys/vm/nr_hugepages, or use transparent ones'
    : 'ask for less, or free what is no longer used';
}
