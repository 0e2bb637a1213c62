/** `node-cxl doctor`: checks what a program needs of the machine, and says what to do. */
import type { Cxl } from '../index';
import { checkAccess } from './doctor-access';
import { checkMailboxes, checkSuperpipe } from './doctor-devices';
import { checkCards, checkDriver, checkNodes } from './doctor-driver';
import { Host } from './doctor-host';
import { EXIT_CODES, exitCodeOf, messageOf, UsageError } from './failure';
import { type Format, present, show } from './output';
import type { Session } from './session';
import { facts } from './table';

/** What one check found out about one thing. */
export interface Finding {
  readonly check:
    | 'addon'
    | 'driver'
    | 'cards'
    | 'nodes'
    | 'permissions'
    | 'group'
    | 'udev rule'
    | 'superpipe'
    | 'IOMMU'
    | 'daemon';
  /** A note is of interest, but no program fails because of it alone. */
  readonly status: 'ok' | 'note' | 'problem';
  /** The file or device that was checked. */
  readonly subject: string;
  readonly message: string;
  /** What to do. */
  readonly advice?: string;
  /** Of the program, for a problem. */
  readonly exitCode?: number;
}

export interface DoctorOptions extends Format {
  readonly root?: string;
  readonly user?: string;
}

/** That there are problems: they have been printed. */
class ProblemsFound extends Error {
  readonly code = 'ERR_PROBLEMS_FOUND';
  readonly exitCode: number;

  constructor(problems: readonly Finding[]) {
    super(problems.length === 1 ? '1 problem' : `${problems.length} problems`);
    this.exitCode = problems[0]?.exitCode ?? EXIT_CODES.failure;
  }
}

export async function doctor(session: Session, options: DoctorOptions): Promise<void> {
  const findings = await examine(session, options);
  const problems = findings.filter(({ status }) => status === 'problem');
  const data = findings.map(({ check, status, subject, message, advice }) => {
    return { check, status, subject, message, advice: present(advice) };
  });
  show(
    options,
    { findings: data, problems: problems.length },
    {
      text: () => findings.map(lines).join('\n'),
      rows: () => data.map((each) => Object.values(each)),
    },
  );
  if (problems.length > 0) throw new ProblemsFound(problems);
}

async function examine({ system, signal }: Session, options: DoctorOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (options.root === undefined) {
    const [addon, backend] = checkAddon(system);
    if (backend === 'replay') {
      return [{ ...addon, message: 'a recording needs no driver, nodes or permissions' }];
    }
    if (backend === 'mock') {
      return [
        { ...addon, message: 'mock devices need no driver, nodes or permissions' },
        ...(await checkSuperpipe(system)),
        ...(await checkMailboxes(undefined, signal)),
      ];
    }
    if (backend === 'pslse') return [await checkDaemon(system)];
    findings.push(addon);
  }
  const host = new Host(options.root);
  const user = await host.user(options.user);
  if (user === undefined) throw new UsageError(`no user '${options.user}' in /etc/passwd`);
  findings.push(await checkDriver(host), ...(await checkCards(host)));
  // Without a driver there are no nodes, and the rule would be of no use.
  if (findings.some(({ check, status }) => check === 'driver' && status === 'ok')) {
    findings.push(...(await checkNodes(host)), ...(await checkAccess(host, user)));
    findings.push(...(await checkSuperpipe(host.system())));
  }
  findings.push(...(await checkMailboxes(host, signal)));
  return findings;
}

function checkAddon(system: Cxl): [Finding, backend: Cxl['backend']] {
  const check = { check: 'addon', subject: 'node-cxl' } as const;
  try {
    const { backend } = system;
    return [{ ...check, status: 'ok', message: 'the compiled addon is there' }, backend];
  } catch (error) {
    const message = messageOf(error);
    return [{ ...check, status: 'problem', message, exitCode: exitCodeOf(error) }, 'native'];
  }
}

async function checkDaemon(system: Cxl): Promise<Finding> {
  const check = { check: 'daemon', subject: 'PSLSE' } as const;
  try {
    const names = (await system.afus()).map(({ name }) => name).join(', ');
    return { ...check, status: 'ok', message: `the daemon simulates ${names}` };
  } catch (error) {
    return {
      ...check,
      status: 'problem',
      message: messageOf(error),
      exitCode: exitCodeOf(error),
    };
  }
}

function lines({ check, status, subject, message, advice }: Finding): string {
  const first = facts(
    `${status.padEnd(8)} ${check.padEnd(12)} `,
    [`${subject}: ${message}`],
    ' '.repeat(22),
  );
  return advice === undefined
    ? first
    : `${first}\n${facts(' '.repeat(22), [`→ ${advice}`], ' '.repeat(24))}`;
}
