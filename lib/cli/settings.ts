/** `node-cxl reset`, `set` and `errors`: what the sysfs attributes of cards and AFUs can do. */
import { Adapter, type Afu } from '../index';
import { systemError } from '../shared/errors';
import { findAfu, findDevice } from './devices';
import { UsageError } from './failure';
import { bytes, type DataValue, dumpText, type Format, inline, present, show } from './output';
import { openOutput } from './output-file';
import type { Session } from './session';

export interface ResetOptions extends Format {
  readonly force?: boolean;
}

export async function reset(
  { system }: Session,
  name: string,
  options: ResetOptions,
): Promise<void> {
  const device = await findDevice(system, name);
  const force = options.force === true;
  if (device instanceof Adapter) {
    await device.reset({ force });
  } else {
    if (force) throw new UsageError('--force is for cards: an AFU in use cannot be reset');
    await device.reset();
  }
  show(
    options,
    { name: device.name, reset: true, forced: force },
    { text: () => `${device.name} has been reset` },
  );
}

/** An attribute that `set` writes. */
interface Setting<Device> {
  /** What its values are, for error messages and completion. */
  readonly values: readonly string[] | string;
  readonly read: (device: Device) => Promise<DataValue | undefined>;
  readonly write: (device: Device, value: string) => Promise<void>;
}

/** Attributes by their names in sysfs. */
const ADAPTER_SETTINGS: Readonly<Record<string, Setting<Adapter>>> = {
  load_image_on_perst: {
    values: ['none', 'user', 'factory'],
    read: (adapter) => adapter.loadImageOnPerst(),
    write: (adapter, value) => adapter.setLoadImageOnPerst(value as 'none'),
  },
  perst_reloads_same_image: {
    values: ['0', '1'],
    read: async (adapter) => {
      const flag = await adapter.perstReloadsSameImage();
      return flag === undefined ? undefined : Number(flag);
    },
    write: (adapter, value) => adapter.setPerstReloadsSameImage(value === '1'),
  },
};

const AFU_SETTINGS: Readonly<Record<string, Setting<Afu>>> = {
  mode: {
    values: ['dedicated_process', 'afu_directed', 'none'],
    read: (afu) => afu.mode(),
    write: (afu, value) => afu.setMode(value as 'none'),
  },
  irqs_max: {
    values: 'a number',
    read: (afu) => afu.irqsMax(),
    write: (afu, value) => afu.setIrqsMax(Number(value)),
  },
  prefault_mode: {
    values: ['none', 'work_element_descriptor', 'all'],
    read: (afu) => afu.prefaultMode(),
    write: (afu, value) => afu.setPrefaultMode(value as 'none'),
  },
};

/** Every ATTRIBUTE=VALUE that `set` takes for a card or an AFU; a number's value is left empty. */
export function assignments(kind: 'card' | 'afu'): string[] {
  const settings: Record<string, Setting<never>> = kind === 'card'
    ? ADAPTER_SETTINGS
    : AFU_SETTINGS;
  return Object.entries(settings).flatMap(([name, { values }]) =>
    typeof values === 'string' ? [`${name}=`] : values.map((value) => `${name}=${value}`),
  );
}

export async function set(
  { system }: Session,
  name: string,
  assignment: string,
  format: Format,
): Promise<void> {
  const device = await findDevice(system, name);
  if (device instanceof Adapter) await assign(device, ADAPTER_SETTINGS, assignment, format);
  else await assign(device, AFU_SETTINGS, assignment, format);
}

async function assign<Device extends Adapter | Afu>(
  device: Device,
  settings: Readonly<Record<string, Setting<Device>>>,
  assignment: string,
  format: Format,
): Promise<void> {
  const [, attribute = '', value = ''] = /^([^=]+)=(.*)$/s.exec(assignment) ?? [];
  const setting = Object.hasOwn(settings, attribute) ? settings[attribute] : undefined;
  if (setting === undefined) {
    const names = Object.keys(settings).join(', ');
    throw new UsageError(
      `'${assignment}': expected ATTRIBUTE=VALUE, with an attribute of ${device.name} that can be set: ${names}`,
    );
  }
  const { values } = setting;
  if (typeof values === 'string' ? !/^\d+$/.test(value) : !values.includes(value)) {
    const expected = typeof values === 'string' ? values : values.join(', ');
    throw new UsageError(`'${assignment}': ${attribute} is ${expected}`);
  }
  const before = present(await setting.read(device));
  await setting.write(device, value);
  // What the driver made of it.
  const after = present(await setting.read(device));
  show(
    format,
    { name: device.name, attribute, before, after },
    { text: () => `${device.name}: ${attribute} ${inline(after)} (was ${inline(before)})` },
  );
}

export interface ErrorsOptions extends Format {
  readonly out?: string;
}

/** Prints the AFU error buffer. */
export async function errors(
  { system, signal }: Session,
  name: string,
  options: ErrorsOptions,
): Promise<void> {
  const afu = await findAfu(system, name);
  const data = await afu.errorBuffer();
  if (data === undefined) {
    throw systemError('ENODATA', 'read', `${afu.path}/afu_err_buff`, 'the AFU has no error buffer');
  }
  const { length } = data;
  if (options.out !== undefined) {
    const file = await openOutput(options.out, signal);
    try {
      await file.write(data);
      await file.commit();
    } finally {
      await file.close();
    }
    if (file.isStandardOutput) return;
    const text = () => `${bytes(length)} of ${afu.name} written to ${options.out}`;
    show(options, { name: afu.name, bytes: length, file: options.out }, { text });
    return;
  }
  const digits = Buffer.from(data).toString('hex');
  show(
    options,
    { name: afu.name, bytes: length, data: digits },
    {
      text: () => (length === 0 ? `the error buffer of ${afu.name} is empty` : dumpText(data)),
      rows: () => [[afu.name, length, digits]],
    },
  );
}
