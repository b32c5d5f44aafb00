/** Every procedure's success and failure arm, its handler called directly over the in-memory file system. */
import t from 'tap';

import { NFS3 } from '../../protocol/nfs3/program.js';
import type { sattr3 } from '../../protocol/nfs3/types.js';
import type { ArgsOf, ProcedureName, ResultOf } from '../../protocol/program.js';
import { encode, type Codec } from '../../protocol/xdr.js';
import { FsError } from '../../src/fs/errors.js';
import type { FileSystem } from '../../src/fs/file-system.js';
import { nfs3Service } from '../../src/nfs3/service.js';
import { RpcAuthError, type Call } from '../../src/rpc/service.js';
import { directCall, ROOT, userCredential } from '../support/calls.js';
import { collectLog } from '../support/collected-log.js';
import { MemoryFileSystem } from '../support/memory-file-system.js';

/** pino's numbers. */
const LOG_LEVEL = { debug: 20, warn: 40, error: 50 } as const;

type Name = ProcedureName<typeof NFS3>;
type Args<N extends Name> = ArgsOf<typeof NFS3, N>;
type Ok<N extends Name> = Extract<ResultOf<typeof NFS3, N>, { resok: unknown }>['resok'];

const UNCHANGED: sattr3 = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: { set_it: 'DONT_CHANGE' },
  mtime: { set_it: 'DONT_CHANGE' },
};
const VERIFIER = Buffer.alloc(8);
const name = (text: string): Buffer => Buffer.from(text);
const GONE = Buffer.concat([name('memfs\0\0\0'), Buffer.alloc(8, 0xff)]);

/** A service over a fresh file system, and short ways to call it. Every result is encoded, as it would be on its way out. */
async function start(fs: FileSystem = new MemoryFileSystem()) {
  const { log, lines } = collectLog();
  const { handlers } = nfs3Service({ fs, log });
  const context = {
    caller: { uid: 0, gid: 0, gids: [], address: '192.0.2.1' },
    signal: new AbortController().signal,
  };
  const root = await fs.mount(context, '/bucket');
  const run = async <N extends Name>(
    procedure: N,
    args: Args<N>,
    call: Call = directCall(),
  ): Promise<ResultOf<typeof NFS3, N>> => {
    const handler = handlers[procedure] as (args: Args<N>, call: Call) => Promise<ResultOf<typeof NFS3, N>>;
    const result = await handler(args, call);
    encode(NFS3.procedures[procedure].result as Codec<unknown>, result);
    return result;
  };
  const ok = async <N extends Name>(procedure: N, args: Args<N>, call?: Call): Promise<Ok<N>> => {
    const result = (await run(procedure, args, call)) as { status: string; resok: Ok<N> };
    if (result.status !== 'NFS3_OK') throw new Error(`${procedure} failed with ${result.status}`);
    return result.resok;
  };
  const create = async (file: string): Promise<Buffer> => {
    const { obj } = await ok('CREATE', {
      where: { dir: root, name: name(file) },
      how: { mode: 'GUARDED', obj_attributes: UNCHANGED },
    });
    if (obj === undefined) throw new Error('CREATE gave no handle');
    return obj;
  };
  const write = (file: Buffer, text: string, offset = 0n) =>
    ok('WRITE', { file, offset, count: text.length, stable: 'FILE_SYNC', data: name(text) });
  return { root, run, ok, create, write, lines };
}

await t.test('NULL answers nothing', async (t) => {
  const { run } = await start();
  t.equal(await run('NULL', undefined), undefined);
});

await t.test('GETATTR', async (t) => {
  const { root, run, ok } = await start();
  t.match((await ok('GETATTR', { object: root })).obj_attributes, { type: 'NF3DIR', nlink: 2, fileid: 1n });
  t.same(await run('GETATTR', { object: GONE }), { status: 'NFS3ERR_STALE' });
  t.same(await run('GETATTR', { object: name('?') }), { status: 'NFS3ERR_BADHANDLE' });
});

await t.test('SETATTR changes what is set, and only while the guard holds', async (t) => {
  const { run, ok, create } = await start();
  const object = await create('f');
  const { obj_attributes: before } = await ok('GETATTR', { object });
  const { obj_wcc } = await ok('SETATTR', {
    object,
    new_attributes: { ...UNCHANGED, mode: 0o600, size: 10n },
    guard: before.ctime,
  });
  t.same(obj_wcc.before, { size: 0n, mtime: before.mtime, ctime: before.ctime });
  t.match(obj_wcc.after, { mode: 0o600, size: 10n, uid: before.uid });
  const nothing = { before: undefined, after: undefined };
  t.same(
    await run('SETATTR', { object, new_attributes: { ...UNCHANGED, mode: 0o777 }, guard: before.ctime }),
    { status: 'NFS3ERR_NOT_SYNC', resfail: { obj_wcc: nothing } },
  );
  t.equal((await ok('GETATTR', { object })).obj_attributes.mode, 0o600);
  t.match(
    await run('SETATTR', { object, new_attributes: { ...UNCHANGED, size: 2n ** 60n }, guard: undefined }),
    { status: 'NFS3ERR_FBIG' },
  );
});

