/** The machine that `node-cxl doctor` examines: this one, or the one whose files are below a folder. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { Cxl } from '../index';

/** A file of sysfs, /proc or /etc as text, trimmed; undefined where it cannot be read. */
type ReadText = (file: string) => Promise<string | undefined>;

export interface Ownership {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly mode: number;
}

export interface User {
  readonly name: string;
  readonly uid: number;
  /** Its groups: those of this process, or as /etc/group has them for another user. */
  readonly gids: readonly number[];
}

/** Files below a folder. Links are followed as within the machine that the files are of. */
export class Host {
  readonly root: string;

  constructor(root = '/') {
    this.root = path.resolve(root);
  }

  get isThisMachine(): boolean {
    return this.root === '/';
  }

  /** Where a file of the machine is. */
  at(file: string): string {
    return path.join(this.root, file);
  }

  text: ReadText = async (file) => {
    const text = await fs.readFile(this.at(file), 'utf8').catch(() => undefined);
    return text?.trim();
  };

  /** Names in a folder, sorted; undefined where there is no such folder. */
  async list(folder: string): Promise<string[] | undefined> {
    const names = await fs.readdir(this.at(folder)).catch(() => undefined);
    return names?.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  }

  async ownership(file: string): Promise<Ownership | undefined> {
    const found = await fs.stat(this.at(file)).catch(() => undefined);
    return found === undefined
      ? undefined
      : { uid: found.uid, gid: found.gid, mode: found.mode & 0o777 };
  }

  /** The last name of what a link leads to; undefined where there is no such link. */
  async linkName(link: string): Promise<string | undefined> {
    const target = await fs.readlink(this.at(link)).catch(() => undefined);
    return target === undefined ? undefined : path.basename(target);
  }

  /** As uname has them; of another machine what its files tell. */
  async kernel(): Promise<{ release: string | undefined; machine: string | undefined }> {
    const told = {
      release: await this.text('/proc/sys/kernel/osrelease'),
      machine: await this.text('/proc/sys/kernel/arch'),
    };
    if (!this.isThisMachine) return told;
    return { release: told.release ?? os.release(), machine: told.machine ?? os.machine?.() };
  }

  /** A user by name, or the one who runs the program; undefined where there is none of that name. */
  async user(name: string | undefined): Promise<User | undefined> {
    if (name === undefined) {
      return {
        name: os.userInfo().username,
        uid: process.getuid?.() ?? 0,
        gids: [process.getgid?.() ?? 0, ...(process.getgroups?.() ?? [])],
      };
    }
    const line = (await this.text('/etc/passwd'))
      ?.split('\n')
      .find((each) => each.startsWith(`${name}:`));
    const [, , uid, gid] = line?.split(':') ?? [];
    if (uid === undefined || gid === undefined) return undefined;
    const groups = (await this.groups()).filter(({ members }) => members.includes(name));
    return { name, uid: Number(uid), gids: [Number(gid), ...groups.map((group) => group.gid)] };
  }

  /** /etc/group. */
  async groups(): Promise<{ name: string; gid: number; members: string[] }[]> {
    const lines = ((await this.text('/etc/group')) ?? '').split('\n');
    return lines
      .map((line) => line.split(':'))
      .map(([name = '', , gid, members = '']) => {
        return {
          name,
          gid: Number(gid),
          members: members.split(',').filter((each) => each !== ''),
        };
      });
  }

  /** A system whose sysfs is that of the machine; nothing else of it can be used. */
  system(): Cxl {
    const errnoOf = (error: unknown) => (error as NodeJS.ErrnoException).errno ?? -1;
    const sysfs = {
      readdir: (folder: string) => fs.readdir(this.at(folder)).catch(errnoOf),
      read: (file: string) => fs.readFile(this.at(file)).catch(errnoOf),
      realpath: (file: string) => fs.realpath(this.at(file)).catch(errnoOf),
    };
    return new Cxl(() => ({ kind: 'native', sysfs }) as unknown as Cxl['binding']);
  }
}
