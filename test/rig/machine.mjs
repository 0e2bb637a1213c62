// Runs an emulated machine: keeps and prints its console, ends it when it hangs or when the runner
// ends, and decides by the console whether it failed.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { judgeConsole, testsOf } from './console.mjs';

// QEMU ends with this process, also when a signal ends it.
const running = new Set();
function killAll() {
  for (const child of running) child.kill('SIGKILL');
}
process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    killAll();
    process.exit(1);
  });
}

/** Splits text that comes in pieces into whole lines. */
class Lines {
  #rest = '';
  #take;

  constructor(take) {
    this.#take = take;
  }

  add(text) {
    const lines = (this.#rest + text).split(/\r*\n/);
    this.#rest = lines.pop();
    lines.forEach(this.#take);
  }

  end() {
    if (this.#rest !== '') this.#take(this.#rest);
    this.#rest = '';
  }
}

/** Runs QEMU to its end. `stopped` says why, when it was ended by us or did not end well. */
function runQemu(program, args, { logFile, seconds, silentSeconds, onLine }) {
  return new Promise((resolve) => {
    const log = fs.createWriteStream(logFile);
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    running.add(child);
    let output = '';
    let stopped;
    const stop = (why) => {
      stopped ??= why;
      child.kill('SIGKILL');
    };
    const end = setTimeout(
      () => stop(`no end after ${seconds} s: it hangs or is too slow`),
      seconds * 1000,
    );
    let silence;
    const restartSilence = () => {
      clearTimeout(silence);
      silence = setTimeout(
        () => stop(`silent for ${silentSeconds} s: it hangs`),
        silentSeconds * 1000,
      );
    };
    restartSilence();
    const lines = new Lines(onLine);
    const errors = new Lines((line) => onLine(`qemu: ${line}`));
    child.stdout.setEncoding('utf8').on('data', (text) => {
      restartSilence();
      output += text;
      log.write(text);
      lines.add(text);
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log.write(text);
      errors.add(text);
    });
    child.on('error', (error) => {
      stopped ??= error.message;
    });
    child.on('close', (code, signal) => {
      clearTimeout(end);
      clearTimeout(silence);
      running.delete(child);
      lines.end();
      errors.end();
      log.end();
      if (code !== 0) stopped ??= `qemu ended with ${signal ?? code}`;
      resolve({ output, stopped });
    });
  });
}

/**
 * Runs the machine until it turns itself off, then prints its console, and a line for each thing
 * that went wrong with it. The tests it ran and those failures are counted.
 *
 * `logFile` has the console while the machine runs, `seconds` is the longest that it may take,
 * `silentSeconds` the longest that it may print nothing.
 */
export async function runMachine(name, { program, args, allowedTaint, ...limits }) {
  const started = Date.now();
  const totals = { passed: 0, failed: 0 };
  const lines = [];
  console.log(`== ${name}: console in ${limits.logFile}`);
  const { output, stopped } = await runQemu(program, args, {
    ...limits,
    onLine(line) {
      const { passed, failed } = testsOf(line);
      totals.passed += passed;
      totals.failed += failed;
      lines.push(`  ${line}`);
    },
  });
  console.log(`${lines.join('\n')}\n== ${name}: ${((Date.now() - started) / 1000).toFixed(1)} s`);
  const { failures, exit } = judgeConsole(output, { allowedTaint });
  if (stopped !== undefined) failures.unshift(stopped);
  if (exit === '1' && totals.failed === 0)
    failures.push('the guest ended with 1, but no test is known to have failed');
  for (const failure of failures) console.log(`not ok - ${name}: ${failure}`);
  totals.failed += failures.length;
  return totals;
}

/** Runs `main`, which gives each machine's totals; prints their sum, and sets the exit code. */
export async function runRig(main) {
  const totals = { passed: 0, failed: 0 };
  try {
    for (const { passed, failed } of await main()) {
      totals.passed += passed;
      totals.failed += failed;
    }
  } catch (error) {
    totals.failed += 1;
    console.log(`not ok - ${error.stack}`);
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  process.exitCode = totals.failed === 0 && totals.passed > 0 ? 0 : 1;
}
