/** `node-cxl doe`: the DOE mailboxes of PCI functions, from the command line. */
import { writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { addAbortSignal } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { Command, InvalidArgumentError } from 'commander';
import {
  Compliance,
  complianceProtocol,
  type Doe,
  type DoeMailbox,
  doe,
  doeFromDump,
  type ExchangeOptions,
  parseAddress,
  readCdat,
  tableAccessProtocol,
} from '../doe';
import { systemError } from '../shared/errors';
import {
  capabilitiesText,
  cdatText,
  type Discovered,
  discoveredJson,
  discoveredText,
  dumpText,
  json,
  listJson,
  listText,
  ownerText,
} from './doe-output';
import { failureLine } from './failure';

interface CommonOptions {
  readonly json?: boolean;
  readonly force?: boolean;
  /** Milliseconds. */
  readonly timeout?: number;
  /** Aborted by Ctrl-C. */
  readonly signal?: AbortSignal;
}

/** A command's action that prints what `run` returns. */
function action<A extends unknown[]>(run: (...args: A) => Promise<string> | string) {
  return async (...args: A): Promise<void> => {
    process.stdout.write(`${await run(...args)}\n`);
  };
}

function address(text: string): string {
  try {
    return parseAddress(text);
  } catch {
    throw new InvalidArgumentError('domain:bus:device.function, such as 0000:0d:00.0');
  }
}

function hexNumber(max: number) {
  return (text: string): number => {
    const value = /^(0x)?[0-9a-f]+$/i.test(text) ? Number.parseInt(text, 16) : Number.NaN;
    if (!(value <= max)) throw new InvalidArgumentError(`hexadecimal, up to ${max.toString(16)}`);
    return value;
  };
}

function milliseconds(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : 0;
  if (value < 1 || value >= 2 ** 31) throw new InvalidArgumentError('milliseconds, 1 or more');
  return value;
}

function exchangeOptions({ force, timeout, signal }: CommonOptions): ExchangeOptions {
  return { force, timeout, signal };
}

/** With --force, prints who else uses the mailbox. */
function warnOfOwner(mailbox: DoeMailbox, { force }: CommonOptions): void {
  const { driver } = mailbox.owner;
  if (force !== true || driver === undefined) return;
  process.stderr.write(`note: ${mailbox.name} is shared with: ${ownerText(mailbox.owner)}\n`);
}

async function list(
  where: string | undefined,
  options: CommonOptions & { dump?: string },
): Promise<void> {
  const system: Doe = options.dump === undefined ? doe : doeFromDump(options.dump);
  const scans = where === undefined ? await system.scan() : [await system.scanFunction(where)];
  process.stdout.write(`${options.json === true ? listJson(scans) : listText(scans)}\n`);
  // What could be read has been printed; the first problem decides the exit code.
  const [first, ...others] = scans.flatMap(({ problem }) => problem ?? []);
  for (const problem of others) process.stderr.write(`${failureLine(problem)}\n`);
  if (first !== undefined) throw first;
}

async function mailboxesOf(where: string, options: CommonOptions): Promise<DoeMailbox[]> {
  const found = await doe.mailboxes(where);
  if (found.length === 0) {
    throw systemError('EOPNOTSUPP', 'doe(find)', where, 'the function has no DOE mailbox');
  }
  for (const mailbox of found) warnOfOwner(mailbox, options);
  return found;
}

async function discover(where: string, options: CommonOptions): Promise<string> {
  const found: Discovered[] = [];
  for (const mailbox of await mailboxesOf(where, options)) {
    found.push({ mailbox, protocols: await mailbox.discover(exchangeOptions(options)) });
  }
  if (options.json !== true) return discoveredText(found);
  return discoveredJson(found);
}

async function cdat(
  where: string,
  options: CommonOptions & { verify: boolean; output?: string },
): Promise<string> {
  await mailboxesOf(where, options);
  const exchange = exchangeOptions(options);
  const mailbox = await doe.find(where, tableAccessProtocol, exchange);
  const table = await readCdat(mailbox, { ...exchange, verify: options.verify });
  if (options.output !== undefined) writeFileSync(options.output, table.bytes);
  return options.json === true ? json(table) : cdatText(mailbox, table);
}

async function compliance(
  where: string,
  what: string,
  options: CommonOptions,
  command: Command,
): Promise<string> {
  if (what !== 'caps' && what !== 'status') {
    command.error(`error: unknown request '${what}': caps or status`, { exitCode: 2 });
  }
  await mailboxesOf(where, options);
  const exchange = exchangeOptions(options);
  const mode = new Compliance(await doe.find(where, complianceProtocol, exchange), exchange);
  if (what === 'caps') {
    const capabilities = await mode.capabilities();
    return options.json === true ? json(capabilities) : capabilitiesText(capabilities);
  }
  const status = await mode.status();
  if (options.json === true) return json(status);
  return `capabilities 0x${status.capabilities.toString(16)}, cache size ${status.cacheSize}, unit ${status.cacheSizeUnit}`;
}

async function raw(
  where: string,
  vendorId: number,
  type: number,
  file: string,
  options: CommonOptions & { mailbox?: number; output?: string },
): Promise<string> {
  const payload = await payloadOf(file, options.signal);
  const found = await mailboxesOf(where, options);
  const exchange = exchangeOptions(options);
  const mailbox =
    options.mailbox === undefined
      ? await pick(found, where, { vendorId, type }, exchange)
      : found.find(({ offset }) => offset === options.mailbox);
  if (mailbox === undefined) {
    const offsets = found.map(({ offset }) => offset.toString(16)).join(', ');
    throw systemError(
      'ENOENT',
      'doe(find)',
      where,
      `no mailbox at this offset; mailboxes are at ${offsets}`,
    );
  }
  const answer = await mailbox.exchange({ vendorId, type }, payload, exchange);
  if (options.output !== undefined) {
    writeFileSync(options.output, answer);
    const written = { bytes: answer.length, output: options.output };
    return options.json === true ? json(written) : `${written.bytes} bytes`;
  }
  return options.json === true ? json({ answer }) : dumpText(answer);
}

/** Reads asynchronously: a synchronous read of a terminal would block Ctrl-C. */
function payloadOf(file: string, signal: AbortSignal | undefined): Promise<Buffer> {
  if (file !== '-') return readFile(file, signal === undefined ? {} : { signal });
  return buffer(signal === undefined ? process.stdin : addAbortSignal(signal, process.stdin));
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

function common(command: Command): Command {
  return command
    .option('--json', 'as JSON')
    .option('--mock', 'use a mock device instead of real ones')
    .option('--force', 'use the mailbox although a driver is bound to the device')
    .option('--timeout <ms>', 'milliseconds the device may take to answer', milliseconds, 1000);
}

/** The `doe` command with its subcommands. `signal` ends a running subcommand. */
export function doeCommand(signal?: AbortSignal): Command {
  const command = new Command('doe')
    .description('PCI Data Object Exchange mailboxes: find them and talk over them')
    .hook('preAction', (_, chosen) => {
      chosen.setOptionValue('signal', signal);
    });
  command
    .command('list')
    .description('list DOE mailboxes and who uses them')
    .argument('[BDF]', 'only of this PCI function', address)
    .option('--json', 'as JSON')
    .option('--mock', 'use a mock device instead of real ones')
    .option('--dump <file>', 'of the functions in a file that lspci -xxxx made')
    .action(list);
  common(command.command('discover'))
    .description('list the protocols of the mailboxes of a function')
    .argument('<BDF>', 'PCI function, such as 0000:0d:00.0', address)
    .action(action(discover));
  common(command.command('cdat'))
    .description('print the Coherent Device Attribute Table of a device')
    .argument('<BDF>', 'PCI function', address)
    .option('--no-verify', 'accept a table whose checksum is wrong')
    .option('--output <file>', 'also write the undecoded table to this file')
    .action(action(cdat));
  common(command.command('compliance'))
    .description('print the compliance mode of a device')
    .argument('<BDF>', 'PCI function', address)
    .argument('<request>', 'caps or status')
    .action(action(compliance));
  common(command.command('raw'))
    .description('send the bytes of a file in one exchange and print the answer')
    .argument('<BDF>', 'PCI function', address)
    .argument('<VID>', 'vendor id, hexadecimal', hexNumber(0xffff))
    .argument('<TYPE>', 'data object type, hexadecimal', hexNumber(0xff))
    .argument('<FILE>', 'payload, a multiple of 4 bytes; - is standard input')
    .option('--mailbox <offset>', 'use the mailbox at this offset (hexadecimal)', hexNumber(0xfff))
    .option('--output <file>', 'write the answer to this file instead of printing it')
    .action(action(raw));
  return command;
}
