// An AFU and a daemon, from their start to their end.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** The daemon answers at once, in order, and without errors of its own making. */
const PARAMETERS = {
  TIMEOUT: 10,
  SEED: 1,
  RESPONSE_PERCENT: 100,
  REORDER_PERCENT: 0,
  PAGED_PERCENT: 0,
  BUFFER_PERCENT: 0,
};
const LIMIT_SECONDS = 600;

/** Runs a program, its output by lines, until it is ended. */
function start(program, args, cwd) {
  const child = spawn('timeout', [LIMIT_SECONDS, 'stdbuf', '-oL', program, ...args], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let output = '';
  const watchers = new Set();
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      output += text;
      for (const watcher of watchers) watcher();
    });
  }
  const ended = new Promise((resolve) => child.on('close', resolve));
  return {
    ended,
    get output() {
      return output;
    },
    /** The match of a pattern, once it is printed. */
    printed(pattern, seconds = 60) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => stop(new Error(`${program}: no ${pattern}\n${output}`)),
          seconds * 1000,
        );
        const check = () => {
          const match = pattern.exec(output);
          if (match !== null) stop(undefined, match);
        };
        const stop = (error, match) => {
          clearTimeout(timer);
          watchers.delete(check);
          if (error === undefined) resolve(match);
          else reject(error);
        };
        watchers.add(check);
        check();
      });
    },
    end() {
      try {
        process.kill(-child.pid, 'SIGTERM');
      } catch {
        // It has ended.
      }
      return ended;
    },
  };
}

/** On a busy machine a daemon may stop the clocks of its AFU before it has begun to listen. */
const ATTEMPTS = 3;

/**
 * Starts an AFU, then a daemon for it.
 * @param afu the program of the AFU and its arguments; it says the port that it waits on
 */
export async function startDaemon(pslse, afu) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await tryDaemon(pslse, afu);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      console.log(`started again, as the daemon did not listen: ${error.message.split('\n')[0]}`);
    }
  }
}

async function tryDaemon(pslse, afu) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pslse-'));
  const simulator = start(afu[0], afu.slice(1), folder);
  let daemon;
  try {
    const [, port] = await simulator.printed(/waiting for connection on [^:]*:(\d+)/);
    fs.writeFileSync(path.join(folder, 'shim_host.dat'), `afu0.0,localhost:${port}\n`);
    const lines = Object.entries(PARAMETERS).map(([name, value]) => `${name}:${value}\n`);
    fs.writeFileSync(path.join(folder, 'pslse.parms'), lines.join(''));
    daemon = start(path.join(pslse, 'pslse/pslse'), [], folder);
    const [, listening] = await daemon.printed(/listening on [^:]*:(\d+)/, 15);
    fs.writeFileSync(path.join(folder, 'pslse_server.dat'), `127.0.0.1:${listening}\n`);
    return {
      folder,
      port: Number(listening),
      get output() {
        return `${daemon.output}\n${simulator.output.slice(-2000)}`;
      },
      async stop() {
        await daemon.end();
        await simulator.end();
        fs.rmSync(folder, { recursive: true, force: true });
      },
    };
  } catch (error) {
    await daemon?.end();
    await simulator.end();
    throw error;
  }
}
