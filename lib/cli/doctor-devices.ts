/** `node-cxl doctor`: superpipe of LUNs, and the PCI functions that have mailboxes. */
import { Doe, doe, SysfsPci } from '../doe';
import { type LunInfo, listLuns } from '../flash';
import { mountsOf } from '../flash/discovery';
import type { Cxl } from '../index';
import type { Finding } from './doctor';
import type { Host } from './doctor-host';

export async function checkSuperpipe(system: Cxl): Promise<Finding[]> {
  const luns = await listLuns({ system });
  if (luns.length === 0) {
    return [
      {
        check: 'superpipe',
        status: 'note',
        subject: 'cxlflash',
        message: 'no LUN of a flash adapter',
        advice: 'where there should be one: modprobe cxlflash, and see dmesg | grep cxlflash',
      },
    ];
  }
  return Promise.all(luns.map((lun) => checkLun(system, lun)));
}

async function checkLun(system: Cxl, lun: LunInfo): Promise<Finding> {
  const { address, block, generic, wwid, mode } = lun;
  const check = { check: 'superpipe', subject: generic ?? block ?? address } as const;
  if (generic === undefined) {
    const message = `LUN ${address} has no /dev/sgN`;
    return { ...check, status: 'problem', message, advice: 'modprobe sg', exitCode: 3 };
  }
  if (wwid === undefined || !/^naa\.6[0-9a-f]{31}$/i.test(wwid)) {
    const message = 'has no NAA 6 world-wide id in sysfs, which superpipe needs';
    return { ...check, status: 'note', message, advice: 'pass it: enableSuperpipe({ wwid })' };
  }
  const mounts = block === undefined ? [] : await mountsOf(system.binding.sysfs, block);
  if (mounts.length > 0) {
    const message = `is mounted on ${mounts.join(', ')}`;
    return { ...check, status: 'note', message, advice: 'unmount it before superpipe is enabled' };
  }
  if (mode === 'superpipe') {
    const message = 'is in superpipe mode: the block layer does not use it';
    return { ...check, status: 'ok', message };
  }
  const message = `is in ${mode ?? 'an unknown'} mode: superpipe can be enabled`;
  return { ...check, status: 'ok', message };
}

/** `host` is undefined for mock devices, which have no IOMMU. */
export async function checkMailboxes(
  host: Host | undefined,
  signal: AbortSignal,
): Promise<Finding[]> {
  const check = 'IOMMU';
  const bus =
    host === undefined || host.isThisMachine
      ? doe
      : new Doe(
          new SysfsPci({
            devices: host.at('/sys/bus/pci/devices'),
            cxlDevices: host.at('/sys/bus/cxl/devices'),
          }),
        );
  const scans = await bus.scan({ signal }).catch(() => []);
  const findings: Finding[] = [];
  const unread = scans.filter(({ problem }) => problem !== undefined);
  const [first] = unread;
  if (first !== undefined) {
    const denied = first.problem?.code === 'EACCES' || first.problem?.code === 'ENODATA';
    findings.push({
      check,
      status: 'note',
      subject: first.address,
      message: `the configuration space of ${unread.length} PCI function(s) could not be searched for mailboxes: ${first.problem?.code}`,
      advice: denied ? 'run as root' : 'lspci -xxxx shows what can be read',
    });
  }
  const owners = scans.filter(({ mailboxes }) => mailboxes.length > 0);
  for (const { address, owner } of owners) {
    if (owner.driver !== undefined) {
      findings.push({
        check,
        status: 'note',
        subject: address,
        message: `driver ${owner.driver} is bound, and may use the mailboxes`,
        advice: 'exchanges need --force, or unbind the driver',
      });
    }
    findings.push(await checkIommu(host, address));
  }
  if (owners.length === 0 && first === undefined) {
    findings.push({ check, status: 'ok', subject: 'PCI', message: 'no function has a mailbox' });
  }
  return findings;
}

async function checkIommu(host: Host | undefined, address: string): Promise<Finding> {
  const check = { check: 'IOMMU', subject: address } as const;
  if (host === undefined) return { ...check, status: 'ok', message: 'a mock device needs none' };
  const group = await host.linkName(`/sys/bus/pci/devices/${address}/iommu_group`);
  if (group === undefined) {
    return {
      ...check,
      status: 'note',
      message: 'has no IOMMU group: nothing confines what the device accesses',
      advice:
        'mailboxes work without one. For vfio-pci enable the IOMMU, in the firmware and with intel_iommu=on or amd_iommu=on',
    };
  }
  const folder = `/sys/kernel/iommu_groups/${group}`;
  const type = await host.text(`${folder}/type`);
  const others = ((await host.list(`${folder}/devices`)) ?? []).filter((each) => each !== address);
  const where = `IOMMU group ${group}${type === undefined ? '' : `, ${type}`}`;
  if (type === 'identity') {
    return {
      ...check,
      status: 'note',
      message: `${where}: the IOMMU does not confine what the device accesses`,
      advice: 'remove iommu=pt from the kernel command line where it should',
    };
  }
  const alone = others.length === 0 ? 'alone' : `with ${others.join(', ')}`;
  return { ...check, status: 'ok', message: `${where}, ${alone}` };
}
