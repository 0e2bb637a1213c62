// Runs bundled tests (see bundle-tests.mjs), a process a file, and prints one line a file and
// the sum: `TOTALS {"files":…,"passed":…,"failed":…,"skipped":…,"milliseconds":…}`. With
// CXL_TEST_LINES it prints one line a test as well. It needs Node 18.18 and nothing else: emulated
// machines run it as it is.
//
//   node run-tests.mjs [PART-OF-A-NAME…]
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The output of a file that failed, without the tests that passed. */
function failures(output) {
  return output
    .split('\n')
    .filter((line) => !/^(ok \d+ |TOTALS )/.test(line))
    .filter((line) => line.trim() !== '')
    .join('\n');
}

/**
 * One file, by `command` (a Node and its arguments) in `cwd`, with the environment that
 * `environment(file)` returns. `failed` counts tests; a file that crashed, did not end or has no
 * test counts as one.
 */
export function runFile(file, { command, cwd, environment, timeout }) {
  return new Promise((resolve) => {
    const started = Date.now();
    const child = spawn(command[0], [...command.slice(1), 'vitest-on-node.mjs', file], {
      cwd,
      env: environment(file),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        output += text;
      });
    }
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      child.kill('SIGKILL');
    }, timeout);
    child.on('error', (error) => {
      output += `${error.message}\n`;
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const line = output.match(/^TOTALS (.*)$/m);
      const totals = line ? JSON.parse(line[1]) : { passed: 0, failed: 0, skipped: 0 };
      if (late) output += `${file}: did not end within ${timeout} ms\n`;
      else if (!line) output += `${file}: ended (${signal ?? code}) before its tests did\n`;
      else if (totals.passed + totals.failed + totals.skipped === 0)
        output += `${file}: has no tests\n`;
      const wrong = late || !line || code !== 0 || totals.passed + totals.skipped === 0;
      resolve({
        file,
        passed: totals.passed,
        failed: totals.failed === 0 && wrong ? 1 : totals.failed,
        skipped: totals.skipped,
        milliseconds: Date.now() - started,
        output,
      });
    });
  });
}

/** The files one after another, or `jobs` at a time; prints as it goes, returns the sum. */
export async function runFiles(files, options) {
  const started = Date.now();
  const sum = { files: files.length, passed: 0, failed: 0, skipped: 0 };
  const queue = [...files];
  const work = async () => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const result = await runFile(file, options);
      sum.passed += result.passed;
      sum.failed += result.failed;
      sum.skipped += result.skipped;
      const seconds = (result.milliseconds / 1000).toFixed(1);
      const counts = `${result.passed} passed, ${result.failed} failed, ${result.skipped} skipped`;
      console.log(`${result.failed === 0 ? 'ok  ' : 'FAIL'} ${file}: ${counts} (${seconds} s)`);
      if (process.env.CXL_TEST_LINES) {
        for (const [, line] of result.output.matchAll(/^((?:not )?ok \d+ - .*)$/gm)) {
          console.log(`  ${line}`);
        }
      }
      if (result.failed > 0) console.log(failures(result.output));
    }
  };
  await Promise.all(Array.from({ length: options.jobs ?? 1 }, work));
  sum.milliseconds = Date.now() - started;
  return sum;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const here = path.dirname(fileURLToPath(import.meta.url));
  const parts = process.argv.slice(2);
  const files = JSON.parse(readFileSync(path.join(here, 'tests.json'), 'utf8')).filter(
    (file) => parts.length === 0 || parts.some((part) => file.includes(part)),
  );
  const sum = await runFiles(files, {
    command: [process.execPath],
    cwd: here,
    environment: () => process.env,
    timeout: Number(process.env.CXL_TEST_FILE_TIMEOUT ?? 120_000),
  });
  console.log(`TOTALS ${JSON.stringify(sum)}`);
  process.exitCode = sum.failed === 0 && sum.files > 0 ? 0 : 1;
}
