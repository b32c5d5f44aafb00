/** A client of the daemon: commands carried out over TCP, by whatever road, and what they were answered. */
import { setTimeout as delay } from 'node:timers/promises';
import type { entry3, entryplus3 } from '../../protocol/nfs3/messages.js';
import { NFS3 } from '../../protocol/nfs3/program.js';
import type { fattr3, nfstime3, sattr3, set_time, wcc_data } from '../../protocol/nfs3/types.js';
import type { ArgsOf, ProcedureName, ResultOf } from '../../protocol/program.js';
import { rpc_msg, type opaque_auth } from '../../protocol/rpc.js';
import { XdrReader, XdrWriter } from '../../protocol/xdr-cursors.js';
import type { Attributes, ChangeReport } from '../../src/fs/file-system.js';
import { encodeCall, RpcClient, systemCredential } from '../support/rpc-client.js';
import type { Answer, Entry } from './answer.js';
import { CALLERS, FORGED, nameBytes, writtenBytes, type Command, type Road, type Sets } from './commands.js';
import { ROOT, type Played } from './reference.js';

type Name = Exclude<ProcedureName<typeof NFS3>, 'NULL'>;
type Args<N extends Name> = ArgsOf<typeof NFS3, N>;
type Resok<N extends Name> = Extract<ResultOf<typeof NFS3, N>, { resok: unknown }>['resok'];
interface Raw {
  readonly status: string;
  readonly resok?: unknown;
}

export interface ModelClientOptions {
  readonly host: string;
  readonly port: number;
  /** What the daemon's handles are, by the step that found them. */
  readonly handles: ReadonlyMap<number, Buffer>;
}

const FORGED_HANDLE = Buffer.from('no handle of anybody');
/** After JUKEBOX the call is made anew, for so long: longer than the daemon tries at its store. */
const JUKEBOX_RETRY_MS = 50;
const JUKEBOX_TRIES_MAX = 2400;
const NO_COOKIE = Buffer.alloc(8);
const PAGES_MAX = 10_000;

/** An answer with any other status than NFS3_OK. */
class Refused extends Error {
  readonly status: string;

  constructor(status: string) {
    super(status);
    this.status = status;
  }
}

export class ModelClient {
  readonly #rpc: RpcClient;
  readonly #handles: ReadonlyMap<number, Buffer>;
  readonly #credentials: readonly opaque_auth[];
  #jukeboxes = 0;

  private constructor(rpc: RpcClient, handles: ReadonlyMap<number, Buffer>) {
    this.#rpc = rpc;
    this.#handles = handles;
    this.#credentials = CALLERS.map(({ uid, gid }) => systemCredential(uid, gid));
  }

  static async connect({ host, port, handles }: ModelClientOptions): Promise<ModelClient> {
    return new ModelClient(await RpcClient.connect({ host, port }), handles);
  }

  /** Answers of JUKEBOX so far. */
  get jukeboxes(): number {
    return this.#jukeboxes;
  }

  async close(): Promise<void> {
    await this.#rpc.close();
  }

  /** Carries a command out. `cookie`: where a PAGE goes on. */
  async run(played: Played, cookie = 0n): Promise<Answer> {
    try {
      return await this.#run(played, cookie);
    } catch (error) {
      if (error instanceof Refused) return { status: error.status };
      throw error;
    }
  }

  async getattr(object: Buffer): Promise<Attributes | undefined> {
    try {
      return attributesOf((await this.#call('GETATTR', { object }, {})).obj_attributes);
    } catch (error) {
      if (error instanceof Refused && error.status === 'NFS3ERR_STALE') return undefined;
      throw error;
    }
  }

  async content(file: Buffer): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let offset = 0; ;) {
      const { data, eof } = await this.#call('READ', { file, offset: BigInt(offset), count: 1 << 20 }, {});
      pieces.push(...data);
      const length = data.reduce((sum, each) => sum + each.length, 0);
      offset += length;
      if (eof) return Buffer.concat(pieces);
      if (length === 0) throw new Error(`READ: no bytes at ${offset} and no eof`);
    }
  }

