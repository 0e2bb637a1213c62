// The emulated machine: memory devices behind a Compute Express Link bridge, a root port each.
import { spawn } from 'node:child_process';
import fs from 'node:fs';

// What a kernel prints when something is wrong with it. A boot that prints one has failed.
const alarm =
  /\b(WARNING: |BUG: |kernel BUG at|Oops: |Call Trace:|Kernel panic|general protection fault|unable to handle|watchdog: |rcu: INFO: |blocked for more than|Unexpected write to kernel-exclusive)/;
const silenceSeconds = 120;

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

function device({ file }, index) {
  const table = file === undefined ? '' : `,cdat=${file}`;
  return [
    '-object', `memory-backend-ram,id=m${index},size=256M`,
    '-object', `memory-backend-ram,id=l${index},size=1M`,
    '-device', `cxl-rp,port=${index},bus=cxl.1,id=rp${index},chassis=0,slot=${index + 2}`,
    '-device', `cxl-type3,bus=rp${index},memdev=m${index},lsa=l${index},id=t${index},sn=${0x1234 + index}${table}`,
  ]; // biome-ignore format: an option and its value a line
}

function argumentsFor({ kernel, initrd, devices }) {
  return [
    '-M', 'q35,cxl=on,cxl-fmw.0.targets.0=cxl.1,cxl-fmw.0.size=4G',
    '-accel', 'tcg,thread=multi', '-cpu', 'max', '-smp', '1', '-m', '2G,maxmem=8G,slots=4',
    '-nodefaults', '-nographic', '-no-reboot', '-serial', 'stdio', '-monitor', 'none',
    '-kernel', kernel, '-initrd', initrd,
    '-append', 'console=ttyS0 panic=-1 oops=panic quiet pcie_ports=compat',
    '-device', 'pxb-cxl,bus_nr=12,bus=pcie.0,id=cxl.1',
    ...devices.flatMap(device),
  ]; // biome-ignore format: an option and its value a line
}

/**
 * Runs the machine until it turns itself off. `onLine` sees each line of the console. The
 * outcome names everything that went wrong; it is empty when nothing did.
 */
export function boot(options, { logFile, timeoutSeconds, onLine }) {
  return new Promise((resolve) => {
    const log = fs.createWriteStream(logFile);
    const child = spawn('qemu-system-x86_64', argumentsFor(options), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    const failures = [];
    const answers = new Map();
    let rest = '';
    const end = (why) => {
      failures.push(why);
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => end(`no end after ${timeoutSeconds} s`), timeoutSeconds * 1000);
    let quiet;
    const heard = () => {
      clearTimeout(quiet);
      quiet = setTimeout(
        () => end(`silent for ${silenceSeconds} s: it hangs`),
        silenceSeconds * 1000,
      );
    };
    heard();

    const take = (line) => {
      const answer = /^RIG-([A-Z-]+) (.*)$/.exec(line);
      if (answer) answers.set(answer[1], answer[2]);
      else if (alarm.test(line)) failures.push(`the kernel says: ${line}`);
      onLine(line);
    };
    child.stdout.setEncoding('utf8').on('data', (text) => {
      heard();
      log.write(text);
      const lines = (rest + text).split(/\r*\n/);
      rest = lines.pop();
      lines.forEach(take);
    });
    let warnings = '';
    child.stderr.setEncoding('utf8').on('data', (text) => {
      log.write(text);
      warnings += text;
    });
    child.on('error', (error) => failures.push(error.message));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      clearTimeout(quiet);
      running.delete(child);
      if (rest) take(rest);
      for (const line of warnings.split('\n').filter((each) => each !== ''))
        onLine(`qemu: ${line}`);
      log.end();
      if (failures.length === 0 && (code !== 0 || signal)) {
        failures.push(`qemu ended with ${signal ?? code}`);
      }
      const exit = answers.get('EXIT');
      if (exit === undefined) failures.push('the guest ended without saying how');
      else if (exit !== '0') failures.push(`the guest ended with ${exit}`);
      const taint = answers.get('TAINT');
      if (taint !== undefined && taint !== '0') failures.push(`the kernel is tainted: ${taint}`);
      resolve(failures);
    });
  });
}
