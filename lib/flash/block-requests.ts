/** The requests of block devices: checked before any is issued, and where their data is. */
import { Memory } from '../device/memory';
import { checkWaitOptions } from '../shared/abort';
import { checkInteger, checkOneOf, checkOptions, type OptionNames } from '../shared/checks';
import { rangeError, stateError, typeError, valueError } from '../shared/errors';
import type { BlockBuffer, TransferOptions, TransferRequest } from './block-access';
import type { CommandData, Operation, Priority } from './command';

const TRANSFER_OPTIONS: OptionNames<TransferOptions> = {
  signal: true,
  timeout: true,
  priority: true,
};
const COMMON_OPTIONS = { operation: true, lba: true, priority: true } as const;
const REQUEST_OPTIONS: Record<Operation, Record<string, true>> = {
  read: { ...COMMON_OPTIONS, into: true },
  write: { ...COMMON_OPTIONS, from: true },
  unmap: { ...COMMON_OPTIONS, count: true },
};
const PRIORITIES: readonly Priority[] = ['high', 'normal', 'low'];
/** Bytes; required of data addresses. */
const DATA_ALIGNMENT = 16;

/** Throws unless they are valid options of a transfer; returns them. */
export function checkTransferOptions(options: TransferOptions): TransferOptions {
  checkWaitOptions(options, TRANSFER_OPTIONS);
  if (options.priority !== undefined) checkPriority('options.priority', options.priority);
  return options;
}

/** As checkRequest(), of each of them. */
export function checkRequests(requests: readonly TransferRequest[]): void {
  if (!Array.isArray(requests)) throw typeError('requests', 'an array', requests);
  for (const request of requests) checkRequest(request);
}

/** Throws unless it has an operation, a priority if any, and the names of that operation only. */
function checkRequest(request: TransferRequest): void {
  if (typeof request !== 'object' || request === null) {
    throw typeError('request', 'an object', request);
  }
  const names = REQUEST_OPTIONS[request.operation];
  if (names === undefined) {
    throw valueError('operation', "'read', 'write' or 'unmap'", request.operation);
  }
  checkOptions<object>(request, names, 'request');
  if (request.priority !== undefined) checkPriority('priority', request.priority);
}

function checkPriority(name: string, priority: Priority): void {
  checkOneOf(name, priority, PRIORITIES);
}

/** Throws unless a device of so many blocks has those from `start` on, at least one. */
export function checkRange(start: bigint, count: bigint, blocks: bigint): void {
  if (count < 1n) throw rangeError('count', 'at least 1', count);
  if (start + count > blocks) {
    throw rangeError('lba', `so that ${count} blocks from it end below ${blocks}`, start);
  }
}

/** The buffers of a request; none of an unmap. */
function buffersOf(request: TransferRequest): readonly BlockBuffer[] {
  if (request.operation === 'unmap') return [];
  const buffers = request.operation === 'read' ? request.into : request.from;
  return Array.isArray(buffers) ? buffers : [buffers as BlockBuffer];
}

function lengthOf(buffer: BlockBuffer): number {
  if (buffer instanceof Uint8Array) return buffer.length;
  if (buffer instanceof Memory) return buffer.size;
  return buffer.length ?? buffer.memory.size - (buffer.offset ?? 0);
}

/** Blocks that a valid request is for. */
export function blocksOf(request: TransferRequest, blockSize: number): number {
  if (request.operation === 'unmap') return Number(request.count);
  return buffersOf(request).reduce((sum, buffer) => sum + lengthOf(buffer), 0) / blockSize;
}

/** The data of a request's buffers, which are whole blocks. */
export function dataOf(request: TransferRequest, blockSize: number): CommandData[] {
  return buffersOf(request).map((buffer, index) => {
    const data = toData(`buffers[${index}]`, buffer);
    if (data.length === 0 || data.length % blockSize !== 0) {
      throw valueError(`buffers[${index}]`, `whole blocks of ${blockSize} bytes`, data.length);
    }
    return data;
  });
}

function toData(name: string, buffer: BlockBuffer): CommandData {
  if (buffer instanceof Uint8Array) {
    return { bytes: buffer, memory: undefined, address: 0n, length: buffer.length };
  }
  const slice = buffer instanceof Memory ? { memory: buffer } : buffer;
  if (!(slice?.memory instanceof Memory)) {
    throw typeError(name, 'a Uint8Array, Memory or { memory, offset, length }', buffer);
  }
  const { memory } = slice;
  if (memory.disposed) throw stateError(`${name}: this Memory has been freed`);
  const offset = checkInteger(`${name}.offset`, slice.offset ?? 0, 0, memory.size);
  if (offset % DATA_ALIGNMENT !== 0) {
    throw valueError(`${name}.offset`, `a multiple of ${DATA_ALIGNMENT}`, offset);
  }
  const rest = memory.size - offset;
  const length = checkInteger(`${name}.length`, slice.length ?? rest, 0, rest);
  return { bytes: undefined, memory, address: memory.address + BigInt(offset), length };
}
