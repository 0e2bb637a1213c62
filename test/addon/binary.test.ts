import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { requirements } from '../../lib/build/versions.mjs';

/**
 * The binary itself: what it needs of the system, and what its accesses to the device became.
 * CXL_TEST_ADDON and CXL_TEST_OBJDUMP look at one built for another processor.
 */
const addon =
  process.env['CXL_TEST_ADDON'] ??
  path.resolve(import.meta.dirname ?? __dirname, '../../build/Release/node_cxl.node');
const objdump = process.env['CXL_TEST_OBJDUMP'] ?? 'objdump';

function dump(...flags: string[]): string {
  return execFileSync(objdump, [...flags, addon], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    env: { PATH: process.env['PATH'] ?? '' },
  });
}

interface Processor {
  format: RegExp;
  barrier: RegExp;
  load: RegExp;
  store: RegExp;
  /** Calls, and what moves more than 64 bits or a cache line: illegal on a mapping. */
  forbidden: RegExp;
}

const processors: Processor[] = [
  {
    format: /elf64-x86-64/,
    barrier: /^lock addl \$0x0,-0x4\(%rsp\)/,
    load: /^mov\s+\(%r\w+\),%[er]\w+$/,
    store: /^mov\s+%[er]\w+,\(%r\w+\)$/,
    forbidden: /^(call|rep|movs|stos|prefetch|cl\w*flush)|%[xyz]mm/,
  },
  {
    format: /elf64-powerpc/,
    barrier: /^(hwsync|sync)$/,
    load: /^(ld|lwz)\s/,
    store: /^(std|stw)\s/,
    forbidden: /^(bl|bctrl|dcb\w*|lxv\w*|stxv\w*|lv\w*|stv\w*|lmw|stmw|lsw\w|stsw\w)\b/,
  },
  {
    format: /elf64-littleaarch64/,
    barrier: /^dsb\s+sy/,
    load: /^ldr\s+[wx]\d+, \[x\d+\]$/,
    store: /^str\s+[wx]\d+, \[x\d+\]$/,
    forbidden: /^(bl|blr|ldp|stp|dc)\b|\b[qv]\d+/,
  },
];

const listing = dump('-d', '--no-show-raw-insn');
const processor = processors.find(({ format }) => format.test(listing)) as Processor;

/** A function's instructions, without their addresses. */
function instructions(name: string): string[] {
  const start = listing.indexOf(`<${name}>:\n`);
  expect(start, name).toBeGreaterThan(0);
  const end = listing.indexOf('\n\n', start);
  return listing
    .slice(start, end < 0 ? undefined : end)
    .split('\n')
    .slice(1)
    .map((line) =>
      line
        .replace(/^\s*[0-9a-f]+:\s*/, '')
        .replace(/\s*(#|\/\/).*$/, '')
        .trim(),
    );
}

describe('the addon’s binary', () => {
  it('asks for no library that is newer than allowed, or may be absent', () => {
    const { required, complaints } = requirements(addon, objdump);
    expect(required).toHaveProperty('GLIBC');
    expect(complaints).toEqual([]);
  });

  it('exports what Node looks for alone', () => {
    const exported = dump('-T')
      .split('\n')
      .filter((line) => /\sDF \.(text|opd)\s/.test(line))
      .map((line) => line.split(/\s+/).at(-1));
    expect(exported.sort()).toEqual([
      'napi_register_module_v1',
      'node_api_module_get_api_version_v1',
    ]);
  });

  it('follows each load from the device with a full barrier', () => {
    for (const name of ['cxl_mmio_read32', 'cxl_mmio_read64']) {
      const body = instructions(name);
      const loads = body.flatMap((line, i) => (processor.load.test(line) ? [i] : []));
      expect(loads.length, name).toBe(1);
      expect(body[loads[0]! + 1], name).toMatch(processor.barrier);
    }
  });

  it('precedes each store to the device with a full barrier', () => {
    for (const name of ['cxl_mmio_write32', 'cxl_mmio_write64']) {
      const body = instructions(name);
      const stores = body.flatMap((line, i) => (processor.store.test(line) ? [i] : []));
      expect(stores.length, name).toBe(1);
      expect(body[stores[0]! - 1], name).toMatch(processor.barrier);
    }
  });

  it('moves blocks by single words, with a barrier, and never by memcpy', () => {
    for (const way of ['read', 'write']) {
      for (const width of [32, 64]) {
        const name = `cxl_mmio_${way}_block${width}`;
        const body = instructions(name);
        expect(
          body.filter((line) => processor.forbidden.test(line)),
          name,
        ).toEqual([]);
        expect(
          body.some((line) => processor.barrier.test(line)),
          name,
        ).toBe(true);
      }
    }
  });

  it('has the barrier on its own', () => {
    expect(instructions('cxl_memory_barrier')[0]).toMatch(processor.barrier);
  });
});
