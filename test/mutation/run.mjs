// Changes the code of lib/ in one place at a time, and runs the tests that reach the place:
// `npm run mutation [GROUP…] -- --files lib/doe/cdat.ts,… --minutes N`. See README.md.
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';
import { root } from '../../lib/build/files.mjs';
import { GROUPS } from './groups.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { files: { type: 'string' }, minutes: { type: 'string', default: '120' } },
});
const names = positionals.length === 0 ? Object.keys(GROUPS) : positionals;
const minutes = Number(values.minutes);
if (!names.every((name) => Object.hasOwn(GROUPS, name)) || !(minutes > 0)) {
  console.error(`usage: run.mjs [${Object.keys(GROUPS).join('|')}]… --files F,… --minutes N`);
  process.exit(2);
}

for (const name of names) {
  const { mutate, tests } = GROUPS[name];
  const { status, error } = spawnSync(
    'npx',
    ['stryker', 'run', 'test/mutation/stryker.config.mjs'],
    {
      cwd: root,
      stdio: 'inherit',
      timeout: minutes * 60_000,
      env: {
        ...process.env,
        MUTATION_GROUP: name,
        MUTATION_FILES: values.files ?? mutate.join(','),
        MUTATION_TESTS: tests.join(','),
        // Where node-gyp-build looks for the addon: the copy that Stryker makes has none.
        NODE_CXL_PREBUILD: root,
      },
    },
  );
  if (status !== 0) {
    console.error(`${name}: ended by ${error?.code ?? status}`);
    process.exitCode = 1;
  }
}
