/** Completion: by bash itself, and by zsh and fish where they are installed. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Folder, program, run, TIMEOUT } from './run';

const folder = new Folder();

beforeAll(() => {
  // The scripts call the program by the name on the command line.
  const lines = ['#!/bin/sh', `exec '${process.execPath}' '${program}' "$@"`];
  writeFileSync(folder.file('node-cxl'), lines.join('\n'));
  chmodSync(folder.file('node-cxl'), 0o755);
});

const INSTALLED = ['bash', 'zsh', 'fish'].filter(
  (shell) => spawnSync(shell, ['-c', 'true']).error === undefined,
);
const installed = (shell: string) => INSTALLED.includes(shell);

/** Runs a script in a shell that finds the program; what it prints, one string a line, sorted. */
function shellOutput(shell: string, script: string, ...options: string[]): string[] {
  const { stdout, stderr, status } = spawnSync(shell, [...options, '-c', script], {
    cwd: folder.path,
    encoding: 'utf8',
    env: {
      ...process.env,
      PATH: `${folder.path}:${process.env['PATH']}`,
      NODE_CXL_BACKEND: 'mock',
    },
  });
  expect([stderr, status]).toEqual(['', 0]);
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .sort();
}

/** The script for a shell, as a file, so that the program is run for it once. */
function scriptFor(shell: string): string {
  const file = folder.file(`script.${shell}`);
  if (!existsSync(file)) {
    const { stdout, status } = spawnSync(process.execPath, [program, 'completion', shell]);
    expect(status).toBe(0);
    writeFileSync(file, stdout);
  }
  return file;
}

type Complete = (line: string) => string[];

const bash: Complete = (line) =>
  shellOutput(
    'bash',
    `source '${scriptFor('bash')}'
     complete -p node-cxl > /dev/null || exit 9
     COMP_LINE=${JSON.stringify(line)} COMP_POINT=${line.length}
     _node_cxl
     printf '%s\\n' "\${COMPREPLY[@]}"`,
    '--norc',
  );

const fish: Complete = (line) =>
  shellOutput(
    'fish',
    `source '${scriptFor('fish')}'; complete -C ${JSON.stringify(line)}`,
    '--no-config',
  ).map((each) => each.split('\t')[0] as string);

/** With the function that zsh shows descriptions by replaced by one that prints the words. */
const zsh: Complete = (line) =>
  shellOutput(
    'zsh',
    `compdef() { [[ $2 == node-cxl ]] || exit 9 }
     _describe() { local each; for each in "\${(@P)2}"; do print -r -- "\${\${each//\\\\:/=colon=}%%:*}"; done }
     _files() { print -l -- *(N) }
     source '${scriptFor('zsh')}'
     words=(${line
       .split(' ')
       .map((word) => JSON.stringify(word))
       .join(' ')})
     CURRENT=\${#words}
     _node_cxl`,
    '-f',
  ).map((each) => each.replaceAll('=colon=', ':'));

const shells: [string, Complete][] = [
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
];

/** In the titles of tests that are skipped for want of a shell. */
function absence(shell: string): string {
  return installed(shell) ? '' : ` [skipped: ${shell} is not installed]`;
}

for (const [shell, complete] of shells) {
  const options = { timeout: TIMEOUT };
  describe.skipIf(!installed(shell))(`completion in ${shell}${absence(shell)}`, options, () => {
    it('gives commands, subcommands and options', () => {
      expect(complete('node-cxl me')).toEqual(['memcpy']);
      const commands = complete('node-cxl ');
      expect(commands).toContain('doctor');
      expect(commands).not.toContain('__complete');
      expect(complete('node-cxl flash ')).toEqual(
        expect.arrayContaining(['bench', 'list', 'read', 'status', 'write']),
      );
      expect(complete('node-cxl flash read --su')).toEqual(['--superpipe']);
      expect(complete('node-cxl memcpy --progress ')).toEqual(['always', 'auto', 'never']);
      expect(complete('node-cxl completion ')).toEqual(['bash', 'fish', 'zsh']);
    });

    it('gives names of devices, also those of mocks', () => {
      expect(complete('node-cxl info afu')).toEqual(['afu0.0', 'afu1.0', 'afu2.0']);
      expect(complete('node-cxl errors ')).toEqual(['afu0.0', 'afu1.0', 'afu2.0']);
      expect(complete('node-cxl image ')).toEqual(['card0', 'card1', 'card2']);
      expect(complete('node-cxl flash bench --depth 4 /dev/s')).toEqual(
        ['db', 'dc', 'g1', 'g2'].map((end) => `/dev/s${end}`),
      );
    });

    it('gives attributes and their values', () => {
      // bash splits words at =, so that it has the first part already.
      const values = ['afu_directed', 'dedicated_process', 'none'];
      const whole = values.map((each) => `mode=${each}`);
      expect(complete('node-cxl set afu0.0 mo')).toEqual(whole);
      expect(complete('node-cxl set afu0.0 mode=n')).toEqual([
        shell === 'bash' ? 'none' : 'mode=none',
      ]);
      expect(complete('node-cxl set card0 load')).toHaveLength(3);
    });

    it('leaves files to the shell', () => {
      const files = complete('node-cxl memcpy --in ');
      const names = shell === 'bash' ? [] : readdirSync(folder.path).sort();
      expect(files.filter((name) => !name.startsWith('-'))).toEqual(names);
    });
  });
}

describe('node-cxl completion', { timeout: TIMEOUT }, () => {
  it('of trace has its subcommands, and the options and files of trace FILE', async () => {
    const words = async (...typed: string[]) => {
      const { stdout } = await run(['__complete', '--', 'trace', ...typed]);
      return stdout
        .trim()
        .split('\n')
        .map((line) => line.split('\t')[0]);
    };
    expect(await words('d')).toEqual(['diff']);
    expect(await words('./')).toEqual([':files']);
    expect(await words('run.cxlrec', '--st')).toEqual(['--stats']);
    expect(await words('diff', '')).toEqual([':files']);
  });

  for (const [shell] of shells) {
    it(`has a script for ${shell}`, () => {
      expect(readFileSync(scriptFor(shell), 'utf8')).toContain('__complete');
    });

    it.skipIf(!installed(shell))(`${shell} can parse its script${absence(shell)}`, () => {
      const { status, stderr } = spawnSync(shell, ['-n', scriptFor(shell)], { encoding: 'utf8' });
      expect([status, stderr]).toEqual([0, '']);
    });
  }

  it('refuses another shell', async () => {
    const { code, stderr } = await run(['completion', 'tcsh']);
    expect([code, stderr.includes('bash, zsh or fish')]).toEqual([2, true]);
  });
});