await t.test('LOOKUP', async (t) => {
  const { root, run, ok, create } = await start();
  const file = await create('f');
  const resok = await ok('LOOKUP', { what: { dir: root, name: name('f') } });
  t.same(resok.object, file);
  t.equal(resok.obj_attributes?.type, 'NF3REG');
  t.same(await run('LOOKUP', { what: { dir: root, name: name('g') } }), {
    status: 'NFS3ERR_NOENT',
    resfail: { dir_attributes: undefined },
  });
  t.match(await run('LOOKUP', { what: { dir: file, name: name('g') } }), { status: 'NFS3ERR_NOTDIR' });
  t.match(await run('LOOKUP', { what: { dir: root, name: Buffer.alloc(256, 'n') } }), {
    status: 'NFS3ERR_NAMETOOLONG',
  });
});

await t.test('ACCESS grants what is asked for and allowed', async (t) => {
  const { root, run, ok, create } = await start();
  const file = await create('f');
  const accessOf = async (object: Buffer, access: number, call = directCall()) =>
    (await ok('ACCESS', { object, access }, call)).access;
  t.equal(await accessOf(file, 0x3f), 0x01 | 0x04 | 0x08);
  t.equal(await accessOf(file, 0xffff_ff01), 0x01);
  t.equal(await accessOf(root, 0x3f), 0x01 | 0x02 | 0x04 | 0x08 | 0x10);
  t.equal(await accessOf(file, 0x3f, directCall(userCredential(1000))), 0x01);
  t.same(await run('ACCESS', { object: GONE, access: 1 }), {
    status: 'NFS3ERR_STALE',
    resfail: { obj_attributes: undefined },
  });
});

await t.test('SYMLINK and READLINK', async (t) => {
  const { root, run, ok, create } = await start();
  const { obj, obj_attributes } = await ok('SYMLINK', {
    where: { dir: root, name: name('l') },
    symlink: { symlink_attributes: UNCHANGED, symlink_data: name('../to') },
  });
  t.match(obj_attributes, { type: 'NF3LNK', size: 5n });
  t.same((await ok('READLINK', { symlink: obj ?? GONE })).data, name('../to'));
  t.same(await run('READLINK', { symlink: await create('f') }), {
    status: 'NFS3ERR_INVAL',
    resfail: { symlink_attributes: undefined },
  });
  t.match(
    await run('SYMLINK', {
      where: { dir: root, name: name('l') },
      symlink: { symlink_attributes: UNCHANGED, symlink_data: name('x') },
    }),
    { status: 'NFS3ERR_EXIST', resfail: { dir_wcc: { before: undefined } } },
  );
});

await t.test('READ lends the buffers of the file system until the reply is sent', async (t) => {
  const fs = new MemoryFileSystem();
  const { ok, run, create, write } = await start(fs);
  const file = await create('f');
  await write(file, 'hello world');
  const call = directCall();
  const resok = await ok('READ', { file, offset: 6n, count: 100 }, call);
  t.equal(Buffer.concat(resok.data).toString(), 'world');
  t.match(resok, { count: 5, eof: true, file_attributes: { size: 11n } });
  t.equal(fs.readsHeld, 1);
  t.equal(call.sendReply(), 1);
  t.equal(fs.readsHeld, 0);
  t.match(await ok('READ', { file, offset: 0n, count: 11 }), { count: 11, eof: true });
  t.match(await ok('READ', { file, offset: 0n, count: 10 }), { count: 10, eof: false });
  t.same(await run('READ', { file: GONE, offset: 0n, count: 1 }), {
    status: 'NFS3ERR_STALE',
    resfail: { file_attributes: undefined },
  });
});

await t.test('READ beyond any file is no bytes and eof; a count beyond 1 MiB is cut', async (t) => {
  const { ok, create, write } = await start();
  const file = await create('f');
  await write(file, 'x');
  for (const offset of [1n, 2n ** 53n - 1n, 2n ** 53n, 2n ** 64n - 1n]) {
    t.match(
      await ok('READ', { file, offset, count: 0xffffffff }),
      { count: 0, eof: true },
      `offset ${offset}`,
    );
  }
  await write(file, 'y', 2n * 1024n * 1024n);
  t.match(await ok('READ', { file, offset: 0n, count: 0xffffffff }), { count: 1024 * 1024, eof: false });
});

