/** PCI functions with DOE mailboxes, for tests and for machines that have none. */
import type { NegativeErrno } from '../../binding';
import type { ConfigSpace, Owner, PciBus } from '../../binding/configuration-space';
import { parseAddress } from '../../doe/address';
import { Doe } from '../../doe/doe';
import { checkArray, checkOptions, type OptionNames, refuseNull } from '../../shared/checks';
import { ERRNOS } from '../../shared/errno';
import { valueError } from '../../shared/errors';
import { MockFunction, type MockFunctionOptions } from './function';
import { memoryDevice } from './memory-device';

/** Options of createMockDoe(). */
export interface MockDoeOptions {
  /** Default: memoryDevice(), which is at 0000:0d:00.0 and has three mailboxes. */
  readonly functions?: readonly MockFunctionOptions[] | undefined;
}
const DOE_OPTIONS: OptionNames<MockDoeOptions> = { functions: true };

class MockPci implements PciBus {
  readonly kind = 'mock';
  readonly #functions: ReadonlyMap<string, MockFunction>;

  constructor(functions: ReadonlyMap<string, MockFunction>) {
    this.#functions = functions;
  }

  path(address: string): string {
    return address === '' ? 'mock' : `mock:${address}`;
  }

  async functions(): Promise<string[]> {
    return [...this.#functions.keys()].sort();
  }

  open(address: string, access: 'read' | 'write'): ConfigSpace | NegativeErrno {
    return this.#functions.get(address)?.open(access) ?? -ERRNOS.ENOENT;
  }

  async owner(address: string): Promise<Owner> {
    return this.#functions.get(address)?.owner() ?? { kernelFeatures: [], kernelTables: [] };
  }

  async driver(address: string): Promise<string | undefined> {
    return this.#functions.get(address)?.driver;
  }

  async unbind(address: string): Promise<number | NegativeErrno> {
    return this.#functions.get(address)?.unbind() ?? -ERRNOS.ENOENT;
  }

  async bind(address: string, driver: string): Promise<number | NegativeErrno> {
    return this.#functions.get(address)?.bind(driver) ?? -ERRNOS.ENODEV;
  }
}

/**
 * A Doe with modeled devices, and the device side of them for tests.
 *
 * @example
 * import { tableAccessProtocol } from 'node-cxl/doe';
 * import { createMockDoe } from 'node-cxl/mock';
 *
 * const doe = createMockDoe();
 * const mailbox = await doe.find('0000:0d:00.0', tableAccessProtocol);
 * const device = doe.function('0000:0d:00.0');
 * device.remove('unplugged');
 * const error = await mailbox.discover().catch((reason) => reason);
 * console.log(error.code); // ENOENT
 */
export class MockDoe extends Doe {
  readonly #functions: ReadonlyMap<string, MockFunction>;

  /** @internal Use createMockDoe(). */
  constructor(functions: ReadonlyMap<string, MockFunction>) {
    super(new MockPci(functions));
    this.#functions = functions;
  }

  /** The addresses of the functions, with their domains. */
  get addresses(): readonly string[] {
    return [...this.#functions.keys()];
  }

  /**
   * The device side of a function.
   *
   * @throws ERR_INVALID_ARG_VALUE no function has that address
   */
  function(address: string): MockFunction {
    const found = this.#functions.get(parseAddress(address));
    if (found === undefined) throw valueError('address', 'the address of a mock function', address);
    return found;
  }

  /** The same devices for another process: the two share nothing but the locks. */
  anotherProcess(): Doe {
    return new Doe(new MockPci(this.#functions));
  }
}

/**
 * Makes PCI functions with DOE mailboxes.
 *
 * @throws TypeError or RangeError naming the option that is wrong
 * @example
 * import { createMockDoe, memoryDevice } from 'node-cxl/mock';
 *
 * const doe = createMockDoe({ functions: [memoryDevice(), memoryDevice({ address: '0e:00.0' })] });
 * console.log(await doe.functions()); // [ '0000:0d:00.0', '0000:0e:00.0' ]
 */
export function createMockDoe(options: MockDoeOptions = {}): MockDoe {
  return makeDoe(options, 'options.functions');
}

/** As createMockDoe(); `name` is what errors name. */
export function makeDoe(options: MockDoeOptions, name: string): MockDoe {
  checkOptions(options, DOE_OPTIONS);
  refuseNull(options.functions, name);
  const given = options.functions ?? [memoryDevice()];
  const functions = checkArray(name, given).map(
    (each, index) => new MockFunction(each, `${name}[${index}]`),
  );
  const addresses = functions.map(({ address }) => address);
  if (new Set(addresses).size < addresses.length) {
    throw valueError(name, 'functions of different addresses', addresses);
  }
  return new MockDoe(new Map(functions.map((made) => [made.address, made])));
}
