/** A mock whose seam a test can make fail: each ioctl, descriptor, mapping, access and wait. */
import { Cxl } from 'node-cxl';
import type { MockCxl } from 'node-cxl/mock';
import type { AfuFile, Binding } from '../../lib/binding';
import type { LunFile } from '../../lib/binding/flash';
import { operandsOf } from '../../lib/binding/operands';
import { ALL_ONES_64 } from '../../lib/shared/all-ones';
import { ERRNOS } from '../../lib/shared/errno';

/**
 * What happens to a call: a negative errno fails it; for a register access `fault` is a SIGBUS and
 * `ones` what an adapter in error answers (a store then has no effect). Undefined: it succeeds.
 */
export type Failure = number | 'fault' | 'ones' | undefined;

/** Names the call: `ioctl(NAME)`, `adopt`, `map`, `allocate`, `close`, `wait`, `read64(OFFSET)`… */
export type Hook = (call: string) => Failure;

/** `target` with other methods; what is not in `methods` is its own. */
function replace<T extends object>(target: T, methods: Partial<T>): T {
  return new Proxy(target, {
    get(_, name) {
      if (name in methods) return methods[name as keyof T];
      const value = target[name as keyof T];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

const errno = (failure: Failure): number => (typeof failure === 'number' ? failure : -ERRNOS.EIO);

/** What the answer of an ioctl becomes, by its name. */
export type Change = (name: string, answer: object) => object;

/** The system of a mock, with every call of the seam passed to `hook` first. */
export function withHook(mock: MockCxl, hook: Hook, change: Change = (_, answer) => answer): Cxl {
  const { binding } = mock as unknown as { binding: Binding };
  const operands = operandsOf(binding.operands);

  const access = (name: string, call: () => boolean) => () => {
    const failure = hook(`${name}(0x${operands.offset[0]?.toString(16)})`);
    if (failure === undefined) return call();
    if (failure !== 'ones') return false;
    operands.value64[0] = ALL_ONES_64;
    return true;
  };

  const observeFile = (file: AfuFile): AfuFile => {
    return replace(file, {
      map(offset, length, endian) {
        const failure = hook('map');
        if (failure !== undefined) return errno(failure);
        const mapping = file.map(offset, length, endian);
        if (typeof mapping === 'number') return mapping;
        return replace(mapping, {
          read64: access('read64', mapping.read64),
          write64: access('write64', mapping.write64),
        });
      },
      arm() {
        const failure = hook('wait');
        return failure === undefined ? file.arm() : errno(failure);
      },
      async close() {
        // As with the kernel, a close() that fails has closed the descriptor nevertheless.
        const failure = hook('close');
        const answer = await file.close();
        return failure === undefined ? answer : errno(failure);
      },
    });
  };

  const { flash } = binding;
  if (flash === undefined) throw new Error('the mock has no flash adapter');
  const observed = replace<Binding>(binding, {
    allocate(request) {
      const failure = hook('allocate');
      return failure === undefined ? binding.allocate(request) : errno(failure);
    },
    adoptAfu(...parameters) {
      const failure = hook('adopt');
      if (failure !== undefined) return errno(failure);
      const file = binding.adoptAfu(...parameters);
      return typeof file === 'number' ? file : observeFile(file);
    },
    flash: replace(flash, {
      async openLun(path) {
        const failure = hook('open');
        if (failure !== undefined) return errno(failure);
        const file = await flash.openLun(path);
        if (typeof file === 'number') return file;
        return replace<LunFile>(file, {
          async ioctl(name, input) {
            const failed = hook(`ioctl(${name})`);
            if (failed !== undefined) return errno(failed);
            const answer = await file.ioctl(name, input);
            return typeof answer === 'number' ? answer : (change(name, answer) as typeof answer);
          },
        });
      },
    }),
  });
  return new (Cxl as unknown as new (load: () => Binding) => Cxl)(() => observed);
}
