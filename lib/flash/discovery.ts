/** Lists the LUNs of flash adapters from sysfs, without opening them. */
import type { SysFs } from '../binding';
import { systemOption } from '../default-system';
import type { Cxl } from '../device/cxl';
import { checkSignal, throwIfAborted } from '../shared/abort';
import { checkOptions, type OptionNames } from '../shared/checks';

/** A path to a LUN, as sysfs describes it. */
export interface LunInfo {
  /** SCSI address, host:channel:target:lun; the channel is the port. */
  readonly address: string;
  /** SCSI host number of the adapter. */
  readonly host: number;
  /** Port of the adapter, 0 to 3. */
  readonly port: number;
  /** /dev/sdX; undefined when there is none. */
  readonly block: string | undefined;
  /** /dev/sgX; undefined when there is none. */
  readonly generic: string | undefined;
  /** World-wide id as in sysfs, such as `naa.60025…`. */
  readonly wwid: string | undefined;
  /** `superpipe`, or `legacy` while the block layer uses the LUN. */
  readonly mode: string | undefined;
  /** From INQUIRY. */
  readonly vendor: string | undefined;
  /** From INQUIRY. */
  readonly model: string | undefined;
}

const SCSI_DEVICES = '/sys/class/scsi_device';

/** Options of listLuns(). */
export interface ListLunsOptions {
  /** Default: `cxl`, this machine or the mock that NODE_CXL_BACKEND names. */
  readonly system?: Cxl | undefined;
  /** Ends the listing before the next path: the call rejects with an AbortError. */
  readonly signal?: AbortSignal | undefined;
}
const LIST_OPTIONS: OptionNames<ListLunsOptions> = { system: true, signal: true };

/**
 * Every path to a LUN of a flash adapter, in the order of SCSI addresses: a LUN that is connected to
 * two ports is listed twice, with the same `wwid`. Empty when the driver is not loaded. Reads only
 * sysfs, which needs no privilege.
 *
 * @throws AbortError
 * @example
 * import { listLuns } from 'node-cxl/flash';
 *
 * for (const { generic, port, mode } of await listLuns()) console.log(generic, port, mode); // /dev/sg1 0 legacy
 */
export async function listLuns(options: ListLunsOptions = {}): Promise<LunInfo[]> {
  const { system, signal } = checkOptions(options, LIST_OPTIONS);
  throwIfAborted(checkSignal(signal));
  const { sysfs } = systemOption(system).binding;
  const names = await sysfs.readdir(SCSI_DEVICES);
  if (typeof names === 'number') return [];
  const flashHosts = new Map<number, boolean>();
  const found: LunInfo[] = [];
  for (const address of names.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))) {
    throwIfAborted(signal);
    // Host, channel, target and LUN are 32-bit numbers.
    const match = /^(\d{1,10}):(\d{1,10}):\d{1,10}:\d{1,10}$/.exec(address);
    if (match === null) continue;
    const host = Number(match[1]);
    if (!flashHosts.has(host)) {
      const name = await text(sysfs, `/sys/class/scsi_host/host${host}/proc_name`);
      flashHosts.set(host, name === 'cxlflash');
    }
    if (flashHosts.get(host)) found.push(await describe(sysfs, address, host, Number(match[2])));
  }
  return found;
}

async function describe(
  sysfs: SysFs,
  address: string,
  host: number,
  port: number,
): Promise<LunInfo> {
  const device = `${SCSI_DEVICES}/${address}/device`;
  const node = async (kind: string) => {
    const names = await sysfs.readdir(`${device}/${kind}`);
    const name = typeof names === 'number' ? undefined : names[0];
    return name === undefined ? undefined : `/dev/${name}`;
  };
  return {
    address,
    host,
    port,
    block: await node('block'),
    generic: await node('scsi_generic'),
    wwid: await text(sysfs, `${device}/wwid`),
    mode: await text(sysfs, `${device}/mode`),
    vendor: await text(sysfs, `${device}/vendor`),
    model: await text(sysfs, `${device}/model`),
  };
}

/** @internal The path to a LUN that a node is, or a link to one: /dev/disk/by-id has links. */
export async function pathOfNode(
  sysfs: SysFs,
  luns: readonly LunInfo[],
  node: string,
): Promise<LunInfo | undefined> {
  const real = await sysfs.realpath(node);
  return luns.find(({ block, generic }) =>
    [block, generic].some((each) => each !== undefined && (each === node || each === real)),
  );
}

/** Mount points of a block node and its partitions. */
export async function mountsOf(sysfs: SysFs, block: string): Promise<string[]> {
  const mounts = (await text(sysfs, '/proc/self/mounts')) ?? '';
  return mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([device]) => device?.startsWith(block) && /^\d*$/.test(device.slice(block.length)))
    .map(([, where]) => where ?? '');
}

async function text(sysfs: SysFs, path: string): Promise<string | undefined> {
  const bytes = await sysfs.read(path);
  return typeof bytes === 'number' ? undefined : Buffer.from(bytes).toString('utf8').trim();
}
