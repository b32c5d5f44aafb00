/**
 * An NFSv3 client for tests and benchmarks: a method for each procedure, and whole files and directories on top of them. It
 * goes by the same rules as a kernel: UNSTABLE WRITEs are followed by COMMIT and sent again when the verifier changed.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { MOUNT3, type MountFailure } from '../../protocol/mount3/program.js';
import { NFS3 } from '../../protocol/nfs3/program.js';
import type { createhow3, entry3, entryplus3 } from '../../protocol/nfs3/messages.js';
import {
  DATA_BYTES_MAX,
  type fattr3,
  type nfsstat3,
  type nfstime3,
  type sattr3,
  type set_time,
  type stable_how,
} from '../../protocol/nfs3/types.js';
import type { ArgsOf, ProcedureName, ResultOf } from '../../protocol/program.js';
import type { opaque_auth } from '../../protocol/rpc.js';
import { RpcClient, systemCredential } from './rpc-client.js';

type Name = Exclude<ProcedureName<typeof NFS3>, 'NULL'>;
type Args<N extends Name> = ArgsOf<typeof NFS3, N>;
/** The body of a procedure's NFS3_OK. */
export type Resok<N extends Name> = Extract<ResultOf<typeof NFS3, N>, { resok: unknown }>['resok'];

/** A procedure was answered with another status than NFS3_OK. */
export class NfsStatusError extends Error {
  override readonly name = 'NfsStatusError';
  readonly procedure: string;
  readonly status: nfsstat3;
  /** An earlier try of the same call was answered with JUKEBOX. */
  readonly isRepeated: boolean;

  constructor(procedure: string, status: nfsstat3, isRepeated = false) {
    super(`${procedure} was answered with ${status}`);
    this.procedure = procedure;
    this.status = status;
    this.isRepeated = isRepeated;
  }
}

/** MNT was answered with another status than MNT3_OK. */
export class MountStatusError extends Error {
  override readonly name = 'MountStatusError';
  readonly status: MountFailure;

  constructor(status: MountFailure) {
    super(`MNT was answered with ${status}`);
    this.status = status;
  }
}

/** The status that a call is answered with. Whatever else it fails with is thrown. */
export async function statusOf(call: Promise<unknown>): Promise<nfsstat3> {
  try {
    await call;
    return 'NFS3_OK';
  } catch (error) {
    if (error instanceof NfsStatusError) return error.status;
    throw error;
  }
}

export interface NfsClientOptions {
  readonly host: string;
  readonly port: number;
  /** Where MOUNT is served; `port` unless given. */
  readonly mountPort?: number;
  /** Root by AUTH_SYS unless given. */
  readonly credential?: opaque_auth;
  /** After JUKEBOX the call is made again this much later, for ever (Linux: 5 s). Without it JUKEBOX is an error like another. */
  readonly jukeboxRetryMs?: number;
}

/** Attributes to set; what is left out stays. */
export interface Changes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly size?: number | bigint;
  readonly atime?: nfstime3 | 'now';
  readonly mtime?: nfstime3 | 'now';
}

export interface TransferOptions {
  /** Calls in flight. Default 8. */
  readonly parallel?: number;
  /** Bytes of a READ or WRITE. Default 1 MiB. */
  readonly transferBytes?: number;
}

export interface WriteFileOptions extends TransferOptions {
  /** Below FILE_SYNC, COMMIT follows. Default UNSTABLE. */
  readonly stable?: stable_how;
  /** Where in the file the data begins. Default 0. */
  readonly offset?: number;
}

/** A file just made. */
export interface Made {
  readonly handle: Buffer;
  readonly attributes: fattr3 | undefined;
}

const PARALLEL = 8;
const PAGE_BYTES = 64 * 1024;
const ZERO_VERIFIER = Buffer.alloc(8);
/** How often data is sent again after verifiers that differ: a server that changes it all the time never stored anything. */
const RESENDS_MAX = 3;
const STABILITIES: readonly stable_how[] = ['UNSTABLE', 'DATA_SYNC', 'FILE_SYNC'];

export class NfsClient {
  /** The connection to the NFS port. */
  readonly rpc: RpcClient;
  readonly #options: NfsClientOptions;

  private constructor(rpc: RpcClient, options: NfsClientOptions) {
    this.rpc = rpc;
    this.#options = options;
  }