await t.test('READ of a directory is ISDIR, of a symlink INVAL', async (t) => {
  const { root, run, ok } = await start();
  t.match(await run('READ', { file: root, offset: 0n, count: 1 }), { status: 'NFS3ERR_ISDIR' });
  const { obj } = await ok('SYMLINK', {
    where: { dir: root, name: name('l') },
    symlink: { symlink_attributes: UNCHANGED, symlink_data: name('to') },
  });
  t.match(await run('READ', { file: obj ?? GONE, offset: 0n, count: 1 }), { status: 'NFS3ERR_INVAL' });
});

await t.test('WRITE takes everything, or nothing of data that is not as long as count says', async (t) => {
  const { run, ok, create, write } = await start();
  const file = await create('f');
  const resok = await write(file, 'abc', 2n);
  t.match(resok, {
    count: 3,
    committed: 'FILE_SYNC',
    file_wcc: { before: { size: 0n }, after: { size: 5n } },
  });
  t.equal(resok.verf.length, 8);
  for (const stable of ['UNSTABLE', 'DATA_SYNC'] as const) {
    t.match(await ok('WRITE', { file, offset: 0n, count: 1, stable, data: name('a') }), {
      committed: stable,
    });
  }
  t.match(await ok('WRITE', { file, offset: 9n, count: 0, stable: 'UNSTABLE', data: name('') }), {
    count: 0,
  });
  t.same(await run('WRITE', { file, offset: 0n, count: 4, stable: 'UNSTABLE', data: name('abc') }), {
    status: 'NFS3ERR_INVAL',
    resfail: { file_wcc: { before: undefined, after: undefined } },
  });
  t.equal((await ok('GETATTR', { object: file })).obj_attributes.size, 5n);
});

await t.test('WRITE that ends beyond 2^53 or the largest file is FBIG', async (t) => {
  const { run, create } = await start();
  const file = await create('f');
  for (const offset of [2n ** 31n, 2n ** 53n - 1n, 2n ** 64n - 1n]) {
    t.match(await run('WRITE', { file, offset, count: 1, stable: 'UNSTABLE', data: name('x') }), {
      status: 'NFS3ERR_FBIG',
    });
  }
});

await t.test('COMMIT answers with the verifier that WRITE had', async (t) => {
  const { root, run, ok, create, write } = await start();
  const file = await create('f');
  const { verf } = await write(file, 'x');
  t.same((await ok('COMMIT', { file, offset: 0n, count: 0 })).verf, verf);
  t.same((await ok('COMMIT', { file, offset: 2n ** 64n - 1n, count: 0xffffffff })).verf, verf);
  t.match(await run('COMMIT', { file: root, offset: 0n, count: 0 }), {
    status: 'NFS3ERR_ISDIR',
    resfail: { file_wcc: { before: undefined } },
  });
});

await t.test('CREATE: UNCHECKED takes and truncates what is there, GUARDED refuses it', async (t) => {
  const { root, run, ok, create, write } = await start();
  const file = await create('f');
  await write(file, 'abc');
  const where = { dir: root, name: name('f') };
  const kept = await ok('CREATE', { where, how: { mode: 'UNCHECKED', obj_attributes: UNCHANGED } });
  t.same(kept.obj, file);
  t.equal(kept.obj_attributes?.size, 3n);
  const cut = await ok('CREATE', {
    where,
    how: { mode: 'UNCHECKED', obj_attributes: { ...UNCHANGED, size: 0n } },
  });
  t.equal(cut.obj_attributes?.size, 0n);
  t.same(await run('CREATE', { where, how: { mode: 'GUARDED', obj_attributes: UNCHANGED } }), {
    status: 'NFS3ERR_EXIST',
    resfail: { dir_wcc: { before: undefined, after: undefined } },
  });
  const fresh = await ok('CREATE', {
    where: { dir: root, name: name('new') },
    how: { mode: 'UNCHECKED', obj_attributes: { ...UNCHANGED, mode: 0o640 } },
  });
  t.match(fresh.obj_attributes, { type: 'NF3REG', mode: 0o640, size: 0n });
  t.not(fresh.dir_wcc.before?.ctime, fresh.dir_wcc.after?.ctime);
});

