/** `node-cxl doe`: the DOE mailboxes of PCI functions, from the command line. */
import { statSync } from 'node:fs';
import { Command, Option } from 'commander';
import {
  Compliance,
  complianceProtocol,
  type Doe,
  type DoeMailbox,
  doe,
  doeFromDump,
  type ExchangeOptions,
  readCdat,
  tableAccessProtocol,
} from '../doe';
import { systemError } from '../shared/errors';
import { duration, hexNumber, pciAddress } from './arguments';
import {
  capabilitiesDocument,
  cdatDocument,
  type Discovered,
  type Document,
  discoveredDocument,
  listDocument,
  ownerText,
  statusDocument,
} from './doe-output';
import { UsageError } from './failure';
import { readWhole } from './input-file';
import { complain, dumpText, type Format, show } from './output';
import { openOutput } from './output-file';
import { common, type Session } from './session';

interface ExchangeFlags extends Format {
  readonly force?: boolean;
  /** Milliseconds. */
  readonly timeout: number;
}

type Flags<Options> = Options & ExchangeFlags;

/** The exchange options of one command, and how it reports. */
class Exchanges {
  readonly flags: ExchangeFlags;
  readonly options: ExchangeOptions;

  constructor({ signal }: Session, flags: ExchangeFlags) {
    const { force = false, timeout } = flags;
    this.flags = flags;
    this.options = { force, timeout, signal };
  }

  /** The mailboxes of a function; with --force, prints who else uses them. */
  async mailboxesOf(where: string): Promise<DoeMailbox[]> {
    const { signal } = this.options;
    const found = await doe.mailboxes(where, signal === undefined ? {} : { signal });
    if (found.length === 0) {
      throw systemError('EOPNOTSUPP', 'doe(find)', where, 'the function has no DOE mailbox');
    }
    for (const { name, owner } of found) {
      if (this.flags.force !== true || owner.driver === undefined) continue;
      complain('note', `${name} is shared with: ${ownerText(owner)}`, this.flags);
    }
    return found;
  }

  show([data, forms]: Document): void {
    show(this.flags, data, forms);
  }
}

async function list(
  { signal }: Session,
  where: string | undefined,
  options: Format & { dump?: string },
): Promise<void> {
  const system: Doe = options.dump === undefined ? doe : fromDump(options.dump);
  const scans =
    where === undefined
      ? await system.scan({ signal })
      : [await system.scanFunction(where, { signal })];
  const [data, forms] = listDocument(scans);
  show(options, data, forms);
  // What could be read has been printed; the first problem decides the exit code.
  const [first, ...others] = scans.flatMap(({ problem }) => problem ?? []);
  for (const problem of others) complain('error', problem, options);
  if (first !== undefined) throw first;
  if (scans.every(({ mailboxes }) => mailboxes.length === 0)) {
    throw systemError('ENODEV', 'doe(find)', where, 'no DOE mailbox found');
  }
}

function fromDump(file: string): Doe {
  // Reading a FIFO without a writer would block the thread, and Ctrl-C with it.
  if (!statSync(file).isFile()) throw new UsageError(`--dump ${file} is not a regular file`);
  return doeFromDump(file);
}

async function discover(session: Session, where: string, flags: Flags<object>): Promise<void> {
  const exchanges = new Exchanges(session, flags);
  const found: Discovered[] = [];
  for (const mailbox of await exchanges.mailboxesOf(where)) {
    found.push({ mailbox, protocols: await mailbox.discover(exchanges.options) });
  }
  exchanges.show(discoveredDocument(found));
}

async function cdat(
  session: Session,
  where: string,
  flags: Flags<{ verify: boolean; out?: string }>,
): Promise<void> {
  const exchanges = new Exchanges(session, flags);
  await exchanges.mailboxesOf(where);
  const mailbox = await doe.find(where, tableAccessProtocol, exchanges.options);
  const table = await readCdat(mailbox, { ...exchanges.options, verify: flags.verify });
  if (flags.out !== undefined && (await writeOut(flags.out, table.bytes, session))) return;
  exchanges.show(cdatDocument(mailbox, table));
}

/** Whether the data went to standard output, where no text about it may follow. */
async function writeOut(name: string, data: Uint8Array, { signal }: Session): Promise<boolean> {
  const file = await openOutput(name, signal);
  try {
    await file.write(data);
    await file.commit();
  } finally {
    await file.close();
  }
  return file.isStandardOutput;
}

