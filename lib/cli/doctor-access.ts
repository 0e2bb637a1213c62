/** `node-cxl doctor`: whether the user can open the nodes: permissions, group, udev rule. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Finding } from './doctor';
import { nodeNames } from './doctor-driver';
import type { Host, Ownership, User } from './doctor-host';

const GROUP = 'cxl';
const RULE = '70-node-cxl.rules';
/** Of this package: the program is dist/cli/main.js. */
const OWN_RULE = path.resolve(__dirname, '../../lib/udev', RULE);
/** In the order of precedence. */
const RULE_FOLDERS = [
  '/etc/udev/rules.d',
  '/run/udev/rules.d',
  '/usr/lib/udev/rules.d',
  '/lib/udev/rules.d',
];

const RELOAD = 'udevadm control --reload && udevadm trigger -s cxl';
const INSTALL = `cp ${OWN_RULE} /etc/udev/rules.d/ && ${RELOAD}`;
const MAKE_GROUP = `groupadd --system ${GROUP}`;

const READ_WRITE = 0o6;

/** Whether the permissions let the user read and write. */
function mayUse(user: User, { uid, gid, mode }: Ownership): boolean {
  if (user.uid === 0) return true;
  const shift = user.uid === uid ? 6 : user.gids.includes(gid) ? 3 : 0;
  return ((mode >> shift) & READ_WRITE) === READ_WRITE;
}

/** The installed rule: where it is, and whether it is that of this package. */
async function installedRule(host: Host): Promise<{ file: string; same: boolean } | undefined> {
  for (const folder of RULE_FOLDERS) {
    const file = `${folder}/${RULE}`;
    const text = await host.text(file);
    if (text === undefined) continue;
    const own = await readFile(OWN_RULE, 'utf8');
    return { file, same: text === own.trim() };
  }
  return undefined;
}

export async function checkAccess(host: Host, user: User): Promise<Finding[]> {
  const rule = await installedRule(host);
  const group = (await host.groups()).find(({ name }) => name === GROUP);
  const join = `usermod -aG ${GROUP} ${user.name}, then log in again`;
  const inGroup = group !== undefined && user.gids.includes(group.gid);
  const findings: Finding[] = [];
  const denied: string[] = [];
  for (const name of await nodeNames(host)) {
    const subject = `/dev/cxl/${name}`;
    const found = await host.ownership(subject);
    // Master contexts reach the registers of every process: they stay with root.
    if (found === undefined || (name.endsWith('m') && user.uid !== 0)) continue;
    const shown = `uid ${found.uid}, gid ${found.gid}, mode ${found.mode.toString(8).padStart(4, '0')}`;
    const check = { check: 'permissions', subject } as const;
    if (mayUse(user, found)) {
      findings.push({ ...check, status: 'ok', message: `${user.name} may open it (${shown})` });
      continue;
    }
    denied.push(subject);
    const advice =
      rule === undefined
        ? 'install the udev rule, and join its group: see below'
        : inGroup
          ? `udevadm trigger -s cxl, so that the rule applies to the node`
          : join;
    const message = `${user.name} may not open it (${shown})`;
    findings.push({ ...check, status: 'problem', message, advice, exitCode: 4 });
  }
  return [...findings, checkGroup(), checkRule()];

  function checkGroup(): Finding {
    const check = { check: 'group', subject: GROUP } as const;
    if (user.uid === 0 && group !== undefined) {
      return { ...check, status: 'ok', message: 'exists; root needs no group' };
    }
    if (inGroup) return { ...check, status: 'ok', message: `${user.name} is in it` };
    const status = denied.length > 0 ? 'problem' : 'note';
    const failed = { ...check, status, exitCode: 4 } as const;
    if (group === undefined) {
      const advice = user.uid === 0 ? MAKE_GROUP : `${MAKE_GROUP} && ${join}`;
      return { ...failed, message: 'there is no such group', advice };
    }
    if (group.members.includes(user.name)) {
      const message = `${user.name} is in it, but this login is older than that`;
      return { ...failed, message, advice: 'log in again' };
    }
    return { ...failed, message: `${user.name} is not in it`, advice: join };
  }

  function checkRule(): Finding {
    const check = { check: 'udev rule', subject: rule?.file ?? RULE } as const;
    const status = denied.length > 0 ? 'problem' : 'note';
    if (rule === undefined) {
      const message = 'is not installed: nodes belong to root';
      return { ...check, status, message, advice: INSTALL, exitCode: 4 };
    }
    if (rule.same) return { ...check, status: 'ok', message: 'is that of this package' };
    const message = 'differs from that of this package';
    return { ...check, status: 'note', message, advice: INSTALL };
  }
}
