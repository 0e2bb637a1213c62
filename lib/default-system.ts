import type { Binding } from './binding';
import { Cxl } from './device/cxl';
import { debug } from './shared/debug';
import { valueError } from './shared/errors';

/**
 * The real system, unless NODE_CXL_BACKEND says otherwise: `mock`, or `mock:FILE.json` for one
 * described in a file. Decided outside the program, so that any program can be run either way.
 */
export const cxl = new Cxl(() => chooseBinding(process.env['NODE_CXL_BACKEND'] ?? ''));

function chooseBinding(choice: string): Binding {
  debug('backend: %s', choice || 'native');
  // Loaded when chosen: a program on a mock needs no compiled code, one on a card no mock.
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
