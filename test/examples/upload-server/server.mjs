// @ts-check
// HTTP: POST /uploads copies the body by the AFU, and answers the SHA-256 of the copy.
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { passes } from './pool.mjs';

/** Bytes of a job: what an upload keeps in memory, and how long others wait for their turn. */
const PIECE = 1 << 20;

/** @typedef {import('./pool.mjs').Pool} Pool */

/**
 * The bytes of a stream in pieces of one size, but for the last.
 *
 * @param {AsyncIterable<Buffer>} stream
 */
async function* pieces(stream) {
  /** @type {Buffer[]} */
  let parts = [];
  let length = 0;
  for await (let part of stream) {
    while (length + part.length >= PIECE) {
      yield Buffer.concat([...parts, part.subarray(0, PIECE - length)]);
      part = part.subarray(PIECE - length);
      parts = [];
      length = 0;
    }
    parts.push(part);
    length += part.length;
  }
  if (length > 0) yield Buffer.concat(parts);
}

/** @param {import('node:http').IncomingMessage} request @param {Pool} pool */
async function upload(request, pool) {
  const hash = createHash('sha256');
  let bytes = 0;
  // The next piece is read when the pool has taken this one: a client that is too fast waits.
  for await (const piece of pieces(request)) {
    hash.update(await pool.copy(piece));
    bytes += piece.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

/** In the text format of Prometheus. @param {Pool} pool */
function metricsOf({ metrics }) {
  const now = ['waiting', 'busy', 'contexts'];
  return Object.entries(metrics)
    .map(([name, value]) => {
      const [full, type] = now.includes(name)
        ? [`uploads_${name}`, 'gauge']
        : [`uploads_${name}_total`, 'counter'];
      return `# TYPE ${full} ${type}\n${full} ${value}\n`;
    })
    .join('');
}

/**
 * @param {Pool} pool
 * @param {object} [options]
 * @param {number} [options.grace] milliseconds that requests have to end in close()
 */
export function createUploadServer(pool, { grace = 20_000 } = {}) {
  let closing = false;
  const server = createServer(async (request, response) => {
    /** @param {number} status @param {string | object} body */
    const answer = (status, body, headers = {}) => {
      const text = typeof body === 'string' ? body : `${JSON.stringify(body)}\n`;
      // The connection ends with what it is in the middle of.
      if (closing || !request.complete) response.setHeader('connection', 'close');
      response.writeHead(status, headers).end(text);
    };
    try {
      const route = `${request.method} ${request.url}`;
      if (route === 'POST /uploads') answer(200, await upload(request, pool));
      else if (route === 'GET /metrics') answer(200, metricsOf(pool));
      else if (route === 'GET /health') {
        const { contexts } = pool.metrics;
        answer(contexts > 0 && !closing ? 200 : 503, { contexts });
      } else answer(404, { error: 'no such resource' });
    } catch (error) {
      // The client has gone: there is nobody to answer.
      if (response.destroyed) return;
      const { code, message } = /** @type {NodeJS.ErrnoException} */ (error);
      const body = { error: message, code };
      if (passes(error)) answer(503, body, { 'retry-after': '1' });
      else answer(500, body);
    }
  });

  /** Ends the server: new connections are refused, requests are served, the contexts closed. */
  async function close() {
    closing = true;
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeIdleConnections();
    const timer = setTimeout(() => server.closeAllConnections(), grace);
    await closed;
    clearTimeout(timer);
    await pool.close();
  }

  return { server, close };
}
