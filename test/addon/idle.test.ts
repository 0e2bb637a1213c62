import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { prelude, runNode } from './child';

/** Threads of the simulated device, which works on its own clock: no part of the addon. */
function deviceThreads(pid: number): Set<string> {
  const threads = readdirSync(`/proc/${pid}/task`);
  return new Set(
    threads.filter((thread) =>
      readFileSync(`/proc/${pid}/task/${thread}/comm`, 'utf8').startsWith('cxlsim'),
    ),
  );
}

function threadOf(line: string): string {
  return /^\[pid +(\d+)\]/.exec(line)?.[1] ?? 'main';
}

/** The system calls of a process in `seconds`: lines of strace, without the device's. */
function trace(pid: number, seconds: number): Promise<{ calls: string[]; attached: boolean }> {
  const ignored = deviceThreads(pid);
  return new Promise((resolve, reject) => {
    const strace = spawn('strace', ['-f', '-q', '-p', String(pid)], {
      env: { PATH: process.env['PATH'] ?? '' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let text = '';
    strace.stderr.setEncoding('utf8').on('data', (more: string) => {
      text += more;
    });
    strace.on('error', reject);
    // SIGINT makes strace detach and leave the process as it was.
    setTimeout(() => strace.kill('SIGINT'), seconds * 1000);
    strace.on('close', () => {
      const lines = text.split('\n').filter((line) => line !== '' && !/^strace: pid/.test(line));
      const refused = lines.some((line) => line.includes('ptrace(PTRACE_SEIZE'));
      const calls = lines.filter((line) => {
        const thread = /^\[pid +(\d+)\]/.exec(line)?.[1] ?? String(pid);
        // A call that was under way when strace came is shown when strace goes.
        return (
          !ignored.has(thread) && !/\bdetached\b|<detached \.\.\.>|resuming|resumed/.test(line)
        );
      });
      resolve({ calls, attached: !refused && lines.length > 0 });
    });
  });
}

const traceable = spawnSync('strace', ['-V']).status === 0;

describe('an idle process with 100 open contexts', () => {
  const title = 'makes no system call in 5 seconds';
  // CI installs it; a machine with only a compiler need not have it.
  if (!traceable) it.skip(`${title} [skipped: strace is not installed]`, () => {});
  else it(title, makesNoSystemCall, 90_000);

  async function makesNoSystemCall() {
    let traced: Awaited<ReturnType<typeof trace>> | undefined;
    const child = await runNode(
      `${prelude}
      const open = [];
      for (let i = 0; i < 100; ++i) open.push(await attached());
      // Half of them wait, so that the event loop has what to wait for.
      for (const { context } of open.slice(50)) context.waitForEvent().catch(() => {});
      const stop = new Promise((resolve) => process.on('SIGUSR2', resolve));
      await sleep(300);
      console.log('idle');
      await stop;
      console.log(open.every(({ context }) => !context.closed));
      process.exit();
      `,
      {
        onFirstLine: async (pid) => {
          // The runtime's own threads may still be busy with what it took to get here.
          for (let look = 0; look < 8; ++look) {
            traced = await trace(pid, 5);
            if (traced.calls.length === new Set(traced.calls.map(threadOf)).size) break;
          }
          process.kill(pid, 'SIGUSR2');
        },
      },
    );
    expect(child).toMatchObject({ code: 0, stdout: 'idle\ntrue\n', stderr: '' });
    expect(traced?.attached).toBe(true);
    const made = traced?.calls.filter((line) => !/epoll_(p)?wait\(|futex\(.*WAIT/.test(line));
    expect(made).toEqual([]);
    // Of each thread the one call it sleeps in, and no second.
    const threads = traced?.calls.map(threadOf);
    expect(new Set(threads).size, traced?.calls.join('\n')).toBe(threads?.length);
  }
});
