// @ts-check
// The program: `node main.mjs`. Its settings are environment variables.
import { Copier } from './copier.mjs';
import { Pool } from './pool.mjs';
import { createUploadServer } from './server.mjs';
import { WorkerCopier } from './worker-copier.mjs';

const {
  PORT = '8080',
  HOST = '127.0.0.1',
  AFU = 'afu0.0',
  CONTEXTS = '4',
  THREADS = '0',
} = process.env;

const options = { afu: AFU };
const open = THREADS === '1' ? () => WorkerCopier.open(options) : () => Copier.open(options);
const pool = new Pool(open, { size: Number(CONTEXTS) });
try {
  await pool.open();
} catch (error) {
  await pool.close();
  throw error;
}
const { server, close } = createUploadServer(pool);

// systemd stops a service by SIGTERM. A second signal ends the process at once.
for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT'])) {
  process.once(signal, async () => {
    await close();
    console.log('closed');
  });
}

server.listen(Number(PORT), HOST, () => {
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  console.log(`listening on http://${address.address}:${address.port}, with ${CONTEXTS} contexts`);
});
