// Whether a machine failed, by its console: what the kernel prints when something is wrong with it,
// and what the guest prints at its end. Lines of the kernel and of programs can be mixed, so that
// every pattern is searched for anywhere in a line.

/** What a kernel prints when something is wrong with it, by name; the first match counts. */
const troubles = [
  ['panic', /Kernel panic - not syncing/],
  ['lockup', /soft lockup - CPU#|hard lockup|workqueue lockup/i],
  ['scheduling while atomic', /scheduling while atomic/],
  ['BUG', /kernel BUG at|\bBUG[: ]/],
  [
    'oops',
    /\bOops: |unable to handle kernel|kernel access of bad area|general protection fault|machine check/i,
  ],
  ['RCU stall', /rcu: INFO: |self-detected stall|detected stalls on CPUs|rcu.* kthread starved/],
  ['hung task', /blocked for more than \d+ seconds/],
  ['out of memory', /invoked oom-killer|Out of memory: |page allocation failure/],
  ['warning', /WARNING: /],
  ['stack dump', /call trace:/i],
  ['write to what the kernel holds', /Unexpected write to kernel-exclusive/],
  ['accelerator left alone', /cxl_rig: (?:the driver left fault|hypercall \S+ is not)/],
];

/** Lines that match a pattern above although nothing is wrong. */
const harmless = [
  // The firmware that is skipped would have formatted it.
  /WARNING: nvram corruption detected: 0-length partition/,
];

/** Bits of /proc/sys/kernel/tainted that mean a problem. */
const taints = new Map([
  [2, 'a processor out of its specification'],
  [4, 'machine check'],
  [5, 'bad page'],
  [7, 'oops'],
  [9, 'warning'],
  [11, 'firmware bug'],
  [14, 'soft lockup'],
]);

/** Set by modules that are not of the distribution: `outOfTree` for a machine that loads some. */
export const outOfTree = (1 << 12) | (1 << 13);

/** The name of the problem that a line shows, undefined when it shows none. */
export function troubleOf(line) {
  if (harmless.some((pattern) => pattern.test(line))) return undefined;
  return troubles.find(([, pattern]) => pattern.test(line))?.[0];
}

function taintComplaint(text, allowed) {
  const value = Number(text);
  if (!Number.isInteger(value)) return `the guest's taint is no number: ${text}`;
  const rest = Array.from({ length: 31 }, (_, bit) => bit).filter(
    (bit) => ((value & ~allowed) >> bit) & 1,
  );
  if (rest.length === 0) return undefined;
  const names = rest.map((bit) => taints.get(bit) ?? `bit ${bit}`);
  return `the kernel is tainted: ${value} (${names.join(', ')})`;
}

/** A line for each kind of problem: the first line of the console that shows it, and how many do. */
function kernelComplaints(lines) {
  const found = new Map();
  for (const line of lines) {
    const name = troubleOf(line);
    if (name === undefined) continue;
    const seen = found.get(name) ?? { first: line.trim(), count: 0 };
    seen.count += 1;
    found.set(name, seen);
  }
  return [...found].map(([name, { first, count }]) => {
    const more = count > 1 ? ` (and ${count - 1} more)` : '';
    return `kernel: ${name}: ${first}${more}`;
  });
}

/** The text of the last line `RIG-NAME text`. */
function answer(lines, name) {
  return lines.map((line) => new RegExp(`RIG-${name} (.*)$`).exec(line)?.[1]).findLast(Boolean);
}

/**
 * Everything that went wrong with a machine, as its console has it; empty when nothing did.
 * `exit` is what the guest printed: '0' when its tests passed, '1' when some failed.
 *
 * @param {string} text the whole console
 * @param {{ allowedTaint?: number | undefined }} [options]
 * @returns {{ failures: string[], exit: string | undefined }}
 */
export function judgeConsole(text, { allowedTaint = 0 } = {}) {
  const lines = text.split(/\r*\n/);
  const failures = kernelComplaints(lines);
  const taint = answer(lines, 'TAINT');
  const exit = answer(lines, 'EXIT');
  if (exit === undefined) failures.push('the guest ended without saying how');
  else if (!/^[01]$/.test(exit)) failures.push(`the guest ended with ${exit}`);
  if (taint !== undefined) {
    const complaint = taintComplaint(taint, allowedTaint);
    if (complaint !== undefined) failures.push(complaint);
  } else if (exit !== undefined) {
    failures.push('the guest did not tell its taint');
  }
  return { failures, exit };
}

/**
 * The tests that a line counts: "ok - " and "not ok - " are one each, and a runner's sum many.
 *
 * @param {string} line
 * @returns {{ passed: number, failed: number }}
 */
export function testsOf(line) {
  const sum = /^TOTALS (\{.*\})$/.exec(line);
  if (sum !== null) {
    const { passed, failed } = JSON.parse(sum[1]);
    return { passed, failed };
  }
  return { passed: /^ok - /.test(line) ? 1 : 0, failed: /^not ok - /.test(line) ? 1 : 0 };
}
