/** Whether the kernel uses a protocol of a function: a driver does not use the whole mailbox. */
import type { PciBus } from '../binding/configuration-space';
import { discoveryProtocol } from './discovery';
import { type Protocol, protocolName } from './exchange';

const TABLE_ACCESS = '1e98:02';
const EVERYTHING = 'everything';

/** Names of protocols, as `doe_features` has them. */
type Use = readonly string[] | typeof EVERYTHING;

/**
 * Drivers of which it is known what they use. The drivers of memory devices and of switch ports
 * read the CDAT (drivers/cxl/core/pci.c, read_cdat_data). Those that hand the function to another
 * program may use all of it.
 */
const KNOWN_DRIVERS: ReadonlyMap<string, Use> = new Map<string, Use>([
  ['cxl_pci', [TABLE_ACCESS]],
  ['pcieport', [TABLE_ACCESS]],
  ['vfio-pci', EVERYTHING],
  ['uio_pci_generic', EVERYTHING],
  ['pciback', EVERYTHING],
]);

/**
 * The driver that may be using a protocol of a function; undefined when the kernel does not use it.
 *
 * Without a driver it does not. A known driver uses what it is known for. Of another one, the
 * kernel can use what it found itself (`doe_features`, Linux 6.15 and later); without such a list
 * it may use everything. Discovery the kernel uses only as it finds the device.
 */
export async function kernelUser(
  bus: PciBus,
  address: string,
  protocol: Protocol,
): Promise<string | undefined> {
  const driver = await bus.driver(address);
  if (driver === undefined) return undefined;
  const used = KNOWN_DRIVERS.get(driver) ?? (await foundByKernel(bus, address));
  if (used === EVERYTHING) return driver;
  const name = protocolName(protocol);
  return name !== protocolName(discoveryProtocol) && used.includes(name) ? driver : undefined;
}

async function foundByKernel(bus: PciBus, address: string): Promise<Use> {
  const { kernelFeatures } = await bus.owner(address);
  return kernelFeatures.length === 0 ? EVERYTHING : kernelFeatures;
}
