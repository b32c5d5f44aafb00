/** The reference model itself: the POSIX rules that the real file system is measured by. */
import t from 'tap';

import type { FsErrorCode } from '../../src/fs/errors.js';
import { FsError } from '../../src/fs/errors.js';
import type { Context, Handle } from '../../src/fs/file-system.js';
import { MemoryFileSystem } from './memory-file-system.js';

const as = (uid: number, gids: readonly number[] = []): Context => ({
  caller: { uid, gid: uid, gids, address: '192.0.2.1' },
  signal: new AbortController().signal,
});
const ROOT = as(0);
const b = (text: string): Buffer => Buffer.from(text);

async function start() {
  const fs = new MemoryFileSystem();
  const root = await fs.mount(ROOT, '/bucket');
  return {
    fs,
    root,
    file: async (dir: Handle, name: string, mode = 0o644, who = ROOT) =>
      (await fs.create(who, dir, b(name), { how: 'guarded', attributes: { mode } })).handle,
    dir: async (dir: Handle, name: string, mode = 0o755, who = ROOT) =>
      (await fs.mkdir(who, dir, b(name), { mode })).handle,
    names: async (dir: Handle) =>
      (await fs.readdir(ROOT, dir, 2n, 1000)).entries.map(({ name }) => name.toString()),
    content: async (file: Handle) => {
      const result = await fs.read(ROOT, file, 0, 1_000_000);
      const text = Buffer.concat(result.slices).toString();
      result.release();
      return text;
    },
  };
}

/** The code that an operation fails with. */
async function codeOf(operation: Promise<unknown>): Promise<FsErrorCode | 'ok'> {
  try {
    await operation;
    return 'ok';
  } catch (error) {
    if (error instanceof FsError) return error.code;
    throw error;
  }
}

await t.test('mount: the export, directories below it, and nothing else', async (t) => {
  const { fs, root, dir, file } = await start();
  const inner = await dir(await dir(root, 'a'), 'b');
  await file(root, 'f');
  t.same(await fs.mount(ROOT, '/bucket/a/b/'), inner);
  t.equal(await codeOf(fs.mount(ROOT, '/other')), 'ENOENT');
  t.equal(await codeOf(fs.mount(ROOT, '/bucket/none')), 'ENOENT');
  t.equal(await codeOf(fs.mount(ROOT, '/bucket/f')), 'ENOTDIR');
});

await t.test('rename: the target is replaced where POSIX says so', async (t) => {
  const { fs, root, file, dir, names } = await start();
  const f = await file(root, 'f');
  await file(root, 'g');
  const d = await dir(root, 'd');
  const e = await dir(root, 'e');
  await file(e, 'inner');
  const rename = (from: string, to: string, at = root) => codeOf(fs.rename(ROOT, root, b(from), at, b(to)));
  t.equal(await rename('f', 'd'), 'EISDIR');
  t.equal(await rename('d', 'f'), 'ENOTDIR');
  t.equal(await rename('d', 'e'), 'ENOTEMPTY');
  t.equal(await rename('e', 'below', e), 'EINVAL', 'into itself');
  t.equal(await rename('.', 'x'), 'EINVAL');
  t.equal(await rename('none', 'x'), 'ENOENT');
  t.same(await names(root), ['f', 'g', 'd', 'e'], 'nothing has changed');
  t.equal(await rename('f', 'f'), 'ok');
  t.equal(await rename('f', 'g'), 'ok', 'file over file');
  t.equal(await rename('e', 'd'), 'ok', 'directory over empty directory');
  t.same(await names(root), ['g', 'd']);
  t.same((await fs.lookup(ROOT, root, b('g'))).handle, f, 'the handle moves along');
  t.equal(await codeOf(fs.getattr(ROOT, d)), 'ESTALE', 'what was replaced is gone');
  t.same((await fs.lookup(ROOT, e, b('..'))).handle, root);
});

await t.test(
  'rename moves both directories times and the ctime of the file; onto itself it moves none',
  async (t) => {
    const { fs, root, file, dir } = await start();
    const d = await dir(root, 'd');
    const f = await file(root, 'f');
    const before = await Promise.all([root, d, f].map((each) => fs.getattr(ROOT, each)));
    await fs.rename(ROOT, root, b('f'), root, b('f'));
    t.same(await Promise.all([root, d, f].map((each) => fs.getattr(ROOT, each))), before);
    await fs.rename(ROOT, root, b('f'), d, b('f'));
    const after = await Promise.all([root, d, f].map((each) => fs.getattr(ROOT, each)));
    for (const [i, then] of before.entries()) {
      const now = after[i];
      if (now === undefined) throw new Error('no attributes');
      t.ok(now.ctimeNs > then.ctimeNs);
      t.equal(now.mtimeNs > then.mtimeNs, then.type === 'directory');
    }
  },
);

