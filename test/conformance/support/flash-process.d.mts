import type { Cxl } from 'node-cxl';
import type { AttachOptions, CloneToken, LunCalls, OpenVirtualOptions } from 'node-cxl/flash';

export interface Opened {
  handle: number;
  blocks: bigint;
}

export class FlashUser {
  constructor(system?: Cxl);
  open(node: string): Promise<void>;
  attach(options?: AttachOptions): Promise<bigint>;
  token(): CloneToken;
  openVirtual(options?: Omit<OpenVirtualOptions, 'lun'>): Promise<Opened>;
  openDirect(): Promise<Opened>;
  cloneFrom(token: CloneToken): Promise<Opened[]>;
  release(handle: number): Promise<void>;
  resize(handle: number, blocks: bigint): Promise<bigint>;
  write(handle: number, lba: bigint | number, value: number): Promise<void>;
  read(handle: number, lba: bigint | number, count?: number): Promise<number[]>;
  isHealthy(): boolean;
  recover(): Promise<boolean>;
  call(name: keyof LunCalls, input: object): Promise<Record<string, bigint>>;
  close(): Promise<void>;
}
