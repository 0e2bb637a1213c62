// The emulated machine: starts QEMU, watches its console, and never leaves it running.
import { spawn } from 'node:child_process';
import fs from 'node:fs';

// What a kernel prints when something is wrong with it. A boot that prints one has failed.
const alarm =
  /(\bcut here\b|WARNING: CPU: |BUG: |kernel BUG at|Oops: |Call Trace:|Kernel panic|Unable to handle kernel|watchdog: |rcu: INFO: |blocked for more than)/;

// x-vof skips the slow firmware; the caps are what TCG cannot do and would warn about.
const machine =
  'pseries,ic-mode=xics,x-vof=on,cap-cfpc=broken,cap-sbbc=broken,cap-ibs=broken,cap-ccf-assist=off';

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

function nextPowerOfTwo(value) {
  return 2 ** Math.ceil(Math.log2(value));
}

function argumentsFor({ cpu, processors, memory, kernel, initrd, node, share, areaBytes }) {
  const shared = (tag, folder, readonly) => [
    '-fsdev',
    `local,id=${tag},path=${folder},security_model=none${readonly ? ',readonly=on' : ''}`,
    '-device',
    `virtio-9p-pci,fsdev=${tag},mount_tag=${tag}`,
  ]; // prettier-ignore
  return [
    '-M',
    machine,
    '-cpu',
    cpu,
    '-accel',
    'tcg',
    '-m',
    memory,
    '-smp',
    String(processors),
    '-display',
    'none',
    '-vga',
    'none',
    '-nodefaults',
    '-no-reboot',
    '-serial',
    'stdio',
    '-monitor',
    'none',
    '-object',
    `memory-backend-ram,id=afumem,size=${nextPowerOfTwo(areaBytes)}`,
    '-device',
    'ivshmem-plain,memdev=afumem',
    ...shared('node', node, true),
    ...shared('share', share, false),
    '-kernel',
    kernel,
    '-initrd',
    initrd,
    '-append',
    'console=hvc0 loglevel=5 oops=panic panic=-1 hung_task_panic=0',
  ]; // prettier-ignore
}

/**
 * Runs the machine until it turns itself off. `onLine` sees each line of the console. `failures`
 * names what went wrong with the machine, `testsFailed` is what the guest says of its tests.
 */
export function boot(options, { logFile, timeoutSeconds, onLine }) {
  return new Promise((resolve) => {
    const log = fs.createWriteStream(logFile);
    const child = spawn('qemu-system-ppc64', argumentsFor(options), {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    running.add(child);
    const failures = [];
    let exit;
    let rest = '';
    const timer = setTimeout(() => {
      failures.push(`no end after ${timeoutSeconds} s: the guest hangs or is too slow`);
      child.kill('SIGKILL');
    }, timeoutSeconds * 1000);

    const take = (line) => {
      const exitLine = /^RIG-EXIT (.*)$/.exec(line);
      if (exitLine) exit = exitLine[1];
      else if (alarm.test(line)) failures.push(`the kernel says: ${line}`);
      onLine(line);
    };
    child.stdout.setEncoding('utf8').on('data', (data) => {
      log.write(data);
      const lines = (rest + data).split(/\r*\n/);
      rest = lines.pop();
      lines.forEach(take);
    });
    child.stderr.on('data', (data) => {
      log.write(data);
      onLine(`qemu: ${data.toString().trimEnd()}`);
    });
    child.on('error', (error) => failures.push(error.message));
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      if (rest) take(rest);
      log.end();
      if (failures.length === 0 && (code !== 0 || signal))
        failures.push(`qemu ended with ${signal ?? code}`);
      if (exit === undefined) failures.push('the guest ended without saying how');
      else if (!/^[01]$/.test(exit)) failures.push(`the guest ended with ${exit}`);
      resolve({ failures, testsFailed: exit === '1' });
    });
  });
}
