import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const build = path.resolve('test/simulated-device/build');
const preloaded = { ...process.env, LD_PRELOAD: path.join(build, 'libcxlsim.so') };

// The self-test uses the device from C, without Node and the addon. Each line of its output is a
// rule.
const selfTest = spawnSync(path.join(build, 'selftest'), {
  env: preloaded,
  encoding: 'utf8',
  timeout: 300_000,
});

function inNode(program: string, env: NodeJS.ProcessEnv = {}): string {
  const arguments_ = ['-e', program];
  return execFileSync(process.execPath, arguments_, {
    env: { ...preloaded, ...env },
    encoding: 'utf8',
  });
}

/** The host's programs cannot load the library of another processor. */
const emulated = process.env['CXL_EMULATED'] !== undefined;
const reason = emulated ? ' [skipped: the device is of another processor than ls]' : '';

describe('the simulated device, from C', () => {
  for (const line of selfTest.stdout.trim().split('\n')) {
    it(line.replace(/^(not )?ok /, ''), () => {
      expect(line).toMatch(/^ok /);
    });
  }

  it('runs to its end', () => {
    // An emulator reports the children that a signal kills, as the self-test expects.
    const stderr = selfTest.stderr.replace(/^qemu: uncaught target signal .*\n/gm, '');
    expect({ status: selfTest.status, signal: selfTest.signal, stderr }).toEqual({
      status: 0,
      signal: null,
      stderr: '',
    });
  });
});

