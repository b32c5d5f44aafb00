/** What memory can answer is a value, not a promise; and what has to be waited for is waited for by all. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { FsError } from '../../src/fs/errors.js';
import type { ReadResult } from '../../src/fs/file-system.js';
import { NodeCache } from '../../src/fs/node-cache.js';
import { NodeTable } from '../../src/state/node-table.js';
import { Mounted, callerOf } from './mounted.js';

await t.test('getattr, lookup and access give fresh answers at once, and wait for others', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  const file = await m.write('f', 'bytes', { attributes: { mode: 0o600 } });
  const root = await m.root();
  await m.at('f');
  const name = Buffer.from('f');
  const ask = () => ({
    attributes: m.fs.getattr(m.context, file),
    found: m.fs.lookup(m.context, root, name),
    access: m.fs.access(m.context, file),
  });
  const atOnce = ask();
  for (const [what, answer] of Object.entries(atOnce)) t.notOk(answer instanceof Promise, what);
  t.throws(() => m.fs.access(m.context, Buffer.alloc(36)), { name: 'FsError', code: 'EBADHANDLE' });
  const before = m.store.calls.length;
  m.clock.advance(10_000);
  const later = ask();
  for (const [what, answer] of Object.entries(later)) t.ok(answer instanceof Promise, what);
  t.same(await later.attributes, atOnce.attributes, 'and say the same');
  t.same(await later.access, atOnce.access);
  t.match(await later.found, { handle: file });
  t.ok(m.store.calls.length > before, 'the store was asked');
  t.throws(() => m.fs.lookup(callerOf(7), file, name), FsError, 'a file is no directory');
});

await t.test(
  'read gives what is in memory and fresh at once, and lends it until it is released',
  async (t) => {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    const text = 'bytes of a file';
    await m.write('f', text, { attributes: { mode: 0o600, uid: 1, gid: 1 } });
    const handle = await m.at('f');
    const context = callerOf(1);
    const read = (offset = 0, count = 100) => m.fs.read(context, handle, offset, count);
    const now = (offset?: number, count?: number): ReadResult => {
      const result = read(offset, count);
      if (result instanceof Promise) throw new Error('it was not there at once');
      return result;
    };
    const fetched = read();
    t.ok(fetched instanceof Promise, 'the first has to be fetched');
    const first = await fetched;
    const calls = m.store.calls.length;
    const second = now();
    t.same(Buffer.concat([...second.slices]).toString(), text);
    t.same(second.attributes, first.attributes);
    t.match(second, { count: text.length, eof: true });
    const part = now(2, 5);
    t.same(Buffer.concat([...part.slices]).toString(), text.slice(2, 7));
    t.match(part, { count: 5, eof: false });
    t.match(now(1000), { count: 0, eof: true, slices: [] });
    t.match(now(0, 0), { count: 0, eof: false, slices: [] });
    t.equal(m.store.calls.length, calls, 'the store was not asked');
    t.throws(() => m.fs.read(callerOf(2), handle, 0, 1), { code: 'EACCES' });
    for (const lent of [first, second, part]) lent.release();
    t.throws(() => second.release(), /twice/);

    m.clock.advance(10_000);
    const stale = read();
    t.ok(stale instanceof Promise, 'attributes are asked for');
    (await stale).release();
    await m.fs.write(context, handle, 0, Buffer.from('BYTES'), 'unstable');
    const unpublished = await read();
    t.equal(
      Buffer.concat([...unpublished.slices]).toString(),
      'BYTES of a file',
      'unpublished bytes come first',
    );
    unpublished.release();
  },
);

await t.test('a handle is given when its node is certain, also to who comes second', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 's3nfsd-nodes-'));
  const table = NodeTable.open(directory, { secret: Buffer.alloc(32) });
  t.teardown(async () => {
    await table.close();
    await rm(directory, { recursive: true, force: true });
  });
  const nodes = new NodeCache(table);
  const root = nodes.root('volume');
  await nodes.settled();
  t.equal(nodes.settled(), undefined);
  nodes.entry(root, 'f', 'file');
  const first = nodes.settled();
  const second = nodes.settled();
  t.ok(first instanceof Promise);
  t.ok(second instanceof Promise, 'the node is not certain yet');
  await Promise.all([first, second]);
  t.equal(nodes.settled(), undefined);
});
