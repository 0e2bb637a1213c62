// Checks that the barriers are in the compiled code. Emulation on a strongly ordered machine cannot
// show that one is missing, so the instructions of the ppc64 addon are read: every path through each
// function that accesses a device or publishes memory is followed.
//
//   node test/rig/ppc64/disassembly.mjs [ADDON-WITH-SYMBOLS]
//
// The addon lists the instructions that access the device in its section cxl_fix_ups, from which
// its SIGBUS handler knows where to continue after a fault.
import { execFileSync } from 'node:child_process';
import { pathToFileURL } from 'node:url';
import { unstrippedAddon } from '../../../lib/build/prebuilds.mjs';

const objdump = 'powerpc64le-linux-gnu-objdump';

/** Vector, cache-line, multiple and unaligned-pair accesses fault on cache-inhibited storage. */
const forbidden = /^(dcb|lxv|stxv|lvx|stvx|lvebx|lvehx|lvewx|stve|lmw|stmw|lsw|stsw|lq|stq)/;

/** Functions by name: a list of { address, op, operands }. */
function functionsOf(text) {
  const functions = new Map();
  let body;
  for (const line of text.split('\n')) {
    const head = /^[0-9a-f]+ <([^>]+)>:$/.exec(line);
    const instruction = /^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$/.exec(line);
    if (head) {
      body = [];
      functions.set(head[1], body);
    } else if (instruction && body && instruction[2] !== '.long') {
      const [, address, op, operands] = instruction;
      body.push({ address: Number.parseInt(address, 16), op, operands });
    }
  }
  return functions;
}

/** Addresses of the accesses: the table's entries are pairs of 32-bit offsets from themselves. */
function deviceAccesses(dump) {
  const bytes = [];
  let base;
  for (const line of dump.split('\n')) {
    const row = /^ ([0-9a-f]+) ((?:[0-9a-f]{2,8} ?){1,4}) {1,}/.exec(line);
    if (!row) continue;
    base ??= Number.parseInt(row[1], 16);
    bytes.push(...Buffer.from(row[2].replaceAll(' ', ''), 'hex'));
  }
  const table = Buffer.from(bytes);
  const accesses = new Set();
  for (let at = 0; at + 8 <= table.length; at += 8) {
    accesses.add(base + at + table.readInt32LE(at));
  }
  return accesses;
}

/** The indices an instruction can be followed by; [] at a return. */
function successors(body, index) {
  const { op, operands } = body[index];
  if (op === 'blr') return [];
  if (!op.startsWith('b') || op.startsWith('bp') || op === 'bl' || op === 'bctrl') {
    return [index + 1];
  }
  if (/lr[+-]?$/.test(op)) return [index + 1];
  const target = Number.parseInt(/([0-9a-f]+) <[^>]*>$/.exec(operands)?.[1] ?? 'x', 16);
  const to = body.findIndex(({ address }) => address === target);
  return op === 'b' ? [to] : [index + 1, to];
}

/**
 * Whether a walk from `starts` reaches an instruction for which `hit` holds (or, with
 * `hit` undefined, a return) without passing one for which `stop` holds.
 */
function reaches(body, starts, stop, hit) {
  const seen = new Set();
  const queue = [...starts];
  while (queue.length > 0) {
    const index = queue.pop();
    if (seen.has(index)) continue;
    seen.add(index);
    const instruction = body[index];
    if (instruction === undefined) return true; // ran off the function: a path we cannot see
    if (stop(instruction)) continue;
    if (hit?.(instruction)) return true;
    const next = successors(body, index);
    const returns = next.length === 0 || /lr[+-]?$/.test(instruction.op);
    if (returns && hit === undefined) return true;
    queue.push(...next);
  }
  return false;
}

const isFull = ({ op }) => op === 'hwsync' || op === 'sync';
const isLight = (instruction) => isFull(instruction) || instruction.op === 'lwsync';

function checkMmio(name, body, accesses) {
  const complaints = [];
  const isAccess = ({ address }) => accesses.has(address);
  const indices = body.flatMap((instruction, index) => (isAccess(instruction) ? [index] : []));
  if (indices.length === 0) return [`${name}: touches no device`];
  const reads = name.includes('read');
  const plain = { 32: ['lwz', 'stw'], 64: ['ld', 'std'] }[/32|64/.exec(name)?.[0]];
  const reversed = { 32: ['lwbrx', 'stwbrx'], 64: ['ldbrx', 'stdbrx'] }[/32|64/.exec(name)?.[0]];
  const which = reads ? 0 : 1;
  // Blocks have a loop for each byte order.
  const expected = name.includes('block') ? [plain?.[which], reversed?.[which]] : [plain?.[which]];
  for (const index of indices) {
    const { op, operands, address } = body[index];
    if (!expected.includes(op)) {
      complaints.push(`${name}: ${op} ${operands} at ${address.toString(16)}`);
    }
  }
  for (const { op, operands } of body) {
    if (forbidden.test(op)) complaints.push(`${name}: ${op} ${operands}`);
    if (op === 'bl' || op === 'bctrl') complaints.push(`${name}: calls ${operands}`);
  }
  const barriers = body.flatMap((instruction, index) => (isFull(instruction) ? [index] : []));
  const after = (index) => successors(body, index);
  if (reads) {
    const bare = indices.filter((index) => reaches(body, after(index), isFull, undefined));
    if (bare.length > 0) complaints.push(`${name}: a load reaches the return without hwsync`);
    if (barriers.some((index) => reaches(body, after(index), () => false, isAccess))) {
      complaints.push(`${name}: hwsync within the loop`);
    }
  } else {
    if (reaches(body, [0], isFull, isAccess)) {
      complaints.push(`${name}: a store is reached without hwsync`);
    }
    if (barriers.some((index) => reaches(body, after(index), () => false, isFull))) {
      complaints.push(`${name}: hwsync within the loop`);
    }
  }
  if (!name.includes('block')) {
    // A single access has its barrier at its side, with no other access to memory between.
    const [index] = indices;
    const near = body[reads ? index + 1 : index - 1];
    if (!near || !isFull(near)) complaints.push(`${name}: hwsync is not next to the access`);
  }
  return complaints;
}

