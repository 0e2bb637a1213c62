/** A master and its slaves: on the mock (project `unit`) and on the simulated device (`simulated`). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Cxl, cxl } from 'node-cxl';
import { createMockCxl, memcpyAfu } from 'node-cxl/mock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { until } from '../../conformance/support/work-queue';
import { AfuManager } from './manager.mjs';
import { Slave } from './slave.mjs';

const folder = path.dirname(fileURLToPath(import.meta.url));
const simulated = process.env['CXL_TARGET'] === 'simulated';

let system: Cxl;
let manager: AfuManager;
const slaves: Slave[] = [];

async function slave(): Promise<Slave> {
  const opened = await Slave.open({ system });
  slaves.push(opened);
  return opened;
}

describe('a master of the memcpy AFU', () => {
  beforeEach(async () => {
    system = simulated ? cxl : createMockCxl({ cards: [{ afus: [{ model: memcpyAfu() }] }] });
    manager = await AfuManager.open({ system });
  });
  afterEach(async () => {
    for (const one of slaves.splice(0)) await one.close();
    manager.stopWhenIdle = false;
    await manager.close();
  });

  it('sets what a slave cannot: the AFU stops when it is idle, for each slave', async () => {
    const [first, second] = [await slave(), await slave()];
    expect([first.stopped, second.stopped, manager.stopWhenIdle]).toEqual([false, false, false]);
    manager.stopWhenIdle = true;
    expect(manager.stopWhenIdle).toBe(true);
    for (const one of [first, second]) await until(() => one.stopped, 'the AFU stops');
    const numbers = first.context.allocate(8, { endian: 'big' });
    numbers.store32(0, 41);
    expect(await first.finish(first.add(numbers))).toBe(0x80);
    expect(numbers.load32(4)).toBe(42);
    await until(() => first.stopped, 'the AFU stops');
    // A slave's own registers begin at its area: there is no configuration at offset 0.
    expect(first.registers.read64(0)).toBe(first.queue.address | 32n);
    numbers.free({ force: true });
  });

  it('sees what each process does, and which there are', async () => {
    const one = await slave();
    const element = one.context.processElement as number;
    expect(manager.inspect(element)).toEqual({ wed: one.queue.address | 32n, stopped: false });
    manager.stopWhenIdle = true;
    await until(() => manager.inspect(element)?.stopped === true, 'the AFU stops');
    expect(manager.inspect(element + 7)).toBe(undefined);
  });

  it('restarts a slave that has not noticed that the AFU has stopped', async () => {
    manager.stopWhenIdle = true;
    const one = await slave();
    await until(() => one.stopped, 'the AFU stops');
    const numbers = one.context.allocate(8, { endian: 'big' });
    numbers.store32(0, 1);
    const at = one.add(numbers);
    await sleep(20);
    expect(one.queue.load8(at + 1)).toBe(0);
    manager.restart(one.context.processElement as number);
    await until(() => one.queue.load8(at + 1) === 0x80, 'the element is executed');
    expect(numbers.load32(4)).toBe(2);
    numbers.free({ force: true });
  });
});

describe('the manager program', () => {
  it('sets the AFU up, answers on its socket, and ends by SIGTERM', async () => {
    const scratch = mkdtempSync(path.join(tmpdir(), 'afu-manager-'));
    const file = path.join(scratch, 'manager.sock');
    const env = simulated ? {} : { NODE_CXL_BACKEND: 'mock' };
    const child = spawn(process.execPath, [path.join(folder, 'main.mjs')], {
      env: { ...process.env, ...env, SOCKET: file },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      const said = String((await once(child.stdout, 'data'))[0]);
      const element = Number(/^master of afu0\.0: process element (\d+)$/m.exec(said)?.[1]);
      const socket = connect(file);
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]();
      const ask = async (line: string) => {
        socket.write(`${line}\n`);
        return JSON.parse((await lines.next()).value as string);
      };
      // The devices belong to that process, so that its own process element is the only one.
      expect(await ask(String(element))).toMatchObject({ stopWhenIdle: true });
      expect(await ask(`{ "restart": ${element} }`)).toMatchObject({ stopWhenIdle: true });
      expect(await ask(String(element + 5))).toEqual({ error: 'no such process' });
      expect((await ask('what')).error).toMatch(/JSON/);
      socket.end();
      child.kill('SIGTERM');
      expect(await once(child, 'exit')).toEqual([0, null]);
    } finally {
      child.kill('SIGKILL');
      rmSync(scratch, { recursive: true });
    }
  });
});