await t.test(
  'CREATE EXCLUSIVE: the same verifier is a retransmission, another one finds the file',
  async (t) => {
    const { root, run, ok } = await start();
    const where = { dir: root, name: name('f') };
    const verf = Buffer.from('verifier');
    const { obj } = await ok('CREATE', { where, how: { mode: 'EXCLUSIVE', verf } });
    t.same((await ok('CREATE', { where, how: { mode: 'EXCLUSIVE', verf } })).obj, obj);
    t.match(await run('CREATE', { where, how: { mode: 'EXCLUSIVE', verf: Buffer.from('another1') } }), {
      status: 'NFS3ERR_EXIST',
    });
    await ok('SETATTR', {
      object: obj ?? GONE,
      new_attributes: { ...UNCHANGED, mode: 0o600 },
      guard: undefined,
    });
    t.match(await run('CREATE', { where, how: { mode: 'EXCLUSIVE', verf } }), { status: 'NFS3ERR_EXIST' });
  },
);

await t.test('MKDIR and RMDIR', async (t) => {
  const { root, run, ok } = await start();
  const where = { dir: root, name: name('d') };
  const made = await ok('MKDIR', { where, attributes: { ...UNCHANGED, mode: 0o700 } });
  t.match(made.obj_attributes, { type: 'NF3DIR', mode: 0o700 });
  t.match(await run('MKDIR', { where, attributes: UNCHANGED }), { status: 'NFS3ERR_EXIST', resfail: {} });
  const inner = { dir: made.obj ?? GONE, name: name('e') };
  await ok('MKDIR', { where: inner, attributes: UNCHANGED });
  t.match(await run('RMDIR', { object: where }), { status: 'NFS3ERR_NOTEMPTY', resfail: { dir_wcc: {} } });
  t.ok((await ok('RMDIR', { object: inner })).dir_wcc.before);
  t.equal((await ok('RMDIR', { object: where })).dir_wcc.after?.type, 'NF3DIR');
  t.match(await run('RMDIR', { object: where }), { status: 'NFS3ERR_NOENT' });
});

await t.test('MKNOD: devices and pipes are not supported, the other types are not for MKNOD', async (t) => {
  const { root, run } = await start();
  const where = { dir: root, name: name('n') };
  const resfail = { dir_wcc: { before: undefined, after: undefined } };
  const device = { dev_attributes: UNCHANGED, spec: { specdata1: 1, specdata2: 3 } };
  for (const what of [
    { type: 'NF3CHR', device },
    { type: 'NF3BLK', device },
    { type: 'NF3SOCK', pipe_attributes: UNCHANGED },
    { type: 'NF3FIFO', pipe_attributes: UNCHANGED },
  ] as const) {
    t.same(await run('MKNOD', { where, what }), { status: 'NFS3ERR_NOTSUPP', resfail });
  }
  t.same(await run('MKNOD', { where, what: { type: 'NF3REG' } }), { status: 'NFS3ERR_BADTYPE', resfail });
});

await t.test('LINK is not supported', async (t) => {
  const { root, run, create } = await start();
  t.same(await run('LINK', { file: await create('f'), link: { dir: root, name: name('g') } }), {
    status: 'NFS3ERR_NOTSUPP',
    resfail: { file_attributes: undefined, linkdir_wcc: { before: undefined, after: undefined } },
  });
});

await t.test('REMOVE', async (t) => {
  const { root, run, ok, create } = await start();
  const object = await create('f');
  const { dir_wcc } = await ok('REMOVE', { object: { dir: root, name: name('f') } });
  t.ok(dir_wcc.before && dir_wcc.after);
  t.match(await run('GETATTR', { object }), { status: 'NFS3ERR_STALE' });
  t.same(await run('REMOVE', { object: { dir: root, name: name('f') } }), {
    status: 'NFS3ERR_NOENT',
    resfail: { dir_wcc: { before: undefined, after: undefined } },
  });
});

await t.test('RENAME', async (t) => {
  const { root, run, ok, create } = await start();
  const file = await create('f');
  const from = { dir: root, name: name('f') };
  const to = { dir: root, name: name('g') };
  const resok = await ok('RENAME', { from, to });
  t.ok(resok.fromdir_wcc.after && resok.todir_wcc.after);
  t.same((await ok('LOOKUP', { what: to })).object, file);
  const nothing = { before: undefined, after: undefined };
  t.same(await run('RENAME', { from, to }), {
    status: 'NFS3ERR_NOENT',
    resfail: { fromdir_wcc: nothing, todir_wcc: nothing },
  });
});

