/** The judge of the emulated machines' consoles: no trouble of a kernel goes by unseen. */
import { describe, expect, it } from 'vitest';
import { judgeConsole, outOfTree, testsOf, troubleOf } from '../rig/console.mjs';

const HEALTHY = [
  '[    0.585460] WARNING: nvram corruption detected: 0-length partition',
  '[    2.814024] cxl_rig: loading out-of-tree module taints kernel.',
  '# Linux 6.1.0-50-powerpc64le',
  'ok - an adapter',
  '[    5.171317] cxl afu0.0: CXL AFU Error undelivered to pe 0: 0x000000000000dead',
  '[    5.243988] cxl afu0.0: PSL Slice error received. Check AFU for root cause.',
  'TOTALS {"files":11,"passed":127,"failed":0,"skipped":28}',
];
const END = ['RIG-TAINT 12288', 'RIG-EXIT 0', '[  378.467406] reboot: Power down', ''];

function judge(lines: readonly string[]): string[] {
  return judgeConsole(lines.join('\r\n'), { allowedTaint: outOfTree }).failures;
}

/** What kernels print, one line of each kind of trouble. */
const TROUBLES: Record<string, readonly string[]> = {
  panic: ['Kernel panic - not syncing: sysrq triggered crash'],
  lockup: [
    'watchdog: BUG: soft lockup - CPU#0 stuck for 5s! [spinner:86]',
    'watchdog: CPU 1 self-detected hard LOCKUP @ plpar_hcall_norets+0x1c/0x28',
    'NMI watchdog: Watchdog detected hard LOCKUP on cpu 0',
    'BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 30s!',
  ],
  'scheduling while atomic': ['BUG: scheduling while atomic: insmod/88/0x00000002'],
  BUG: [
    'kernel BUG at mm/memory.c:2229!',
    'BUG: Kernel NULL pointer dereference on write at 0x00000008',
    'BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580',
    'BUG: Bad page state in process node  pfn:12345',
    'BUG kmalloc-64 (Tainted: G           O      ): Right Redzone overwritten',
  ],
  oops: [
    'Oops: Exception in kernel mode, sig: 5 [#1]',
    'Unable to handle kernel paging request for data at address 0x00000000',
    'general protection fault, probably for non-canonical address 0xdead000000000100: 0000',
    'Severe Machine check interrupt [Not recovered]',
  ],
  'RCU stall': [
    'rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:',
    'rcu: rcu_sched kthread starved for 5250 jiffies! g4777 f0x0 RCU_GP_WAIT_FQS(5)',
  ],
  'hung task': ['INFO: task sleeper:85 blocked for more than 120 seconds.'],
  'out of memory': [
    'node invoked oom-killer: gfp_mask=0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP), order=0',
    'Out of memory: Killed process 93 (node) total-vm:1234kB',
    'insmod: page allocation failure: order:10, mode:0xcc0(GFP_KERNEL)',
  ],
  warning: [
    'WARNING: CPU: 0 PID: 85 at drivers/misc/cxl/context.c:248 cxl_context_free+0x58/0xe8 [cxl]',
    'WARNING: drivers/misc/cxl/context.c:248 at cxl_context_free+0x58/0xe8, CPU#0: node/85',
  ],
  'stack dump': ['Call Trace:'],
  'write to what the kernel holds': [
    'cxl_pci 0000:0d:00.0: Unexpected write to kernel-exclusive config offset 198',
  ],
  'accelerator left alone': [
    'cxl_rig: the driver left fault 0x4000000040000000 of process 33 unanswered',
    'cxl_rig: hypercall 0x370 is not one of the driver’s',
  ],
};

describe('a console', () => {
  it('without problems has no failures', () => {
    expect(judge([...HEALTHY, ...END])).toEqual([]);
  });

  for (const [name, lines] of Object.entries(TROUBLES)) {
    it(`tells of a ${name}`, () => {
      for (const line of lines) {
        expect(troubleOf(line), line).toBe(name);
        const stamped = `[    3.405526] ${line}`;
        expect(judge([...HEALTHY, stamped, ...END])).toEqual([`kernel: ${name}: ${stamped}`]);
      }
    });
  }

  it('is read to the end, and also where lines run together', () => {
    const late = '[  378.5] WARNING: CPU: 0 PID: 1 at kernel/reboot.c:1 kernel_power_off+0x58/0xe8';
    expect(judge([...HEALTHY, ...END, late])).toHaveLength(1);
    expect(judge([...HEALTHY, `ok - a ch${late}`, ...END])).toEqual([
      `kernel: warning: ok - a ch${late}`,
    ]);
    // No end of line: the machine was cut off there.
    expect(
      judgeConsole(`${[...HEALTHY, ...END].join('\n')}Kernel panic - not syncing: x`).failures[0],
    ).toMatch(/^kernel: panic: /);
  });

  it('has one failure per kind of problem, with a count', () => {
    const failures = judge([...HEALTHY, 'BUG: one', 'Oops: two', 'BUG: three', ...END]);
    expect(failures).toEqual(['kernel: BUG: BUG: one (and 1 more)', 'kernel: oops: Oops: two']);
  });
});

describe('an end', () => {
  it('must be told', () => {
    expect(judge(HEALTHY)).toEqual(['the guest ended without saying how']);
    expect(judge([...HEALTHY, 'RIG-TAINT 0'])).toEqual(['the guest ended without saying how']);
    expect(judge([...HEALTHY, 'RIG-EXIT 0'])).toEqual(['the guest did not tell its taint']);
  });

  it('is told with the outcome of the tests, or with what went wrong before', () => {
    const ended = (exit: string) => judgeConsole(`RIG-TAINT 0\nRIG-EXIT ${exit}\n`);
    expect(ended('0')).toEqual({ failures: [], exit: '0' });
    expect(ended('1')).toEqual({ failures: [], exit: '1' });
    const broken = 'insmod cxl failed';
    expect(ended(broken).failures).toEqual([`the guest ended with ${broken}`]);
    expect(ended('139').failures).toEqual(['the guest ended with 139']);
  });

  it('shows taint that nothing on the console explains', () => {
    const tainted = (text: string, allowedTaint?: number) =>
      judgeConsole(`RIG-TAINT ${text}\nRIG-EXIT 0\n`, { allowedTaint }).failures;
    expect(tainted('12800', outOfTree)).toEqual(['the kernel is tainted: 12800 (warning)']);
    expect(tainted('16512')).toEqual(['the kernel is tainted: 16512 (oops, soft lockup)']);
    expect(tainted('12288', outOfTree)).toEqual([]);
    expect(tainted('12288')).toEqual(['the kernel is tainted: 12288 (bit 12, bit 13)']);
    expect(tainted('cat: no such file')).toHaveLength(1);
  });
});

describe('the count of tests', () => {
  it('has single checks and sums', () => {
    expect(testsOf('ok - a check')).toEqual({ passed: 1, failed: 0 });
    expect(testsOf('not ok - a check')).toEqual({ passed: 0, failed: 1 });
    expect(testsOf('TOTALS {"files":2,"passed":5,"failed":1,"skipped":3}')).toEqual({
      passed: 5,
      failed: 1,
    });
    for (const line of ['ok 1 - a row', '  ok - indented', 'token - x', '']) {
      expect(testsOf(line)).toEqual({ passed: 0, failed: 0 });
    }
  });
});
