import type { Binding } from './binding';
import { Cxl } from './device/cxl';
import { debug } from './shared/debug';
import { valueError } from './shared/errors';

/**
 * The system that programs normally use: this machine's, or by NODE_CXL_BACKEND a mock. `mock` is
 * the default configuration of the mock, `mock:FILE.json` the one in a file. An environment
 * variable decides, so that a program needs no change to run on a mock.
 */
export const cxl = new Cxl(() => chooseBinding(process.env['NODE_CXL_BACKEND'] ?? ''));

function chooseBinding(choice: string): Binding {
  debug('backend: %s', choice || 'native');
  // Loaded only when chosen: a program on a mock needs no addon, and one on a card no mock.
  if (choice === '' || choice === 'native') {
    return (require('./native') as typeof import('./native')).nativeBinding();
  }
  if (choice === 'mock' || /^mock:./.test(choice)) {
    const { mockFromConfig } = require('./mock/config/config') as {
      mockFromConfig(file: string | undefined): { binding: Binding };
    };
    return mockFromConfig(choice === 'mock' ? undefined : choice.slice('mock:'.length)).binding;
  }
  throw valueError('NODE_CXL_BACKEND', "'native', 'mock' or 'mock:FILE.json'", choice);
}
