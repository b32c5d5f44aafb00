/** The reference: commands played on the file system in memory, answered as RFC 1813 has it. */
import { FsError, type FsErrorCode } from '../../src/fs/errors.js';
import type { AttributeChanges, Attributes, Context, Handle } from '../../src/fs/file-system.js';
import { MemoryFileSystem } from '../support/memory-file-system.js';
import type { Answer, Entry } from './answer.js';
import { CALLERS, FORGED, nameBytes, writtenBytes, type Command, type Sets } from './commands.js';

/** Where the reference's own clock begins: beyond every time that a client can set, so that the two are told apart. */
export const SERVER_TIMES_NS = 1n << 62n;

/** A command in its history, with what playing it again needs. */
export interface Played {
  readonly step: number;
  readonly command: Command;
  /** Slots as they were when it was sent, by the step that filled them. */
  readonly slots: readonly number[];
}

/** What the daemon was found with after a crash, taken over: bytes of a file that nobody had been promised. */
export interface Adopted {
  readonly adopt: bigint;
  readonly content: string;
}

export const ROOT = -1;
const CHANGES_ENTRIES = new Set<Command['op']>([
  ...(['CREATE', 'CREATE EXCLUSIVE', 'MKDIR', 'SYMLINK', 'REMOVE', 'RMDIR', 'RENAME'] as const),
]);
/** READDIR3resok without entries: attributes, verifier, end of the list, eof. */
const REPLY_BYTES_MIN = 4 + 84 + 8 + 4 + 4;
const FORGED_HANDLE = Buffer.from('no handle of anybody');
const MAX_BYTES = 1 << 20;

const IRREGULAR: { readonly [C in FsErrorCode]?: string } = {
  EACCES: 'NFS3ERR_ACCES',
  ENOTSYNC: 'NFS3ERR_NOT_SYNC',
  ENOTSUP: 'NFS3ERR_NOTSUPP',
};
const statusOf = (code: FsErrorCode): string => IRREGULAR[code] ?? `NFS3ERR_${code.slice(1)}`;

const contextOf = (as = 0): Context => {
  const { uid, gid } = CALLERS[as] ?? { uid: 0, gid: 0 };
  return { caller: { uid, gid, gids: [], address: '127.0.0.1' }, signal: new AbortController().signal };
};
const AS_ROOT = contextOf();

export class Reference {
  readonly fs: MemoryFileSystem;
  /** By the step that found them. */
  readonly handles = new Map<number, Handle>();
  #clockNs = SERVER_TIMES_NS;

