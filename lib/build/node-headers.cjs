// The headers of the Node that runs this, for node-gyp: used where they were installed with it,
// so that a build of the addon needs no network.
const { existsSync } = require('node:fs');
const path = require('node:path');

/** The environment for node-gyp: this one, and the folder of the headers as `nodedir`. */
exports.withNodeHeaders = (environment) => {
  const prefix = path.resolve(path.dirname(process.execPath), '..');
  const present = existsSync(path.join(prefix, 'include/node/node_api.h'));
  // Only a default: what the user has set comes later.
  return { ...(present ? { npm_config_nodedir: prefix } : {}), ...environment };
};