async function compliance(
  session: Session,
  where: string,
  what: string,
  flags: Flags<object>,
): Promise<void> {
  if (what !== 'caps' && what !== 'status') {
    throw new UsageError(`unknown request '${what}': caps or status`);
  }
  const exchanges = new Exchanges(session, flags);
  const { options } = exchanges;
  await exchanges.mailboxesOf(where);
  const mode = new Compliance(await doe.find(where, complianceProtocol, options), options);
  exchanges.show(
    what === 'caps'
      ? capabilitiesDocument(await mode.capabilities())
      : statusDocument(await mode.status()),
  );
}

async function raw(
  session: Session,
  where: string,
  vendorId: number,
  type: number,
  file: string,
  flags: Flags<{ mailbox?: number; out?: string }>,
): Promise<void> {
  const payload = await readWhole(file, session.signal);
  const exchanges = new Exchanges(session, flags);
  const found = await exchanges.mailboxesOf(where);
  const mailbox =
    flags.mailbox === undefined
      ? await pick(found, where, { vendorId, type }, exchanges.options)
      : found.find(({ offset }) => offset === flags.mailbox);
  if (mailbox === undefined) {
    const offsets = found.map(({ offset }) => offset.toString(16)).join(', ');
    const hint = `no mailbox at this offset; mailboxes are at ${offsets}`;
    throw systemError('ENOENT', 'doe(find)', where, hint);
  }
  const answer = await mailbox.exchange({ vendorId, type }, payload, exchanges.options);
  const { length } = answer;
  if (flags.out !== undefined) {
    if (await writeOut(flags.out, answer, session)) return;
    exchanges.show([{ bytes: length, file: flags.out }, { text: () => `${length} bytes` }]);
    return;
  }
  const data = Buffer.from(answer).toString('hex');
  const text = () => dumpText(answer) || 'an answer without payload';
  exchanges.show([{ bytes: length, data }, { text }]);
}

/** The only mailbox whatever its protocols, or of several the one whose discovery lists `protocol`. */
async function pick(
  found: DoeMailbox[],
  where: string,
  protocol: { vendorId: number; type: number },
  exchange: ExchangeOptions,
): Promise<DoeMailbox> {
  return found.length === 1 ? (found[0] as DoeMailbox) : doe.find(where, protocol, exchange);
}

function exchanging(command: Command): Command {
  return common(command)
    .option('--force', 'use the mailbox although a driver is bound to the device')
    .addOption(
      new Option('--timeout <duration>', 'how long the device may take to answer')
        .argParser(duration)
        .default(1000, '1s'),
    );
}

/** The `doe` command with its subcommands. */
export function doeCommand(session: Session): Command {
  const command = new Command('doe').description(
    'PCI Data Object Exchange mailboxes: find them and talk over them',
  );
  common(command.command('list'))
    .description('list DOE mailboxes and who uses them')
    .argument('[BDF]', 'only of this PCI function', pciAddress)
    .option('--dump <file>', 'of the functions in a file that lspci -xxxx made')
    .action((where: string | undefined, options: Format) => list(session, where, options));
  exchanging(command.command('discover'))
    .description('list the protocols of the mailboxes of a function')
    .argument('<BDF>', 'PCI function, such as 0000:0d:00.0', pciAddress)
    .action((where: string, flags: Flags<object>) => discover(session, where, flags));
  exchanging(command.command('cdat'))
    .description('print the Coherent Device Attribute Table of a device')
    .argument('<BDF>', 'PCI function', pciAddress)
    .option('--no-verify', 'accept a table whose checksum is wrong')
    .option('--out <file>', 'also write the undecoded table to this file')
    .action((where: string, flags: Flags<{ verify: boolean }>) => cdat(session, where, flags));
  exchanging(command.command('compliance'))
    .description('print the compliance mode of a device')
    .argument('<BDF>', 'PCI function', pciAddress)
    .argument('<request>', 'caps or status')
    .action((where: string, what: string, flags: Flags<object>) =>
      compliance(session, where, what, flags),
    );
  exchanging(command.command('raw'))
    .description('send the bytes of a file in one exchange and print the answer')
    .argument('<BDF>', 'PCI function', pciAddress)
    .argument('<VID>', 'vendor id, hexadecimal', hexNumber(0xffff))
    .argument('<TYPE>', 'data object type, hexadecimal', hexNumber(0xff))
    .argument('<FILE>', 'payload, a multiple of 4 bytes; - is standard input')
    .option('--mailbox <offset>', 'use the mailbox at this offset (hexadecimal)', hexNumber(0xfff))
    .option('--out <file>', 'write the answer to this file instead of printing it')
    .action((where: string, vendorId: number, type: number, file: string, flags: Flags<object>) =>
      raw(session, where, vendorId, type, file, flags),
    );
  return command;
}