  private constructor() {
    this.fs = new MemoryFileSystem({ now: () => ++this.#clockNs });
  }

  /** As after `history`. The model's root is a directory of the export, with mode 0777 and root's. */
  static async after(history: readonly (Played | Adopted)[]): Promise<Reference> {
    const reference = new Reference();
    const top = await reference.fs.mount(AS_ROOT, '/bucket');
    const { handle } = await reference.fs.mkdir(AS_ROOT, top, Buffer.from('model'), { mode: 0o777 });
    reference.handles.set(ROOT, handle);
    for (const each of history) {
      if ('adopt' in each) await reference.adopt(each);
      else await reference.play(each);
    }
    return reference;
  }

  async play(played: Played): Promise<Answer> {
    try {
      const answer = await this.#run(played);
      if (answer.found !== undefined) this.handles.set(played.step, answer.found);
      return answer;
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      return { status: statusOf(error.code) };
    }
  }

  async adopt({ adopt, content }: Adopted): Promise<void> {
    const handle = this.handleOf(adopt);
    await this.fs.setattr(AS_ROOT, handle, { size: 0 });
    await this.fs.write(AS_ROOT, handle, 0, Buffer.from(content, 'latin1'), 'fileSync');
  }

  /** Of a file by its id here. */
  handleOf(fileid: bigint): Handle {
    const handle = Buffer.from(this.handles.get(ROOT) ?? []);
    handle.writeBigUInt64BE(fileid, 8);
    return handle;
  }

  /** Of the file that a step found. */
  handleIn(step: number): Handle {
    const handle = this.handles.get(step);
    if (handle === undefined) throw new Error(`step ${step} found nothing`);
    return handle;
  }

  /** The handle in a slot of a command; undefined for a forged one. */
  slot(slot: number, slots: readonly number[]): Handle | undefined {
    return slot === FORGED ? undefined : this.handleIn(slots[slot % slots.length] ?? ROOT);
  }

  /** What a command's name leads to, if it leads to anything. */
  async find(dir: number, slots: readonly number[], name: string): Promise<Handle | undefined> {
    const directory = this.slot(dir, slots);
    if (directory === undefined) return undefined;
    return (await this.entriesOf(directory))?.find((entry) => entry.name === name)?.handle;
  }

  /** At a path below the model's root. */
  async walk(path: string): Promise<Handle> {
    let handle = this.handleIn(ROOT);
    for (const name of path.split('/').filter((each) => each !== '')) {
      ({ handle } = await this.fs.lookup(AS_ROOT, handle, Buffer.from(name)));
    }
    return handle;
  }

  async attributes(handle: Handle): Promise<Attributes | undefined> {
    try {
      return await this.fs.getattr(AS_ROOT, handle);
    } catch (error) {
      if (!(error instanceof FsError)) throw error;
      return undefined;
    }
  }

  async content(handle: Handle): Promise<Buffer> {
    const read = await this.fs.read(AS_ROOT, handle, 0, 1 << 30);
    const bytes = Buffer.concat(read.slices);
    read.release();
    return bytes;
  }

  async target(symlink: Handle): Promise<string> {
    return (await this.fs.readlink(AS_ROOT, symlink)).target.toString('utf8');
  }

  /** A file's bytes as latin1; nothing for what is no file. */
  async text(handle: Handle): Promise<string> {
    if ((await this.attributes(handle))?.type !== 'file') return '';
    return (await this.content(handle)).toString('latin1');
  }

  /** Entries of what may be no directory, or gone. */
  async entriesOf(handle: Handle): Promise<readonly Entry[] | undefined> {
    return (await this.attributes(handle))?.type === 'directory' ? await this.entries(handle) : undefined;
  }

  /** Entries without `.` and `..`. */
  async entries(directory: Handle): Promise<readonly Entry[]> {
    const { entries } = await this.fs.readdir(AS_ROOT, directory, 2n, Infinity);
    return entries.map(({ name, ...entry }) => ({ ...entry, name: name.toString('utf8') }));
  }

  async #run({ command, slots, step }: Played): Promise<Answer> {
    const { fs } = this;
    const context = contextOf(command.as);
    const handleIn = (slot: number): Handle => this.slot(slot, slots) ?? FORGED_HANDLE;
    const object = (attributes: Attributes) => ({ told: [{ role: 'object', attributes }] });
    const made = async (making: ReturnType<MemoryFileSystem['create']>): Promise<Answer> => {
      const { handle, attributes, parent } = await making;
      return {
        status: 'NFS3_OK',
        found: handle,
        told: [{ role: 'object', attributes, handle }],
        changes: [{ role: 'directory', ...parent }],
      };
    };
    await this.#checkEntries(context, command, handleIn);
    switch (command.op) {
      case 'GETATTR':
        return { status: 'NFS3_OK', ...object(await fs.getattr(context, handleIn(command.file))) };
      case 'SETATTR': {
        const file = handleIn(command.file);
        const guard =
          command.guard === undefined
            ? undefined
            : ((await this.attributes(file))?.ctimeNs ?? 0n) + (command.guard === 'right' ? 0n : 1n);
        const report = await fs.setattr(context, file, changesOf(command.set), guard);
        return { status: 'NFS3_OK', changes: [{ role: 'object', ...report }] };
      }
      case 'LOOKUP': {
        const { handle, attributes } = await fs.lookup(
          context,
          handleIn(command.dir),
          nameBytes(command.name),
        );
        const found = { status: 'NFS3_OK', told: [{ role: 'object', attributes, handle }] };
        // The directory above the model's root is no part of the model.
        return this.#isAbove(handle) ? { status: 'NFS3_OK' } : { ...found, found: handle };
      }
      case 'ACCESS': {
        const { rights, attributes } = await fs.access(context, handleIn(command.file));
        const bits = [
          rights.read,
          rights.lookup,
          rights.modify,
          rights.extend,
          rights.delete,
          rights.execute,
        ];
        const granted = bits.reduce((sum, right, bit) => sum | (right ? 1 << bit : 0), 0);
        return { status: 'NFS3_OK', data: command.access & granted, ...object(attributes) };
      }
      case 'READLINK': {
        const { target, attributes } = await fs.readlink(context, handleIn(command.file));
        return { status: 'NFS3_OK', data: target.toString('utf8'), ...object(attributes) };
      }
      case 'READ': {
        const file = handleIn(command.file);
        const read = await fs.read(context, file, command.offset, Math.min(command.count, MAX_BYTES));
        const bytes = Buffer.concat(read.slices);
        read.release();
        const attributes = read.attributes === undefined ? {} : object(read.attributes);
        return { status: 'NFS3_OK', data: { eof: read.eof }, bytes, ...attributes };
      }
      case 'WRITE': {
        const stability = { UNSTABLE: 'unstable', DATA_SYNC: 'dataSync', FILE_SYNC: 'fileSync' } as const;
        const data = writtenBytes(step, command.length);
        const { stable, offset } = command;
        const { file } = await fs.write(context, handleIn(command.file), offset, data, stability[stable]);
        return { status: 'NFS3_OK', data: { count: data.length }, changes: [{ role: 'object', ...file }] };
      }
      case 'COMMIT': {
        const { file } = await fs.commit(context, handleIn(command.file));
        return { status: 'NFS3_OK', changes: [{ role: 'object', ...file }] };
      }
      case 'CREATE': {
        const how = command.how === 'GUARDED' ? ('guarded' as const) : ('unchecked' as const);
        const mode = { how, attributes: changesOf(command.set) };
        return await made(fs.create(context, handleIn(command.dir), nameBytes(command.name), mode));
      }
      case 'CREATE EXCLUSIVE': {
        const mode = { how: 'exclusive' as const, verifier: Buffer.alloc(8, command.verifier) };
        return await made(fs.create(context, handleIn(command.dir), nameBytes(command.name), mode));
      }
      case 'MKDIR':
        return await made(
          fs.mkdir(context, handleIn(command.dir), nameBytes(command.name), changesOf(command.set)),
        );
      case 'SYMLINK': {
        const [target, set] = [Buffer.from(command.target), changesOf(command.set)];
        return await made(fs.symlink(context, handleIn(command.dir), nameBytes(command.name), target, set));
      }
      case 'MKNOD':
        return { status: command.type === 'NF3REG' ? 'NFS3ERR_BADTYPE' : 'NFS3ERR_NOTSUPP' };
      case 'LINK':
        return { status: 'NFS3ERR_NOTSUPP' };
      case 'REMOVE': {
        const report = await fs.remove(context, handleIn(command.dir), nameBytes(command.name));
        return { status: 'NFS3_OK', changes: [{ role: 'directory', ...report }] };
      }
      case 'RMDIR': {
        const report = await fs.rmdir(context, handleIn(command.dir), nameBytes(command.name));
        return { status: 'NFS3_OK', changes: [{ role: 'directory', ...report }] };
      }
      case 'RENAME': {
        const from = nameBytes(command.name);
        const to = nameBytes(command.toName);
        const report = await fs.rename(context, handleIn(command.dir), from, handleIn(command.toDir), to);
        return {
          status: 'NFS3_OK',
          changes: [
            { role: 'from', ...report.from },
            { role: 'to', ...report.to },
          ],
        };
      }
      case 'READDIR':
      case 'READDIRPLUS':
      case 'PAGE': {
        // No reply fits, whatever is in the directory.
        if (command.count < REPLY_BYTES_MIN) return { status: 'NFS3ERR_TOOSMALL' };
        const page = await fs.readdir(context, handleIn(command.dir), 0n, Infinity);
        const entries = page.entries
          .filter(({ name }) => name.toString() !== '..')
          .map(({ name, fileid, attributes, handle }) => ({
            name: name.toString('utf8'),
            fileid,
            ...(attributes !== undefined && { attributes }),
            ...(handle !== undefined && { handle }),
          }));
        const { attributes } = page;
        const told = attributes === undefined ? [] : [{ role: 'directory', attributes }];
        return { status: 'NFS3_OK', entries, told };
      }
      case 'FSSTAT':
      case 'FSINFO':
      case 'PATHCONF': {
        const { attributes } = await fs.space(context, handleIn(command.file));
        return { status: 'NFS3_OK', data: FACTS[command.op], ...object(attributes) };
      }
    }
  }

  /**
   * What is asked of every call that changes entries before anything is looked up: directories that the caller may change, then names
   * that can be given. RFC 1813 leaves the order of errors open; this is the daemon's.
   */
  async #checkEntries(context: Context, command: Command, handleIn: (slot: number) => Handle): Promise<void> {
    if (!('dir' in command) || !('name' in command) || !CHANGES_ENTRIES.has(command.op)) return;
    const slots = command.op === 'RENAME' ? [command.dir, command.toDir] : [command.dir];
    for (const slot of slots) {
      const { rights, attributes } = await this.fs.access(context, handleIn(slot));
      if (attributes.type !== 'directory') throw new FsError('ENOTDIR', 'not a directory');
      if (!rights.modify || !rights.lookup) throw new FsError('EACCES', 'the directory may not be changed');
    }
    for (const name of command.op === 'RENAME' ? [command.name, command.toName] : [command.name]) {
      if (name === '.' || name === '..') throw new FsError('EINVAL', 'not a name to give');
      await this.fs.lookup(AS_ROOT, this.handleIn(ROOT), nameBytes(name)).catch((error: unknown) => {
        if (!(error instanceof FsError) || error.code !== 'ENOENT') throw error;
      });
    }
  }

  #isAbove(handle: Handle): boolean {
    const root = this.handles.get(ROOT);
    return root !== undefined && handle.readBigUInt64BE(8) < root.readBigUInt64BE(8);
  }
}

/** What the file system says of itself. */
export const FACTS = {
  FSSTAT: { full: false },
  FSINFO: { rtmax: MAX_BYTES, wtmax: MAX_BYTES, properties: 0x1a },
  PATHCONF: {
    linkmax: 1,
    name_max: 255,
    no_trunc: true,
    chown_restricted: true,
    case_insensitive: false,
    case_preserving: true,
  },
} as const;

function changesOf({ atime, mtime, ...set }: Sets): AttributeChanges {
  const ns = (time: NonNullable<Sets['atime']>): bigint | 'now' =>
    time === 'now' ? 'now' : BigInt(time[0]) * 1_000_000_000n + BigInt(time[1]);
  return {
    ...set,
    ...(atime !== undefined && { atimeNs: ns(atime) }),
    ...(mtime !== undefined && { mtimeNs: ns(mtime) }),
  };
}