  async readlink(symlink: Buffer): Promise<string> {
    return (await this.#call('READLINK', { symlink }, {})).data.toString('utf8');
  }

  async commit(file: Buffer): Promise<void> {
    await this.#call('COMMIT', { file, offset: 0n, count: 0 }, {});
  }

  /** All entries but `..`, with attributes and handles, each once. */
  async entries(dir: Buffer): Promise<readonly Entry[]> {
    return await this.#list('READDIRPLUS', dir, 65_536, {});
  }

  async #run({ command, slots, step }: Played, cookie: bigint): Promise<Answer> {
    const handleIn = (slot: number): Buffer => {
      if (slot === FORGED) return FORGED_HANDLE;
      const handle = this.#handles.get(slots[slot % slots.length] ?? ROOT);
      if (handle === undefined) throw new Error('a slot without a handle');
      return handle;
    };
    const where = (dir: number, name: string) => ({ dir: handleIn(dir), name: nameBytes(name) });
    const ok = { status: 'NFS3_OK' };
    switch (command.op) {
      case 'GETATTR': {
        const { obj_attributes } = await this.#call('GETATTR', { object: handleIn(command.file) }, command);
        return { ...ok, ...told('object', obj_attributes) };
      }
      case 'SETATTR': {
        const object = handleIn(command.file);
        const new_attributes = toSattr3(command.set);
        const guard = command.guard && (await this.#guard(object, command.guard));
        const { obj_wcc } = await this.#call('SETATTR', { object, new_attributes, guard }, command);
        return { ...ok, changes: [change('object', obj_wcc)] };
      }
      case 'LOOKUP': {
        const { object, obj_attributes } = await this.#call(
          'LOOKUP',
          { what: where(command.dir, command.name) },
          command,
        );
        return { ...ok, ...told('object', obj_attributes, object), found: object };
      }
      case 'ACCESS': {
        const { file, access } = command;
        const answer = await this.#call('ACCESS', { object: handleIn(file), access }, command);
        return { ...ok, data: answer.access, ...told('object', answer.obj_attributes) };
      }
      case 'READLINK': {
        const answer = await this.#call('READLINK', { symlink: handleIn(command.file) }, command);
        return { ...ok, data: answer.data.toString('utf8'), ...told('object', answer.symlink_attributes) };
      }
      case 'READ': {
        const { offset, count } = command;
        const args = { file: handleIn(command.file), offset: BigInt(offset), count };
        const { data, eof, file_attributes, ...answer } = await this.#call('READ', args, command);
        const bytes = Buffer.concat(data);
        if (bytes.length !== answer.count)
          return { status: `count ${answer.count} for ${bytes.length} bytes` };
        return { ...ok, data: { eof }, bytes, ...told('object', file_attributes) };
      }
      case 'WRITE': {
        const data = writtenBytes(step, command.length);
        const { offset, stable } = command;
        const args = {
          file: handleIn(command.file),
          offset: BigInt(offset),
          count: data.length,
          stable,
          data,
        };
        const { count, committed, file_wcc, verf } = await this.#call('WRITE', args, command);
        const levels = ['UNSTABLE', 'DATA_SYNC', 'FILE_SYNC'];
        if (levels.indexOf(committed) < levels.indexOf(stable))
          return { status: `${committed} for ${stable}` };
        const verifier = verf.toString('hex');
        return { ...ok, data: { count }, changes: [change('object', file_wcc)], verifier };
      }
      case 'COMMIT': {
        const args = { file: handleIn(command.file), offset: 0n, count: 0 };
        const { file_wcc, verf } = await this.#call('COMMIT', args, command);
        return { ...ok, changes: [change('object', file_wcc)], verifier: verf.toString('hex') };
      }
      case 'CREATE': {
        const how = { mode: command.how, obj_attributes: toSattr3(command.set) };
        return made(await this.#call('CREATE', { where: where(command.dir, command.name), how }, command));
      }
      case 'CREATE EXCLUSIVE': {
        const how = { mode: 'EXCLUSIVE' as const, verf: Buffer.alloc(8, command.verifier) };
        return made(await this.#call('CREATE', { where: where(command.dir, command.name), how }, command));
      }
      case 'MKDIR': {
        const args = { where: where(command.dir, command.name), attributes: toSattr3(command.set) };
        return made(await this.#call('MKDIR', args, command));
      }
      case 'SYMLINK': {
        const symlink_data = Buffer.from(command.target);
        const symlink = { symlink_attributes: toSattr3(command.set), symlink_data };
        return made(
          await this.#call('SYMLINK', { where: where(command.dir, command.name), symlink }, command),
        );
      }
      case 'MKNOD': {
        const { type } = command;
        const what = type === 'NF3REG' ? { type } : { type, pipe_attributes: toSattr3({}) };
        return made(await this.#call('MKNOD', { where: where(command.dir, command.name), what }, command));
      }
      case 'REMOVE':
      case 'RMDIR': {
        const args = { object: where(command.dir, command.name) };
        const { dir_wcc } = await this.#call(command.op, args, command);
        return { ...ok, changes: [change('directory', dir_wcc)] };
      }
      case 'RENAME': {
        const from = where(command.dir, command.name);
        const to = where(command.toDir, command.toName);
        const { fromdir_wcc, todir_wcc } = await this.#call('RENAME', { from, to }, command);
        return { ...ok, changes: [change('from', fromdir_wcc), change('to', todir_wcc)] };
      }
      case 'LINK': {
        const link = where(command.dir, command.name);
        await this.#call('LINK', { file: handleIn(command.file), link }, command);
        return ok;
      }
      case 'READDIR':
      case 'READDIRPLUS':
        return {
          ...ok,
          entries: await this.#list(command.op, handleIn(command.dir), command.count, command),
        };
      case 'PAGE': {
        const page = await this.#page('READDIRPLUS', handleIn(command.dir), cookie, command.count, command);
        const last = page.entries.at(-1)?.cookie ?? cookie;
        return { ...ok, entries: page.entries.map(toEntry), page: { cookie: last, end: page.eof } };
      }
      case 'FSSTAT': {
        const answer = await this.#call('FSSTAT', { fsroot: handleIn(command.file) }, command);
        const full = answer.fbytes === 0n || answer.tbytes < answer.fbytes;
        return { ...ok, data: { full }, ...told('object', answer.obj_attributes) };
      }
      case 'FSINFO': {
        const answer = await this.#call('FSINFO', { fsroot: handleIn(command.file) }, command);
        const { rtmax, wtmax, properties } = answer;
        return { ...ok, data: { rtmax, wtmax, properties }, ...told('object', answer.obj_attributes) };
      }
      case 'PATHCONF': {
        const answer = await this.#call('PATHCONF', { object: handleIn(command.file) }, command);
        const { obj_attributes, ...data } = answer;
        return { ...ok, data, ...told('object', obj_attributes) };
      }
    }
  }

  async #guard(object: Buffer, guard: 'right' | 'wrong'): Promise<nfstime3> {
    const { ctime } = (await this.#call('GETATTR', { object }, {})).obj_attributes;
    return guard === 'right' ? ctime : { ...ctime, nseconds: (ctime.nseconds + 1) % 1_000_000_000 };
  }

  async #list(
    name: 'READDIR' | 'READDIRPLUS',
    dir: Buffer,
    count: number,
    command: Pick<Command, 'as' | 'road'>,
  ): Promise<readonly Entry[]> {
    const entries: (entry3 | entryplus3)[] = [];
    let cookie = 0n;
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const page = await this.#page(name, dir, cookie, count, command);
      entries.push(...page.entries);
      cookie = page.entries.at(-1)?.cookie ?? cookie;
      if (page.eof) break;
      if (page.entries.length === 0) throw new Error('an empty page that is not the end');
    }
    const cookies = new Set(entries.map((entry) => entry.cookie));
    if (cookies.size < entries.length) throw new Error('a cookie came twice');
    return entries.filter((entry) => entry.name.toString() !== '..').map(toEntry);
  }

  async #page(
    name: 'READDIR' | 'READDIRPLUS',
    dir: Buffer,
    cookie: bigint,
    count: number,
    command: Pick<Command, 'as' | 'road'>,
  ): Promise<{ readonly entries: readonly (entry3 | entryplus3)[]; readonly eof: boolean }> {
    const at = { dir, cookie, cookieverf: NO_COOKIE };
    const resok =
      name === 'READDIR'
        ? await this.#call('READDIR', { ...at, count }, command)
        : await this.#call('READDIRPLUS', { ...at, dircount: count, maxcount: count }, command);
    const writer = new XdrWriter();
    NFS3.procedures[name].result.encode(writer, { status: 'NFS3_OK', resok } as never);
    // The status is no part of what the count bounds.
    if (writer.length - 4 > count)
      throw new Error(`${name}: ${writer.length - 4} bytes, at most ${count} were asked for`);
    return resok.reply;
  }

  async #call<N extends Name>(
    name: N,
    args: Args<N>,
    { as = 0, road }: Pick<Command, 'as' | 'road'>,
  ): Promise<Resok<N>> {
    const procedure = NFS3.procedures[name];
    const writer = new XdrWriter();
    procedure.args.encode(writer, args as never);
    const bytes = Buffer.concat(writer.finish());
    const target = { prog: NFS3.number, vers: NFS3.version, proc: procedure.number };
    const credential = this.#credentials[as] ?? systemCredential(0, 0);
    for (let tries = 0; tries < JUKEBOX_TRIES_MAX; tries++) {
      const message = encodeCall(this.#rpc.nextXid(), target, bytes, { credential });
      const result = resultOf(
        procedure.result,
        await this.#exchange(message, road, 'nonIdempotent' in procedure),
      );
      if (result.status === 'NFS3_OK') return result.resok as Resok<N>;
      if (result.status !== 'NFS3ERR_JUKEBOX') throw new Refused(result.status);
      this.#jukeboxes++;
      await delay(JUKEBOX_RETRY_MS);
    }
    throw new Refused('NFS3ERR_JUKEBOX');
  }

  /** The reply to a message that is sent by this road. */
  async #exchange(message: Buffer, road: Road | undefined, executedOnce: boolean): Promise<Buffer> {
    if (road === undefined) return await this.#rpc.exchange(message);
    if (road === 'twice') {
      const [first, second] = await Promise.all([this.#rpc.exchange(message), this.#rpc.exchange(message)]);
      if (executedOnce && !first.equals(second)) throw new Error('a retransmission got another answer');
      return second;
    }
    // The reply of the first is lost with its connection.
    const lost = this.#rpc.exchange(message).catch(() => undefined);
    const turns = road === 'cut at once' ? 1 : 20;
    for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    await this.#rpc.reconnect();
    await lost;
    return await this.#rpc.exchange(message);
  }
}

function resultOf(codec: { decode(reader: XdrReader): unknown }, reply: Buffer): Raw {
  const reader = new XdrReader(reply);
  const { body } = rpc_msg.decode(reader);
  const accepted =
    body.mtype === 'REPLY' && body.rbody.reply_stat === 'MSG_ACCEPTED' ? body.rbody.areply : undefined;
  if (accepted?.reply_data.stat !== 'SUCCESS') throw new Error(`refused: ${JSON.stringify(body)}`);
  const result = codec.decode(reader) as Raw;
  reader.end();
  return result;
}

const nsOf = ({ seconds, nseconds }: nfstime3): bigint => BigInt(seconds) * 1_000_000_000n + BigInt(nseconds);

const TYPES = { NF3REG: 'file', NF3DIR: 'directory', NF3LNK: 'symlink' } as const;

function attributesOf(attributes: fattr3): Attributes {
  const { mode, nlink, uid, gid, size, used, fsid, fileid, atime, mtime, ctime } = attributes;
  const type = TYPES[attributes.type as keyof typeof TYPES];
  if (type === undefined) throw new Error(`a file of type ${attributes.type}`);
  const times = { atimeNs: nsOf(atime), mtimeNs: nsOf(mtime), ctimeNs: nsOf(ctime) };
  return { type, mode, nlink, uid, gid, size: Number(size), used: Number(used), fsid, fileid, ...times };
}

function told(role: string, attributes: fattr3 | undefined, handle?: Buffer): Pick<Answer, 'told'> {
  if (attributes === undefined) return {};
  return { told: [{ role, attributes: attributesOf(attributes), ...(handle !== undefined && { handle }) }] };
}

function change(role: string, { before, after }: wcc_data): ChangeReport & { readonly role: string } {
  return {
    role,
    ...(before !== undefined && {
      before: { size: Number(before.size), mtimeNs: nsOf(before.mtime), ctimeNs: nsOf(before.ctime) },
    }),
    ...(after !== undefined && { after: attributesOf(after) }),
  };
}

function made({ obj, obj_attributes, dir_wcc }: Resok<'CREATE'>): Answer {
  return {
    status: 'NFS3_OK',
    ...told('object', obj_attributes, obj),
    changes: [change('directory', dir_wcc)],
    ...(obj !== undefined && { found: obj }),
  };
}

function toEntry(entry: entry3 | entryplus3): Entry {
  const { name, fileid } = entry;
  const { name_attributes: attributes, name_handle: handle } = entry as Partial<entryplus3>;
  return {
    name: name.toString('utf8'),
    fileid,
    ...(attributes !== undefined && { attributes: attributesOf(attributes) }),
    ...(handle !== undefined && { handle }),
  };
}

function toSattr3({ mode, uid, gid, size, atime, mtime }: Sets): sattr3 {
  const time = (set: Sets['atime']): set_time => {
    if (set === undefined) return { set_it: 'DONT_CHANGE' };
    if (set === 'now') return { set_it: 'SET_TO_SERVER_TIME' };
    return { set_it: 'SET_TO_CLIENT_TIME', time: { seconds: set[0], nseconds: set[1] } };
  };
  const times = { atime: time(atime), mtime: time(mtime) };
  return { mode, uid, gid, size: size === undefined ? undefined : BigInt(size), ...times };
}
