/** The requests of compliance mode and their bytes (CXL 2.0 §14.16.4, tables 275 to 308). */
import { checkInteger, checkUint64 } from '../shared/checks';
import { typeError, valueError } from '../shared/errors';

/** Which protocol of the link a test is for. */
export interface ProtocolOption {
  /** 8 bits, as the specification's table for the request numbers them. */
  readonly protocol: number;
}

/** Algorithm 1a, 1b or 2: one engine writes a series of patterns and checks them. */
export interface MultipleWriteStreaming extends ProtocolOption {
  /** Addresses are virtual. */
  readonly virtualAddress: boolean;
  /** Whether the device checks what it wrote. */
  readonly selfChecking: boolean;
  /** 8 bits: how the read that verifies is made. */
  readonly verifyReadSemantics: number;
  /** 8 bits each. */
  readonly increments: number;
  /** NumberOfSets, 8 bits. */
  readonly sets: number;
  /** NumberOfLoops, 8 bits. */
  readonly loops: number;
  /** 64 bits each. */
  readonly startAddress: bigint;
  /** WriteAddress, 64 bits. */
  readonly writeAddress: bigint;
  /** WriteBackAddress, 64 bits. */
  readonly writebackAddress: bigint;
  /** ByteMask, 64 bits: which bytes of a cache line are written. */
  readonly byteMask: bigint;
  /** 32 bits each. */
  readonly addressIncrement: number;
  /** SetOffset, 32 bits. */
  readonly setOffset: number;
  /** Pattern, 32 bits: the first one written. */
  readonly pattern: number;
  /** IncrementPattern, 32 bits: what is added to the pattern each time. */
  readonly incrementPattern: number;
}

/** A producer writes and a consumer checks the order. */
export interface ProducerConsumer extends ProtocolOption {
  /** 8 bits each. */
  readonly increments: number;
  /** NumberOfSets, 8 bits. */
  readonly sets: number;
  /** NumberOfLoops, 8 bits. */
  readonly loops: number;
  /** 8 bits. */
  readonly writeSemantics: number;
  /** 64 bits each. */
  readonly startAddress: bigint;
  /** ByteMask, 64 bits: which bytes of a cache line are written. */
  readonly byteMask: bigint;
  /** 32 bits each. */
  readonly addressIncrement: number;
  /** SetOffset, 32 bits. */
  readonly setOffset: number;
  /** Pattern, 32 bits. */
  readonly pattern: number;
}

/** Writes that have no effect. */
export interface BogusWrites {
  /** 8 bits: how many. */
  readonly count: number;
  /** 32 bits. */
  readonly pattern: number;
}

/** Flits with a wrong checksum. */
export interface CrcInjection {
  /** 8 bits: how many bits are flipped. */
  readonly bitsFlipped: number;
  /** 8 bits: in how many flits. */
  readonly flits: number;
}

/** What is enabled, or disabled. */
export interface EnableOption {
  /** True: it is enabled. */
  readonly enable: boolean;
}

/** A delay of message authentication codes (link IDE). */
export interface MacDelay {
  /** 8 bits, as the specification's table for the request numbers them. */
  readonly mode: number;
  /** 8 bits, in flits. */
  readonly delay: number;
}

/** An operation of a request, by its number. */
export interface OpcodeOption {
  /** 8 bits, as the specification's table for the request numbers them. */
  readonly opcode: number;
}

/** A message authentication code that is not expected (link IDE). */
export interface UnexpectedMac extends OpcodeOption {
  /** 8 bits, as the specification's table for the request numbers them. */
  readonly mode: number;
}

/** The part of a request that tells it apart. */
export interface NamedRequest<Name extends string> {
  /** Which request. */
  readonly request: Name;
}

/** A request of compliance mode, told apart by `request`. */
export type ComplianceRequest =
  | NamedRequest<'capabilities' | 'status' | 'halt-all'>
  | (NamedRequest<'multiple-write-streaming'> & MultipleWriteStreaming)
  | (NamedRequest<'producer-consumer'> & ProducerConsumer)
  | (NamedRequest<'bogus-writes'> & BogusWrites)
  | (NamedRequest<'poison' | 'viral'> & ProtocolOption)
  | (NamedRequest<'crc'> & CrcInjection)
  | (NamedRequest<'flow-control' | 'cache-flush'> & EnableOption)
  | (NamedRequest<'mac-delay'> & EnableOption & MacDelay)
  | (NamedRequest<'unexpected-mac'> & UnexpectedMac)
  | (NamedRequest<'almp' | 'ignore-almp' | 'bit-error'> & OpcodeOption);