  static async connect(options: NfsClientOptions): Promise<NfsClient> {
    const { host, port, credential = systemCredential(0, 0) } = options;
    return new NfsClient(await RpcClient.connect({ host, port, credential }), options);
  }

  async close(): Promise<void> {
    await this.rpc.close();
  }

  /** Calls a procedure and gives the body of its NFS3_OK. NfsStatusError with any other status. */
  async call<N extends Name>(name: N, args: Args<N>): Promise<Resok<N>> {
    const { jukeboxRetryMs } = this.#options;
    for (let isRepeated = false; ; isRepeated = true) {
      const result = (await this.rpc.call(NFS3, name, args)) as { status: nfsstat3; resok: Resok<N> };
      if (result.status === 'NFS3_OK') return result.resok;
      if (result.status !== 'NFS3ERR_JUKEBOX' || jukeboxRetryMs === undefined) {
        throw new NfsStatusError(name, result.status, isRepeated);
      }
      await delay(jukeboxRetryMs);
    }
  }

  /** NULL: resolves when the server answers. */
  async ping(): Promise<void> {
    await this.rpc.call(NFS3, 'NULL', undefined);
  }

  /** MNT: the handle of an export or of a directory below one. Throws MountStatusError. */
  async mnt(path: string): Promise<Buffer> {
    const { host, port, mountPort = port, credential = systemCredential(0, 0) } = this.#options;
    if (mountPort === port) return await mntBy(this.rpc, path);
    const rpc = await RpcClient.connect({ host, port: mountPort, credential });
    try {
      return await mntBy(rpc, path);
    } finally {
      await rpc.close();
    }
  }

  async lookup(dir: Buffer, name: string | Buffer): Promise<Made> {
    const { object, obj_attributes } = await this.call('LOOKUP', { what: where(dir, name) });
    return { handle: object, attributes: obj_attributes };
  }

  /** The handle at a path such as `a/b/c` below `root`; of `root` itself for an empty path. */
  async lookupPath(root: Buffer, path: string): Promise<Buffer> {
    let handle = root;
    for (const segment of path.split('/').filter((each) => each !== '')) {
      ({ handle } = await this.lookup(handle, segment));
    }
    return handle;
  }

  async getattr(object: Buffer): Promise<fattr3> {
    return (await this.call('GETATTR', { object })).obj_attributes;
  }

  /** With `guard`, only while that is the ctime. */
  async setattr(object: Buffer, changes: Changes, guard?: nfstime3): Promise<Resok<'SETATTR'>> {
    return await this.call('SETATTR', { object, new_attributes: toSattr3(changes), guard });
  }

  /** Of the rights asked for (ACCESS3_...), those that the caller has. */
  async access(object: Buffer, access: number): Promise<number> {
    return (await this.call('ACCESS', { object, access })).access;
  }

  async readlink(symlink: Buffer): Promise<Buffer> {
    return (await this.call('READLINK', { symlink })).data;
  }

  /** One READ. */
  async read(
    file: Buffer,
    offset: number | bigint,
    count: number,
  ): Promise<{ readonly data: Buffer; readonly eof: boolean; readonly attributes: fattr3 | undefined }> {
    const resok = await this.call('READ', { file, offset: BigInt(offset), count });
    const data = Buffer.concat(resok.data);
    if (data.length !== resok.count) throw new Error(`READ: ${data.length} bytes, count is ${resok.count}`);
    return { data, eof: resok.eof, attributes: resok.file_attributes };
  }

  /** The whole file, by parallel READs of what GETATTR says is its size. */
  async readFile(file: Buffer, options: TransferOptions = {}): Promise<Buffer> {
    const { size } = await this.getattr(file);
    return await this.readRange(file, 0, Number(size), options);
  }

  /** `length` bytes from `offset`, fewer if the file ends before, by parallel READs. */
  async readRange(
    file: Buffer,
    offset: number,
    length: number,
    options: TransferOptions = {},
  ): Promise<Buffer> {
    const parts = await inParallel(length, options, async (at, count) => {
      const pieces: Buffer[] = [];
      for (let done = 0; done < count;) {
        const { data, eof } = await this.read(file, offset + at + done, count - done);
        pieces.push(data);
        done += data.length;
        if (eof) break;
        // RFC 1813 3.3.6: count 0 without eof is for a count of 0 only.
        if (data.length === 0) throw new Error(`READ: no bytes at ${offset + at + done} and no eof`);
      }
      return Buffer.concat(pieces);
    });
    return Buffer.concat(parts);
  }