describe('the simulated device, from Node', () => {
  it('lists its nodes and classes', () => {
    const out = inNode(`
      const fs = require('fs');
      console.log(fs.readdirSync('/dev/cxl').join(' '));
      console.log(fs.readdirSync('/sys/class/cxl').join(' '));
      console.log(fs.realpathSync('/sys/class/cxl/afu0.0s/device/device/device'));
      console.log(fs.statSync('/dev/cxl/afu0.0').isCharacterDevice());`);
    expect(out.split('\n')).toEqual([
      'afu0.0 afu0.0m afu0.0s afu1.0 afu1.0d',
      'afu0.0 afu0.0m afu0.0s afu1.0 afu1.0d card0 card1',
      '/sys/devices/pci0006:00/0006:00:00.0',
      'true',
      '',
    ]);
  });

  it.skipIf(emulated)(`is listed by ls without an error${reason}`, () => {
    for (const place of ['/dev/cxl', '/sys/class/cxl', '/sys/class/cxl/afu0.0/']) {
      const listed = spawnSync('ls', ['-laL', place], { env: preloaded, encoding: 'utf8' });
      expect(`${place}: ${listed.status} ${listed.stderr}`).toBe(`${place}: 0 `);
    }
    const { stdout } = spawnSync('ls', ['-l', '/dev/cxl'], { env: preloaded, encoding: 'utf8' });
    expect(stdout).toMatch(/^crw------- .* 245, +3 .* afu0\.0s$/m);
    expect(stdout).toMatch(/^lrwxrwxrwx .* afu0\.0 -> afu0\.0s$/m);
  });

  it('is found through symbolic links from elsewhere', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'cxl-links-'));
    const links: Record<string, string> = {
      node: '/dev/cxl/afu0.0s',
      folder: '/dev/cxl',
      'through a folder': 'folder/afu0.0s',
      chain: 'through a folder',
      up: `../${path.basename(folder)}/./chain`,
      attribute: '/sys/class/cxl/afu0.0/irqs_min',
      dangling: '/nowhere/afu0.0s',
      circle: 'circle',
    };
    try {
      for (const [name, target] of Object.entries(links)) {
        symlinkSync(target, path.join(folder, name));
      }
      const out = inNode(
        `const fs = require('fs');
        const { cxl } = require('node-cxl');
        const failure = (call) => { try { call(); } catch (error) { return error.code; } };
        process.chdir(${JSON.stringify(folder)});
        (async () => {
          for (const name of ['node', 'folder/afu0.0s', 'chain', 'up', process.cwd() + '/up']) {
            const open = await cxl.open(require('path').resolve(name));
            const element = open.processElement;
            await open.close();
            fs.accessSync(name, fs.constants.R_OK);
            const { rdev } = fs.statSync(name);
            const real = [fs.realpathSync(name), fs.realpathSync.native(name)];
            console.log(element, rdev === fs.statSync('/dev/cxl/afu0.0s').rdev, ...new Set(real));
          }
          console.log(fs.lstatSync('node').isSymbolicLink(), fs.readlinkSync('node'));
          console.log(fs.lstatSync('folder/afu0.0').isSymbolicLink(), fs.readlinkSync('folder/afu0.0'));
          console.log(fs.readFileSync('attribute', 'utf8').trim());
          console.log(fs.readdirSync('folder').length, fs.existsSync('folder/afu9.0s'));
          for (const name of ['dangling', 'circle']) {
            console.log(failure(() => fs.statSync(name)), failure(() => fs.openSync(name)));
          }
        })();`,
      );
      const found = '0 true /dev/cxl/afu0.0s';
      expect(out.trim().split('\n')).toEqual([
        ...Array.from({ length: 5 }, () => found),
        'true /dev/cxl/afu0.0s',
        'true afu0.0s',
        '4',
        '5 false',
        'ENOENT ENOENT',
        'ELOOP ELOOP',
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('has fewer attributes and a card node in a guest', () => {
    const out = inNode(
      `const fs = require('fs');
      console.log(fs.readdirSync('/dev/cxl').join(' '));
      console.log(fs.existsSync('/sys/class/cxl/card0/base_image'));`,
      { CXLSIM_FLAVOR: 'guest' },
    );
    expect(out.split('\n')[0]).toBe('afu0.0 afu0.0m afu0.0s afu1.0 afu1.0m afu1.0s card0 card1');
    expect(out.split('\n')[1]).toBe('false');
  });

  it('changes and hides attributes on command, and unplugs a card', () => {
    const out = inNode(`
      const fs = require('fs');
      const irqs = '/sys/class/cxl/afu0.0/irqs_max';
      const device = (line) => fs.writeFileSync('/dev/cxl-sim', line);
      fs.writeFileSync(irqs, '100');
      console.log(fs.readFileSync(irqs, 'utf8').trim());
      device('set-attr ' + irqs + ' nonsense'); console.log(fs.readFileSync(irqs)[0]);
      device('set-attr ' + irqs + ' absent'); console.log(fs.existsSync(irqs));
      device('set-attr ' + irqs + ' normal'); console.log(fs.readFileSync(irqs, 'utf8').trim());
      device('unplug card1'); console.log(fs.existsSync('/dev/cxl/afu1.0d'));
      device('plug card1'); console.log(fs.existsSync('/dev/cxl/afu1.0d'));
      try { device('no-such-command'); } catch (error) { console.log(error.code); }`);
    expect(out.trim().split('\n')).toEqual(['100', '1', 'false', '100', 'false', 'true', 'EINVAL']);
  });

  it('brings a foreign SIGBUS to the handler that was there first', () => {
    const out = inNode(`
      const fs = require('fs');
      fs.writeFileSync('/dev/cxl-sim', 'foreign-sigbus\\nforeign-sigbus thread\\n');
      console.log(JSON.parse(fs.readFileSync('/dev/cxl-sim', 'utf8')).foreignSigbus);`);
    expect(out.trim()).toBe('2');
  });

  it('leaves nothing behind', () => {
    const left = () =>
      ['/dev/shm', '/tmp'].flatMap((folder) => {
        try {
          return readdirSync(folder).filter((name) => name.startsWith('cxlsim-'));
        } catch {
          return [];
        }
      });
    const pid = inNode(`
      require('fs').readdirSync('/dev/cxl');
      console.log(process.pid);
      process.exit(0);`).trim();
    expect(left().filter((name) => name.startsWith(`cxlsim-${pid}-`))).toEqual([]);
  });

  it('ends a process that sets an option it does not have', () => {
    const script = "require('node:fs').readdirSync('/dev/cxl')";
    const { status, signal, stderr } = spawnSync(process.execPath, ['-e', script], {
      env: { ...preloaded, CXLSIM_NONSENSE: 'guest' },
      encoding: 'utf8',
    });
    expect({ status, signal }).toEqual({ status: null, signal: 'SIGABRT' });
    expect(stderr).toContain('cxlsim: CXLSIM_NONSENSE=guest: no such option');
  });

  it('is a POWER9 on request, where an attach gives a thread id', () => {
    const out = inNode(
      `const { cxl } = require('node-cxl');
      (async () => {
        const context = await cxl.open('/dev/cxl/afu0.0s');
        console.log(context.attachSync({ wed: 0n, tid: true }).tid > 0);
        await context.close();
        const [adapter] = await cxl.adapters();
        console.log(await adapter.caiaVersion());
        const [afu] = await adapter.afus();
        await afu.setPrefaultMode('all').catch((error) => console.log(error.code));
      })();`,
      { CXLSIM_CAIA: '2' },
    );
    expect(out.trim().split('\n')).toEqual(['true', '2.0', 'EINVAL']);
  });

  it('loses its AFUs with a validated image, and has them again after the reset', () => {
    const out = inNode(
      `const { cxl } = require('node-cxl');
      const fs = require('fs');
      (async () => {
        const [adapter] = await cxl.adapters();
        const held = await cxl.open('/dev/cxl/afu0.0s');
        await held.attach({ wed: 0n });
        const there = [];
        await adapter.downloadImage(Buffer.alloc(3_000_000), {
          onProgress: () => there.push(fs.existsSync('/dev/cxl/afu0.0s')),
        });
        console.log(there[0], fs.existsSync('/dev/cxl/afu0.0s'));
        await held.waitForEvent().catch((error) => console.log(error.code));
      })();`,
      { CXLSIM_FLAVOR: 'guest' },
    );
    expect(out.trim().split('\n')).toEqual(['true true', 'EIO']);
  });

  // guest.c, cxl_guest_init_afu
  it('has no AFU of one process in a guest, but the card', () => {
    const out = inNode(
      `const { cxl } = require('node-cxl');
      (async () => {
        console.log((await cxl.adapters()).map((one) => one.name).join());
        console.log((await cxl.afus()).map((one) => one.name).join());
        await cxl.open('/dev/cxl/afu0.0s').catch((error) => console.log(error.code));
      })();`,
      { CXLSIM_FLAVOR: 'guest', CXLSIM_PROCESSES: '1' },
    );
    expect(out.trim().split('\n')).toEqual(['card0,card1', 'afu1.0', 'ENOENT']);
  });

  it('is preloaded in the tests themselves', () => {
    expect(JSON.parse(readFileSync('/dev/cxl-sim', 'utf8')).openContexts).toBe(0);
  });
});
