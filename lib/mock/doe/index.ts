/** PCI functions with DOE mailboxes, where there are none: the backend of tests and demos. */
import type { NegativeErrno } from '../../binding';
import type { ConfigSpace, Owner, PciBus } from '../../binding/configuration-space';
import { parseAddress } from '../../doe/address';
import type { CdatStructure } from '../../doe/cdat-structures';
import { Doe } from '../../doe/doe';
import { errnos } from '../../shared/errno';
import { valueError } from '../../shared/errors';
import { encodeCdat } from './cdat';
import { MockFunction, type MockFunctionOptions } from './function';
import { complianceMode, spdm, tableAccess } from './protocols';

export { encodeCdat } from './cdat';
export { MockFunction, type MockFunctionOptions } from './function';
export {
  type MockFaults,
  MockMailbox,
  type MockMailboxOptions,
  type MockProtocol,
  type RegisterAccess,
} from './mailbox';
export { complianceMode, type MockComplianceOptions, spdm, tableAccess } from './protocols';

export interface MockDoeOptions {
  /** Default: memoryDevice(), one at 0000:0d:00.0 with three mailboxes. */
  readonly functions?: readonly MockFunctionOptions[];
}

class MockPci implements PciBus {
  readonly kind = 'mock';

  constructor(private readonly all: ReadonlyMap<string, MockFunction>) {}

  path(address: string): string {
    return address === '' ? 'mock' : `mock:${address}`;
  }

  async functions(): Promise<string[]> {
    return [...this.all.keys()].sort();
  }

  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    return this.all.get(address)?.open(access) ?? -errnos.ENOENT;
  }

  async owner(address: string): Promise<Owner> {
    return this.all.get(address)?.owner() ?? { kernelFeatures: [], kernelTables: [] };
  }

  async driver(address: string): Promise<string | undefined> {
    return this.all.get(address)?.driver;
  }
}

/** A Doe, and the devices behind it. */
export class MockDoe extends Doe {
  readonly #functions: ReadonlyMap<string, MockFunction>;

  constructor(functions: ReadonlyMap<string, MockFunction>) {
    super(new MockPci(functions));
    this.#functions = functions;
  }

  /** Of its functions, in full. */
  get addresses(): readonly string[] {
    return [...this.#functions.keys()];
  }

  /** The device side of a function. @throws ERR_INVALID_ARG_VALUE where there is none */
  function(address: string): MockFunction {
    const found = this.#functions.get(parseAddress(address));
    if (found === undefined) throw valueError('address', 'that of a mock function', address);
    return found;
  }

  /** Another process on the same devices: nothing shared but the locks. */
  anotherProcess(): Doe {
    return new Doe(new MockPci(this.#functions));
  }
}

/**
 * Mock devices with DOE mailboxes.
 *
 * @throws TypeError or RangeError naming the option that is wrong
 */
export function createMockDoe(options: MockDoeOptions = {}): MockDoe {
  const functions = (options.functions ?? [memoryDevice()]).map((given) => new MockFunction(given));
  return new MockDoe(new Map(functions.map((made) => [made.address, made])));
}

const mebi = 1n << 20n;

/** The table of a volatile memory device of 256 MiB. */
export const memoryDeviceTable: readonly CdatStructure[] = [
  { kind: 'DSMAS', handle: 0, flags: 0, nonVolatile: false, dpaBase: 0n, dpaLength: 256n * mebi },
  ...(['read latency', 'write latency', 'read bandwidth', 'write bandwidth'] as const).map(
    (dataType): CdatStructure => ({
      kind: 'DSLBIS',
      handle: 0,
      flags: 0,
      dataType,
      entryBaseUnit: dataType.endsWith('latency') ? 10_000n : 1000n,
      entries: dataType.endsWith('latency') ? [15, 0, 0] : [16, 0, 0],
    }),
  ),
  {
    kind: 'DSEMTS',
    handle: 0,
    efiMemoryType: 'specific purpose',
    dpaOffset: 0n,
    dpaLength: 256n * mebi,
  },
];

/** A type-3 memory device: table access, compliance mode and SPDM, a mailbox each. */
export function memoryDevice(options: Partial<MockFunctionOptions> = {}): MockFunctionOptions {
  return {
    address: '0000:0d:00.0',
    mailboxes: [
      { protocols: [tableAccess(encodeCdat(memoryDeviceTable))] },
      { version: 2, messageNumber: 3, protocols: [complianceMode()] },
      { version: 2, protocols: [spdm()] },
    ],
    ...options,
  };
}