  /** One WRITE. Fails unless all is written, and as safely as asked for. */
  async write(
    file: Buffer,
    offset: number | bigint,
    data: Buffer,
    stable: stable_how = 'FILE_SYNC',
  ): Promise<Resok<'WRITE'>> {
    const args = { file, offset: BigInt(offset), count: data.length, stable, data };
    const resok = await this.call('WRITE', args);
    if (resok.count !== data.length) throw new Error(`WRITE: ${resok.count} bytes of ${data.length}`);
    if (STABILITIES.indexOf(resok.committed) < STABILITIES.indexOf(stable)) {
      throw new Error(`WRITE: committed ${resok.committed}, asked for ${stable}`);
    }
    return resok;
  }

  /** Writes `data` by parallel WRITEs, and COMMITs unless they are FILE_SYNC. The file isn't truncated. */
  async writeFile(file: Buffer, data: Buffer, options: WriteFileOptions = {}): Promise<void> {
    const { stable = 'UNSTABLE', offset = 0 } = options;
    for (let attempt = 0; attempt <= RESENDS_MAX; attempt++) {
      const writes = await inParallel(data.length, options, (at, count) =>
        this.write(file, offset + at, data.subarray(at, at + count), stable),
      );
      const uncommitted = writes.filter(({ committed }) => committed === 'UNSTABLE');
      if (stable === 'FILE_SYNC') return;
      const { verf } = await this.commit(file);
      if (uncommitted.every((write) => write.verf.equals(verf))) return;
    }
    throw new Error(`expected WRITE and COMMIT to agree on a verifier within ${RESENDS_MAX} resends`);
  }

  async commit(file: Buffer): Promise<Resok<'COMMIT'>> {
    return await this.call('COMMIT', { file, offset: 0n, count: 0 });
  }

  /** CREATE, UNCHECKED unless told otherwise: an existing file is taken, and its size set if `changes` has one. */
  async create(
    dir: Buffer,
    name: string | Buffer,
    changes: Changes = {},
    mode: 'UNCHECKED' | 'GUARDED' = 'UNCHECKED',
  ): Promise<Made> {
    return await this.#create(dir, name, { mode, obj_attributes: toSattr3(changes) });
  }

  /** CREATE EXCLUSIVE with a verifier of 8 bytes. A kernel sends the attributes by SETATTR afterwards. */
  async createExclusive(dir: Buffer, name: string | Buffer, verf: Buffer): Promise<Made> {
    return await this.#create(dir, name, { mode: 'EXCLUSIVE', verf });
  }

  async mkdir(dir: Buffer, name: string | Buffer, changes: Changes = {}): Promise<Made> {
    const args = { where: where(dir, name), attributes: toSattr3(changes) };
    return await this.#made(dir, name, await this.call('MKDIR', args));
  }

  async symlink(
    dir: Buffer,
    name: string | Buffer,
    target: string | Buffer,
    changes: Changes = {},
  ): Promise<Made> {
    const symlink = { symlink_attributes: toSattr3(changes), symlink_data: Buffer.from(target) };
    return await this.#made(dir, name, await this.call('SYMLINK', { where: where(dir, name), symlink }));
  }

  async remove(dir: Buffer, name: string | Buffer): Promise<Resok<'REMOVE'>> {
    return await this.call('REMOVE', { object: where(dir, name) });
  }

  async rmdir(dir: Buffer, name: string | Buffer): Promise<Resok<'RMDIR'>> {
    return await this.call('RMDIR', { object: where(dir, name) });
  }

  async rename(
    fromDir: Buffer,
    fromName: string | Buffer,
    toDir: Buffer,
    toName: string | Buffer,
  ): Promise<Resok<'RENAME'>> {
    return await this.call('RENAME', { from: where(fromDir, fromName), to: where(toDir, toName) });
  }

  async link(file: Buffer, dir: Buffer, name: string | Buffer): Promise<Resok<'LINK'>> {
    return await this.call('LINK', { file, link: where(dir, name) });
  }

