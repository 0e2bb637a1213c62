/** A process beside the test's own: a child over the addon, another view of the mock. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Cxl } from 'node-cxl';
import type { MockCxl } from 'node-cxl/mock';
import { FlashUser } from './flash-process.mjs';

type Method = {
  [Name in keyof FlashUser]: FlashUser[Name] extends (...values: never[]) => unknown ? Name : never;
}[keyof FlashUser];

type Asked = {
  [Name in Method]: (
    ...values: Parameters<FlashUser[Name]>
  ) => Promise<Awaited<ReturnType<FlashUser[Name]>>>;
};

export interface FlashChild extends Asked {
  /** Detaches, and ends the process. */
  end(): Promise<void>;
}

export interface KillableChild extends FlashChild {
  readonly process: ChildProcess;
  /** SIGKILL; resolves when the process has gone. */
  kill(): Promise<void>;
}

type Ask = (name: string, values: unknown[]) => Promise<unknown>;

function asked<Child>(ask: Ask, rest: object): Child {
  return new Proxy(rest, {
    get(target, name) {
      // A promise resolves with what has no then().
      if (typeof name !== 'string' || name === 'then') return undefined;
      if (name in target) return target[name as keyof typeof target];
      return (...values: unknown[]) => ask(name, values);
    },
  }) as Child;
}

export function mockChild(system: MockCxl): FlashChild {
  const user = new FlashUser(system.flash.process() as Cxl);
  const ask: Ask = async (name, values) => {
    const method = user[name as Method] as (...values: unknown[]) => unknown;
    return method.apply(user, values);
  };
  return asked(ask, { end: () => user.close() });
}

const program = path.resolve('test/conformance/support/flash-process.mjs');

/** `commandMode` is that of the contexts it attaches. */
export async function forkedChild(commandMode = 'ioarrin'): Promise<KillableChild> {
  const child = fork(program, {
    env: { ...process.env, CXLSIM_FLASH_MODE: commandMode },
    serialization: 'advanced',
    execPath: process.env['CXL_TEST_NODE'] ?? process.execPath,
    execArgv: [],
  });
  const waiting = new Map<number, (message: Reply) => void>();
  let asks = 0;
  const gone = once(child, 'exit');
  await once(child, 'message');
  child.on('message', (message: Reply) => waiting.get(message.number)?.(message));
  child.on('exit', () => {
    for (const settle of waiting.values())
      settle({ number: 0, error: { message: 'it has ended' } });
  });
  const ask: Ask = async (name, values) => {
    asks += 1;
    const number = asks;
    const reply = await new Promise<Reply>((settle) => {
      waiting.set(number, settle);
      child.send({ number, name, values });
    });
    waiting.delete(number);
    if (reply.error === undefined) return reply.answer;
    const { message, code } = reply.error;
    throw Object.assign(new Error(message), { code });
  };
  const kill = async () => {
    child.kill('SIGKILL');
    await gone;
  };
  const end = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    await ask('close', []);
    child.disconnect();
    await gone;
  };
  return asked(ask, { process: child, kill, end });
}

interface Reply {
  number: number;
  answer?: unknown;
  error?: { message: string; code?: string };
}