await t.test('remove and rmdir keep to their kinds', async (t) => {
  const { fs, root, file, dir } = await start();
  await file(await dir(root, 'd'), 'f');
  await file(root, 'f');
  t.equal(await codeOf(fs.remove(ROOT, root, b('d'))), 'EISDIR');
  t.equal(await codeOf(fs.rmdir(ROOT, root, b('f'))), 'ENOTDIR');
  t.equal(await codeOf(fs.rmdir(ROOT, root, b('d'))), 'ENOTEMPTY');
  t.equal(await codeOf(fs.rmdir(ROOT, root, b('.'))), 'EINVAL');
  t.equal(await codeOf(fs.rmdir(ROOT, root, b('..'))), 'ENOTEMPTY');
  t.equal(await codeOf(fs.remove(ROOT, root, b('none'))), 'ENOENT');
});

await t.test('names: empty, with a slash or NUL, not UTF-8, too long', async (t) => {
  const { fs, root } = await start();
  const create = (name: Buffer) => codeOf(fs.create(ROOT, root, name, { how: 'unchecked', attributes: {} }));
  for (const name of [b(''), b('a/b'), b('a\0'), Buffer.from([0xff])]) t.equal(await create(name), 'EINVAL');
  t.equal(await create(Buffer.alloc(256, 'n')), 'ENAMETOOLONG');
  t.equal(await create(Buffer.alloc(255, 'n')), 'ok');
  t.equal(await create(b('.')), 'EEXIST');
});

await t.test('holes and what lies behind a truncation read as zeros', async (t) => {
  const { fs, root, file, content } = await start();
  const f = await file(root, 'f');
  await fs.write(ROOT, f, 3, b('xyz'), 'unstable');
  t.equal(await content(f), '\0\0\0xyz');
  await fs.setattr(ROOT, f, { size: 4 });
  await fs.setattr(ROOT, f, { size: 6 });
  t.equal(await content(f), '\0\0\0x\0\0');
  await fs.setattr(ROOT, f, { size: 1 });
  await fs.write(ROOT, f, 5, b('!'), 'unstable');
  t.equal(await content(f), '\0\0\0\0\0!');
  t.equal(await codeOf(fs.setattr(ROOT, root, { size: 0 })), 'EISDIR');
  t.equal(await codeOf(fs.setattr(ROOT, f, { size: 2 ** 40 })), 'EFBIG');
  t.equal(await codeOf(fs.write(ROOT, f, 2 ** 40, b('!'), 'unstable')), 'EFBIG');
  t.equal((await fs.write(ROOT, f, 2 ** 40, b(''), 'unstable')).count, 0, 'nothing fits anywhere');
});

await t.test('cookies resume after entries that are gone, and new entries come behind them', async (t) => {
  const { fs, root, file } = await start();
  for (const name of ['a', 'b', 'c']) await file(root, name);
  const { entries, end } = await fs.readdir(ROOT, root, 0n, 4);
  t.same(
    entries.map(({ name, cookie }) => [name.toString(), cookie]),
    [
      ['.', 1n],
      ['..', 2n],
      ['a', 3n],
      ['b', 4n],
    ],
  );
  t.equal(end, false);
  await fs.remove(ROOT, root, b('b'));
  await file(root, 'd');
  const rest = await fs.readdir(ROOT, root, 4n, 100);
  t.same(
    rest.entries.map(({ name }) => name.toString()),
    ['c', 'd'],
  );
  t.equal(rest.end, true);
});

await t.test('permissions: owner, group and others by their bits', async (t) => {
  const { fs, root, file, dir } = await start();
  const f = await file(root, 'f', 0o640, as(10));
  const write = (who: Context) => codeOf(fs.write(who, f, 0, b('x'), 'unstable'));
  const read = async (who: Context) => codeOf(fs.read(who, f, 0, 1).then((result) => result.release()));
  t.same([await write(as(10)), await write(as(11, [10])), await write(as(11))], ['ok', 'EACCES', 'EACCES']);
  t.same([await read(as(10)), await read(as(11, [10])), await read(as(11))], ['ok', 'ok', 'EACCES']);
  t.equal(await codeOf(fs.setattr(as(11), f, { mode: 0o777 })), 'EPERM');
  t.equal(await codeOf(fs.setattr(as(10), f, { uid: 11 })), 'EPERM', 'chown is for root');
  t.equal(await codeOf(fs.setattr(as(10, [20]), f, { gid: 20 })), 'ok', 'chgrp to a group of the owner');
  t.equal(await codeOf(fs.setattr(as(10), f, { gid: 30 })), 'EPERM');
  const closed = await dir(root, 'closed', 0o700, as(10));
  t.equal(await codeOf(fs.lookup(as(11), closed, b('x'))), 'EACCES');
  t.equal(await codeOf(fs.readdir(as(11), closed, 0n, 10)), 'EACCES');
  const sticky = await dir(root, 'sticky', 0o1777);
  await file(sticky, 'mine', 0o666, as(10));
  t.equal(await codeOf(fs.remove(as(11), sticky, b('mine'))), 'EPERM');
  t.equal(await codeOf(fs.remove(as(10), sticky, b('mine'))), 'ok');
});

await t.test('a create that fails leaves nothing behind', async (t) => {
  const { fs, root, names } = await start();
  const foreign = { how: 'guarded', attributes: { uid: 0 } } as const;
  t.equal(await codeOf(fs.create(as(10), root, b('f'), foreign)), 'EPERM');
  t.equal(await codeOf(fs.mkdir(ROOT, root, b('d'), { size: 1 })), 'EINVAL');
  t.same(await names(root), []);
});