await t.test('FSSTAT, FSINFO and PATHCONF', async (t) => {
  const { root, run, ok } = await start();
  t.match(await ok('FSSTAT', { fsroot: root }), {
    obj_attributes: { fileid: 1n },
    tbytes: 2n ** 60n,
    fbytes: 2n ** 59n,
    abytes: 2n ** 59n,
    invarsec: 0,
  });
  t.match(await ok('FSINFO', { fsroot: root }), {
    rtmax: 1048576,
    rtpref: 1048576,
    rtmult: 4096,
    wtmax: 1048576,
    wtpref: 1048576,
    wtmult: 4096,
    dtpref: 65536,
    maxfilesize: 2n ** 30n,
    time_delta: { seconds: 0, nseconds: 1 },
    properties: 0x1a,
  });
  t.match(await ok('PATHCONF', { object: root }), {
    linkmax: 1,
    name_max: 255,
    no_trunc: true,
    chown_restricted: true,
    case_insensitive: false,
    case_preserving: true,
  });
  const stale = { status: 'NFS3ERR_STALE', resfail: { obj_attributes: undefined } };
  t.same(await run('FSSTAT', { fsroot: GONE }), stale);
  t.same(await run('FSINFO', { fsroot: GONE }), stale);
  t.same(await run('PATHCONF', { object: GONE }), stale);
});

await t.test('READDIR and READDIRPLUS of something else than a directory', async (t) => {
  const { run, create } = await start();
  const dir = await create('f');
  const failed = { status: 'NFS3ERR_NOTDIR', resfail: { dir_attributes: undefined } };
  t.same(await run('READDIR', { dir, cookie: 0n, cookieverf: VERIFIER, count: 4096 }), failed);
  t.same(
    await run('READDIRPLUS', { dir, cookie: 0n, cookieverf: VERIFIER, dircount: 4096, maxcount: 4096 }),
    failed,
  );
});

await t.test('who calls: AUTH_SYS as it says, AUTH_NONE as nobody', async (t) => {
  const { root, ok } = await start();
  const ownerOf = async (file: string, call: Call) => {
    const { obj_attributes } = await ok(
      'CREATE',
      { where: { dir: root, name: name(file) }, how: { mode: 'GUARDED', obj_attributes: UNCHANGED } },
      call,
    );
    return [obj_attributes?.uid, obj_attributes?.gid];
  };
  t.same(await ownerOf('a', directCall({ flavor: 'AUTH_NONE' })), [65534, 65534]);
  t.same(await ownerOf('b', directCall(userCredential(1000, 100))), [1000, 100]);
  t.same(await ownerOf('c', directCall(ROOT)), [0, 0]);
});

/** A file system whose getattr throws what it is told to. */
class Failing extends MemoryFileSystem {
  readonly #error: unknown;
  constructor(error: unknown) {
    super();
    this.#error = error;
  }
  override async getattr(): Promise<never> {
    throw this.#error;
  }
}

await t.test('an everyday failure is logged at debug, EIO and EFAULT as warnings', async (t) => {
  for (const [code, status, level] of [
    ['ENOENT', 'NFS3ERR_NOENT', LOG_LEVEL.debug],
    ['EJUKEBOX', 'NFS3ERR_JUKEBOX', LOG_LEVEL.debug],
    ['EIO', 'NFS3ERR_IO', LOG_LEVEL.warn],
    ['EFAULT', 'NFS3ERR_SERVERFAULT', LOG_LEVEL.warn],
  ] as const) {
    const { root, run, lines } = await start(new Failing(new FsError(code, `why ${code}`)));
    t.same(await run('GETATTR', { object: root }), { status });
    t.match(lines, [{ level, msg: `why ${code}`, procedure: 'GETATTR', client: '192.0.2.1', status }]);
  }
});

await t.test('an exception that is no FsError is logged as an error and answered SERVERFAULT', async (t) => {
  const { root, run, lines } = await start(new Failing(new TypeError('a defect')));
  t.same(await run('GETATTR', { object: root }), { status: 'NFS3ERR_SERVERFAULT' });
  t.match(lines, [{ level: LOG_LEVEL.error, err: { message: 'a defect' }, procedure: 'GETATTR' }]);
});

await t.test(
  'what fails because the caller is gone is answered JUKEBOX, without an error in the log',
  async (t) => {
    const gone = AbortSignal.abort();
    const { root, run, lines } = await start(new Failing(gone.reason));
    t.same(await run('GETATTR', { object: root }, directCall(ROOT, gone)), { status: 'NFS3ERR_JUKEBOX' });
    t.match(lines, [{ level: LOG_LEVEL.debug }]);
  },
);

await t.test('a refusal that the RPC layer answers passes through', async (t) => {
  const { root, run } = await start(new Failing(new RpcAuthError('AUTH_TOOWEAK')));
  await t.rejects(run('GETATTR', { object: root }), RpcAuthError);
});