/** The accessors take the address in r3 and touch nothing else through it. */
function checkMemory(name, body) {
  const load = name.includes('load');
  const access = body.findIndex(
    ({ op, operands }) => (load ? /^l[bhwd]/ : /^st[bhwd]/).test(op) && /0\(r3\)$/.test(operands),
  );
  if (access < 0) return [`${name}: no ${load ? 'load' : 'store'} through its argument`];
  if (!load) {
    const guarded = !reaches(body, [0], isLight, (instruction) => instruction === body[access]);
    return guarded ? [] : [`${name}: a store is reached without lwsync or hwsync`];
  }
  // Acquire: a barrier, or a compare of the loaded value, a branch on it, and isync.
  const rest = body.slice(access + 1);
  const loaded = body[access].operands.split(',')[0];
  const compare = rest.findIndex(
    ({ op, operands }) =>
      op.startsWith('cmp') && operands.split(/,\s*/).slice(-2).join() === `${loaded},${loaded}`,
  );
  const branch = rest.findIndex(({ op }, at) => at > compare && /^bne/.test(op));
  const isync = rest.findIndex(({ op }, at) => at > branch && op === 'isync');
  const controlled = compare >= 0 && branch >= 0 && isync >= 0;
  const barred = !reaches(body, [access + 1], isLight, undefined);
  return controlled || barred ? [] : [`${name}: nothing orders what follows the load`];
}

const wanted = [
  ...['read', 'write'].flatMap((way) =>
    ['32', '64', '_block32', '_block64'].map((width) => `cxl_mmio_${way}${width}`),
  ),
  ...['8', '16', '32', '64'].flatMap((width) => [
    `cxl_memory_load${width}_acquire`,
    `cxl_memory_store${width}_release`,
  ]),
  'cxl_memory_barrier',
];

function check(functions, accesses) {
  const complaints = [];
  const covered = new Set();
  for (const name of wanted) {
    const body = functions.get(name);
    if (body === undefined) {
      complaints.push(`${name}: no such function: was it inlined or renamed?`);
    } else if (name === 'cxl_memory_barrier') {
      if (reaches(body, [0], isFull, undefined)) complaints.push(`${name}: no hwsync`);
    } else if (name.startsWith('cxl_memory_')) {
      complaints.push(...checkMemory(name, body));
    } else {
      complaints.push(...checkMmio(name, body, accesses));
      for (const { address } of body) covered.add(address);
    }
  }
  const elsewhere = [...accesses].filter((address) => !covered.has(address));
  for (const address of elsewhere) {
    complaints.push(`an access to a device outside the checked functions: ${address.toString(16)}`);
  }
  return complaints;
}

/**
 * What is wrong with the addon, and whether this check would have noticed: each barrier is
 * taken out in turn, and every time there must be a complaint.
 */
export function checkDisassembly(file) {
  const options = { encoding: 'utf8', maxBuffer: 1 << 28 };
  const text = execFileSync(objdump, ['-d', '--no-show-raw-insn', file], options);
  const accesses = deviceAccesses(
    execFileSync(objdump, ['-s', '-j', 'cxl_fix_ups', file], options),
  );
  const functions = functionsOf(text);
  const complaints = check(functions, accesses);
  let barriers = 0;
  for (const name of wanted) {
    for (const instruction of functions.get(name) ?? []) {
      if (!isLight(instruction) && instruction.op !== 'isync') continue;
      barriers += 1;
      const { op } = instruction;
      instruction.op = 'nop';
      if (check(functions, accesses).length === 0) {
        complaints.push(`${name}: its ${op} could be missing and this check would not notice`);
      }
      instruction.op = op;
    }
  }
  return { complaints, functions: wanted.length, accesses: accesses.size, barriers };
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const file = process.argv[2] ?? unstrippedAddon('ppc64');
  const { complaints, functions, accesses, barriers } = checkDisassembly(file);
  for (const complaint of complaints) console.error(`disassembly: ${complaint}`);
  console.log(
    `disassembly: ${functions} functions, ${accesses} device accesses, ${barriers} barriers, each taken out once: ${complaints.length} complaints`,
  );
  process.exitCode = complaints.length === 0 ? 0 : 1;
}
