/** The contract of what directory buckets have besides: append, rename, part numbers without gaps. Asserted by capability. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { canAppend, canRename } from '../../src/store/object-store.js';
import { PLAIN, rejectsAs, type Suite } from './contract.js';

export async function directoryTests(t: Test, suite: Suite): Promise<void> {
  await partNumberTests(t, suite);
  await appendTests(t, suite);
  await renameTests(t, suite);
}

async function partNumberTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;
  const skip = store.capabilities.partNumberGaps ? 'part numbers may have gaps' : false;
  await t.test('an upload whose part numbers have a gap is refused', { skip }, async (t) => {
    const key = `${suite.prefix()}gap`;
    const uploadId = await store.createUpload(key, PLAIN);
    const second = await store.uploadPart(key, uploadId, 2, [Buffer.from('x')]);
    await rejectsAs(t, store.completeUpload(key, uploadId, [second]), 'invalid', 'part 2 alone');
    const first = await store.uploadPart(key, uploadId, 1, [Buffer.from('y')]);
    await store.completeUpload(key, uploadId, [first]);
    t.equal((await suite.read(key)).toString(), 'y');
  });
}

async function appendTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;
  if (!canAppend(store)) {
    await t.test('append', { skip: 'the store has no append' }, async () => undefined);
    return;
  }

  await t.test('append adds at the end, and makes what is not there', async (t) => {
    const key = `${suite.prefix()}log`;
    const pieces = [randomBytes(70_000), randomBytes(1), randomBytes(200_000)];
    const headers = { metadata: { kept: 'ß' }, contentType: 'text/plain' };
    const etags = new Set<string>();
    let offset = 0;
    for (const piece of pieces) {
      const body = [piece.subarray(0, 10), piece.subarray(10)].filter(({ length }) => length > 0);
      const written = await store.append(key, body, offset, offset === 0 ? { headers } : {});
      etags.add(written.etag);
      offset += piece.length;
      const head = await store.head(key);
      t.equal(head?.etag, written.etag);
      t.equal(head?.size, offset);
      t.same(head?.metadata, headers.metadata);
    }
    t.equal(etags.size, pieces.length, 'each is a version of its own');
    t.ok((await suite.read(key)).equals(Buffer.concat(pieces)));
  });

  await t.test('append anywhere else, or to another version, changes nothing', async (t) => {
    const key = `${suite.prefix()}log`;
    const old = await suite.put(key, 'old');
    const etag = await suite.put(key, 'one');
    const more = [Buffer.from('more')];
    for (const offset of [0, 2, 4]) {
      await rejectsAs(t, store.append(key, more, offset), 'precondition-failed', `at ${String(offset)}`);
    }
    const condition = { ifMatch: old };
    await rejectsAs(t, store.append(key, more, 3, { condition }), 'precondition-failed', 'another version');
    await rejectsAs(t, store.append(key, [], 3), 'invalid', 'nothing');
    t.equal((await suite.read(key)).toString(), 'one');
    await store.append(key, more, 3, { condition: { ifMatch: etag } });
    t.equal((await suite.read(key)).toString(), 'onemore');
    const signal = AbortSignal.abort();
    await rejectsAs(t, store.append(key, more, 7, { signal }), 'aborted', 'aborted');
  });

  await t.test('append goes on behind parts, and copies take what was added along', async (t) => {
    const prefix = suite.prefix();
    const key = `${prefix}parts`;
    const uploadId = await store.createUpload(key, PLAIN);
    const part = await store.uploadPart(key, uploadId, 1, [Buffer.from('part,')]);
    const { etag } = await store.completeUpload(key, uploadId, [part]);
    await store.append(key, [Buffer.from('more')], 5, { condition: { ifMatch: etag } });
    await store.copy(key, `${prefix}copy`, {});
    t.equal((await suite.read(`${prefix}copy`)).toString(), 'part,more');
  });
}

async function renameTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;
  if (!canRename(store)) {
    await t.test('rename', { skip: 'the store has no rename' }, async () => undefined);
    return;
  }

  await t.test('rename moves bytes, headers and times, odd names too', async (t) => {
    const prefix = suite.prefix();
    const headers = { metadata: { 'file-mode': '0100644', unicode: 'ß' }, contentType: 'text/plain' };
    const names = ['plain', 'a b+c%20', 'sub/é/😀', `quo"te's&<x>?#`];
    await suite.put(`${prefix}start`, 'content', headers);
    const before = await store.head(`${prefix}start`);
    let from = 'start';
    for (const name of names) {
      await store.rename(prefix + from, prefix + name);
      t.equal(await store.head(prefix + from), undefined, `${from} is gone`);
      const head = await store.head(prefix + name);
      t.match(head, { size: 7, lastModifiedMs: before?.lastModifiedMs, contentType: 'text/plain' }, name);
      t.same(head?.metadata, headers.metadata);
      t.equal((await suite.read(prefix + name)).toString(), 'content');
      from = name;
    }
    t.same((await suite.listAll({ prefix })).keys, [prefix + from]);
  });

  await t.test('rename obeys conditions on source and target', async (t) => {
    const prefix = suite.prefix();
    const [from, to] = [`${prefix}from`, `${prefix}to`];
    const source = await suite.put(from, 'source');
    const target = await suite.put(to, 'target');
    for (const options of [
      { sourceEtag: target },
      { condition: { ifNoneMatch: '*' } },
      { condition: { ifMatch: source } },
    ] as const) {
      await rejectsAs(t, store.rename(from, to, options), 'precondition-failed', JSON.stringify(options));
    }
    t.equal((await suite.read(to)).toString(), 'target');
    await store.rename(from, to, { sourceEtag: source, condition: { ifMatch: target } });
    t.equal((await suite.read(to)).toString(), 'source');
    await rejectsAs(t, store.rename(from, to), 'not-found', 'a source that is gone');
    await rejectsAs(t, store.rename(to, `${prefix}dir/`), 'invalid', 'to a name that ends in a slash');
    await rejectsAs(t, store.rename(to, to), 'invalid', 'onto itself');
    await rejectsAs(t, store.rename(to, from, { signal: AbortSignal.abort() }), 'aborted', 'aborted');
  });
}
