/** `node-cxl build`: builds the addon of an installed package, where no compiled one fits. */
import path from 'node:path';
import { type Format, show } from './output';

/** lib/build/from-source.cjs, which the developer's build uses too. */
interface FromSource {
  buildInstalled(root: string): string;
}

/** The folder of the package, which is two above this program. */
const ROOT = path.resolve(__dirname, '../..');

export function build(options: Format): void {
  if (process.platform !== 'linux') {
    throw new Error(
      `the addon is for Linux, and this is ${process.platform}; the mock needs none (NODE_CXL_BACKEND=mock)`,
    );
  }
  const { buildInstalled } = require(path.join(ROOT, 'lib/build/from-source.cjs')) as FromSource;
  let file: string;
  try {
    file = buildInstalled(ROOT);
  } catch (error) {
    process.stderr.write((error as { output?: string }).output ?? '');
    throw error;
  }
  show(options, { file }, { text: () => `built ${file}` });
}