/** The requests, each at the index that is its code. */
export const COMPLIANCE_REQUESTS = [
  'capabilities',
  'status',
  'halt-all',
  'multiple-write-streaming',
  'producer-consumer',
  'bogus-writes',
  'poison',
  'crc',
  'flow-control',
  'cache-flush',
  'mac-delay',
  'unexpected-mac',
  'viral',
  'almp',
  'ignore-almp',
  'bit-error',
] as const satisfies readonly ComplianceRequest['request'][];

/**
 * The name of a request, as `request` of ComplianceRequest has it.
 *
 * @useDeclaredType
 */
export type ComplianceRequestName = (typeof COMPLIANCE_REQUESTS)[number];

const STREAMING_HEAD = [
  'protocol',
  'virtualAddress',
  'selfChecking',
  'verifyReadSemantics',
  'increments',
  'sets',
  'loops',
  0,
] as const;
const PRODUCER_HEAD = [
  'protocol',
  'increments',
  'sets',
  'loops',
  'writeSemantics',
  0,
  0,
  0,
] as const;
const STREAMING_ADDRESSES = ['startAddress', 'writeAddress', 'writebackAddress', 'byteMask'];
const STREAMING_WORDS = ['addressIncrement', 'setOffset', 'pattern', 'incrementPattern'];

/** Names of the parameters in the order of their bytes; 0 for a reserved byte. */
interface Layout {
  readonly bytes?: readonly (string | 0)[];
  readonly quads?: readonly string[];
  readonly words?: readonly string[];
}

const LAYOUTS: Record<ComplianceRequestName, Layout> = {
  capabilities: {},
  status: {},
  'halt-all': {},
  'multiple-write-streaming': {
    bytes: STREAMING_HEAD,
    quads: STREAMING_ADDRESSES,
    words: STREAMING_WORDS,
  },
  'producer-consumer': {
    bytes: PRODUCER_HEAD,
    quads: ['startAddress', 'byteMask'],
    words: ['addressIncrement', 'setOffset', 'pattern'],
  },
  'bogus-writes': { bytes: ['count', 0], words: ['pattern'] },
  poison: { bytes: ['protocol'] },
  crc: { bytes: ['bitsFlipped', 'flits'] },
  'flow-control': { bytes: ['enable'] },
  'cache-flush': { bytes: ['enable'] },
  'mac-delay': { bytes: ['enable', 'mode', 'delay'] },
  'unexpected-mac': { bytes: ['opcode', 'mode'] },
  viral: { bytes: ['protocol'] },
  almp: { bytes: ['opcode', 0, 0, 0] },
  'ignore-almp': { bytes: ['opcode', 0, 0, 0] },
  'bit-error': { bytes: ['opcode'] },
};

/**
 * The payload of a request: code, version 1, two reserved bytes, the parameters, padding to a
 * whole dword.
 * @throws TypeError, RangeError for a parameter that does not fit its field
 */
export function encodeComplianceRequest(request: ComplianceRequest): Buffer {
  if (typeof request !== 'object' || request === null) {
    throw typeError('request', 'an object { request, … }', request);
  }
  const code = COMPLIANCE_REQUESTS.indexOf(request.request);
  if (code < 0) throw valueError('request', COMPLIANCE_REQUESTS.join(', '), request.request);
  const { bytes = [], quads = [], words = [] } = LAYOUTS[request.request];
  const given = request as unknown as Record<string, unknown>;
  const length = 4 + bytes.length + quads.length * 8 + words.length * 4;
  const payload = Buffer.alloc(Math.ceil(length / 4) * 4);
  payload.writeUInt8(code, 0);
  payload.writeUInt8(1, 1);
  let at = 4;
  for (const name of bytes) {
    const value = name === 0 ? 0 : given[name];
    const number = typeof value === 'boolean' ? Number(value) : value;
    at = payload.writeUInt8(checkInteger(String(name), number, 0, 0xff), at);
  }
  for (const name of quads) at = payload.writeBigUInt64LE(checkUint64(name, given[name]), at);
  for (const name of words) {
    at = payload.writeUInt32LE(checkInteger(name, given[name], 0, 0xffff_ffff), at);
  }
  return payload;
}
