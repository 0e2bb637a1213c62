// @ts-check
// The program: `node main.mjs`, as root. Sets the AFU up, and answers slaves on a Unix socket.
//
// A slave sends its process element on a line. The answer is a line of JSON: how the AFU is set, and
// what it is doing for that process. { "restart": N } restarts process N.
import { once } from 'node:events';
import { unlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { AfuManager } from './manager.mjs';

const { AFU = 'afu0.0', SOCKET = '/run/afu-manager.sock' } = process.env;

const manager = await AfuManager.open({ afu: AFU });
manager.stopWhenIdle = true;

/** @param {string} line */
function answer(line) {
  try {
    const asked = JSON.parse(line);
    const processElement = Number(asked.restart ?? asked);
    if (manager.inspect(processElement) === undefined) return { error: 'no such process' };
    if (asked.restart !== undefined) manager.restart(processElement);
    return {
      stopWhenIdle: manager.stopWhenIdle,
      stopped: manager.inspect(processElement)?.stopped,
    };
  } catch (error) {
    return { error: /** @type {Error} */ (error).message };
  }
}

const server = createServer((socket) => {
  socket.on('error', () => {}); // a slave that has gone
  createInterface({ input: socket }).on('line', (line) => {
    socket.write(`${JSON.stringify(answer(line))}\n`);
  });
});
await unlink(SOCKET).catch(() => {}); // of a process that was killed
server.listen(SOCKET);
await once(server, 'listening');
console.log(`master of ${AFU}: process element ${manager.processElement}`);

for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT'])) {
  process.once(signal, async () => {
    server.close();
    await manager.close();
    process.exit();
  });
}