  /** All entries, `.` and `..` among them, page by page. `count` in bytes. */
  async readdir(dir: Buffer, count = PAGE_BYTES): Promise<entry3[]> {
    return await allPages(async (cookie, cookieverf) =>
      this.call('READDIR', { dir, cookie, cookieverf, count }),
    );
  }

  /** All entries with what the server tells about them, page by page. `dircount` and `maxcount` in bytes. */
  async readdirplus(dir: Buffer, maxcount = PAGE_BYTES, dircount = maxcount): Promise<entryplus3[]> {
    return await allPages(async (cookie, cookieverf) =>
      this.call('READDIRPLUS', { dir, cookie, cookieverf, dircount, maxcount }),
    );
  }

  async fsstat(fsroot: Buffer): Promise<Resok<'FSSTAT'>> {
    return await this.call('FSSTAT', { fsroot });
  }

  async fsinfo(fsroot: Buffer): Promise<Resok<'FSINFO'>> {
    return await this.call('FSINFO', { fsroot });
  }

  async pathconf(object: Buffer): Promise<Resok<'PATHCONF'>> {
    return await this.call('PATHCONF', { object });
  }

  async #create(dir: Buffer, name: string | Buffer, how: createhow3): Promise<Made> {
    return await this.#made(dir, name, await this.call('CREATE', { where: where(dir, name), how }));
  }

  /** A server may leave out the new handle (RFC 1813 3.3.8): then it is looked up. */
  async #made(dir: Buffer, name: string | Buffer, resok: Resok<'CREATE'>): Promise<Made> {
    if (resok.obj === undefined) return await this.lookup(dir, name);
    return { handle: resok.obj, attributes: resok.obj_attributes };
  }
}

async function mntBy(rpc: RpcClient, path: string): Promise<Buffer> {
  const result = await rpc.call(MOUNT3, 'MNT', Buffer.from(path));
  if (result.fhs_status !== 'MNT3_OK') throw new MountStatusError(result.fhs_status);
  return result.mountinfo.fhandle;
}

const where = (dir: Buffer, name: string | Buffer) => ({ dir, name: Buffer.from(name) });

function toSattr3({ mode, uid, gid, size, atime, mtime }: Changes): sattr3 {
  return {
    mode,
    uid,
    gid,
    size: size === undefined ? undefined : BigInt(size),
    atime: toSetTime(atime),
    mtime: toSetTime(mtime),
  };
}

function toSetTime(time: nfstime3 | 'now' | undefined): set_time {
  if (time === undefined) return { set_it: 'DONT_CHANGE' };
  if (time === 'now') return { set_it: 'SET_TO_SERVER_TIME' };
  return { set_it: 'SET_TO_CLIENT_TIME', time };
}

/** `transfer` for each part of `length` bytes; the results in order. */
async function inParallel<T>(
  length: number,
  { parallel = PARALLEL, transferBytes = DATA_BYTES_MAX }: TransferOptions,
  transfer: (offset: number, count: number) => Promise<T>,
): Promise<T[]> {
  const limit = pLimit(parallel);
  const parts: Promise<T>[] = [];
  for (let offset = 0; offset < length; offset += transferBytes) {
    const count = Math.min(transferBytes, length - offset);
    parts.push(limit(() => transfer(offset, count)));
  }
  return await Promise.all(parts);
}

/** Walks a directory to its end by cookies. Fails on a cookie that comes twice (ELOOP on Linux) and on a page without end or entry. */
async function allPages<E extends { readonly cookie: bigint }>(
  next: (
    cookie: bigint,
    cookieverf: Buffer,
  ) => Promise<{
    readonly cookieverf: Buffer;
    readonly reply: { readonly entries: E[]; readonly eof: boolean };
  }>,
): Promise<E[]> {
  const entries: E[] = [];
  const seen = new Set<bigint>();
  let cookie = 0n;
  let verifier: Buffer = ZERO_VERIFIER;
  for (;;) {
    const { cookieverf, reply } = await next(cookie, verifier);
    for (const entry of reply.entries) {
      if (seen.has(entry.cookie)) throw new Error(`expected a new cookie, got ${entry.cookie} again`);
      seen.add(entry.cookie);
      entries.push(entry);
      cookie = entry.cookie;
    }
    if (reply.eof) return entries;
    if (reply.entries.length === 0) throw new Error(`expected entries or eof after cookie ${cookie}`);
    verifier = cookieverf;
  }
}
