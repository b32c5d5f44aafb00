import t from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { Mounted, callerOf } from './mounted.js';

const A = { uid: 1000, gid: 1000, fileMode: 0o600, directoryMode: 0o700 };
const B = { uid: 2000, gid: 2001, fileMode: 0o664, directoryMode: 0o775 };

await t.test('what a file carries none of is each export’s own, also after it was changed', async (t) => {
  const m = await Mounted.start({
    exports: [
      { path: '/a', prefix: '', ...A },
      { path: '/b', prefix: 'b/', ...B },
    ],
  });
  t.teardown(() => m.end());
  const me = callerOf(2000);
  m.store.putNow('b/touched', Buffer.from('x'));
  m.store.putNow('b/written', Buffer.from('x'));
  m.store.putNow('b/d/', Buffer.from(''));
  const root = await m.root('/b');
  const find = async (name: string): Promise<Handle> =>
    (await m.fs.lookup(me, root, Buffer.from(name))).handle;
  const inA = async (name: string): Promise<Handle> => {
    const { handle } = await m.fs.lookup(m.context, await m.root('/a'), Buffer.from('b'));
    return (await m.fs.lookup(m.context, handle, Buffer.from(name))).handle;
  };
  await m.fs.setattr(me, await find('touched'), { mtimeNs: 5n });
  await m.fs.write(me, await find('written'), 0, Buffer.from('new'), 'fileSync');
  await m.fs.setattr(me, await find('d'), { mtimeNs: 5n });
  await m.rest();
  for (const [when, wait] of [
    ['at once', () => undefined],
    ['once the store was asked again', () => m.clock.advance(5000)],
  ] as const) {
    wait();
    const wanted = { uid: B.uid, gid: B.gid, mode: B.fileMode };
    t.match(await m.fs.getattr(me, await find('touched')), { ...wanted, mtimeNs: 5n }, when);
    t.match(await m.fs.getattr(me, await find('written')), wanted, when);
    t.match(await m.fs.getattr(me, await find('d')), { ...wanted, mode: B.directoryMode }, when);
    t.match(await m.fs.getattr(me, await inA('written')), { uid: A.uid, gid: A.gid, mode: A.fileMode }, when);
  }
  await m.fs.setattr(me, await find('touched'), { mode: 0o640 });
  await m.rest();
  m.clock.advance(5000);
  t.match(await m.fs.getattr(me, await find('touched')), { uid: 2000, gid: 2001, mode: 0o640 });
});

await t.test('what is made without a mode has that of the export it is made through', async (t) => {
  const m = await Mounted.start({
    exports: [
      { path: '/a', prefix: 'a/', ...A },
      { path: '/b', prefix: 'b/', ...B },
    ],
  });
  t.teardown(() => m.end());
  const root = await m.root('/b');
  const name = (text: string): Buffer => Buffer.from(text);
  const guarded = { how: 'guarded', attributes: {} } as const;
  const exclusive = { how: 'exclusive', verifier: Buffer.alloc(8, 1) } as const;
  const owner = callerOf(0);
  t.match((await m.fs.create(owner, root, name('f'), guarded)).attributes, { mode: B.fileMode });
  t.match((await m.fs.create(owner, root, name('x'), exclusive)).attributes, { mode: B.fileMode });
  t.match((await m.fs.mkdir(owner, root, name('d'), {})).attributes, { mode: B.directoryMode });
});
