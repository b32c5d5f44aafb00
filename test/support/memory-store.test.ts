import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { MemoryStore } from './memory-store.js';
import { storeErrorKind } from './store-error-kind.js';

const plain = { metadata: {} };
const collect = (into: Buffer[]) => (chunk: Buffer) => {
  into.push(Buffer.from(chunk));
};

await t.test('a GET is pinned to its version and delivers its range in pieces', async (t) => {
  const store = new MemoryStore({ chunkBytes: 3 });
  const { etag } = await store.put('k', [Buffer.from('hello '), Buffer.from('world')], plain);
  const chunks: Buffer[] = [];
  const result = await store.get('k', { offset: 2, length: 7 }, { ifMatch: etag }, collect(chunks));
  t.equal(Buffer.concat(chunks).toString(), 'llo wor');
  t.equal(chunks.length, 3);
  t.match(result, { etag, length: 7, size: 11 });
  store.putNow('k', Buffer.from('other'));
  t.equal(
    await storeErrorKind(store.get('k', { offset: 0, length: 1 }, { ifMatch: etag }, collect([]))),
    'precondition-failed',
  );
});

await t.test('a held GET gives what the test delivers, and aborts', async (t) => {
  const store = new MemoryStore();
  store.putNow('k', Buffer.from('hello'));
  store.holdGets();
  const chunks: Buffer[] = [];
  const abort = new AbortController();
  const get = store.get('k', { offset: 0, length: 5 }, { signal: abort.signal }, collect(chunks));
  await store.whenHeld(1);
  store.heldGets[0]?.deliver(2);
  t.equal(Buffer.concat(chunks).toString(), 'he');
  abort.abort();
  t.equal(await storeErrorKind(get), 'aborted');
  t.equal(store.heldGets.length, 0);
  t.equal(store.getsUnderWay, 0);
});

await t.test('conditions hold for PUT, DELETE and complete', async (t) => {
  const store = new MemoryStore({ capabilities: { partBytesMin: 2 } });
  const { etag } = await store.put('k', [Buffer.from('a')], plain, { ifNoneMatch: '*' });
  t.equal(await storeErrorKind(store.put('k', [], plain, { ifNoneMatch: '*' })), 'precondition-failed');
  t.equal(await storeErrorKind(store.put('k', [], plain, { ifMatch: '"no"' })), 'precondition-failed');
  t.equal(await storeErrorKind(store.delete('k', { ifMatch: '"no"' })), 'precondition-failed');
  const id = await store.createUpload('k', plain);
  const one = await store.uploadPart('k', id, 1, [Buffer.from('bb')]);
  const two = await store.copyPart('k', id, 2, { key: 'k', etag, range: { offset: 0, length: 1 } });
  t.equal(
    await storeErrorKind(store.completeUpload('k', id, [one, two], { ifMatch: '"no"' })),
    'precondition-failed',
  );
  await store.completeUpload('k', id, [one, two], { ifMatch: etag });
  t.equal(store.objects.get('k')?.body.toString(), 'bba');
  t.match(store.objects.get('k')?.etag, /-2"$/);
  t.equal(store.uploads.size, 0);
});

await t.test('a listing pages through keys and prefixes in byte order', async (t) => {
  const store = new MemoryStore();
  for (const key of ['a/1', 'a/2', 'b', '\u{1f600}', '\uff5e']) store.putNow(key, Buffer.from(key));
  const names: string[] = [];
  let token: string | undefined;
  do {
    const page = await store.list({
      prefix: '',
      delimiter: '/',
      maxKeys: 1,
      ...(token !== undefined && { continuationToken: token }),
    });
    names.push(...page.prefixes, ...page.objects.map((object) => object.key));
    token = page.continuationToken;
  } while (token !== undefined);
  // U+FF5E sorts before U+1F600 in UTF-8, and after it in UTF-16.
  t.same(names, ['a/', 'b', '\uff5e', '\u{1f600}']);
});

await t.test('`after` fails a call that had its effect', async (t) => {
  const store = new MemoryStore();
  store.after = (call) => {
    throw new StoreError('unavailable', 'lost', { operation: call.operation, bucket: 'bucket' });
  };
  t.equal(await storeErrorKind(store.put('k', [Buffer.from('a')], plain)), 'unavailable');
  t.ok(store.objects.has('k'));
});
