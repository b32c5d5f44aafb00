/** Writes whose answer was lost (write-once.ts): their repetition is refused, and the object tells whether they took effect. */
import t from 'tap';
import { createHash } from 'node:crypto';
import type { ObjectStore } from '../../src/store/object-store.js';
import { type Answer, reset, s3Error, status } from '../support/scripted-server.js';
import { scriptedStore } from '../support/scripted-store.js';
import { storeErrorKind } from '../support/store-error-kind.js';

const content = Buffer.from('0123456789abcdefghij');
const etag = '"5eb63bbbe01eeed093cb22bb8f5acdc3"';
const headers = { metadata: {} };
const part = { partNumber: 1, etag: '"0cc175b9c0f1b6a831c399e269772661"' };

await t.test('create-only PUT whose answer was lost is ours only where the object proves it', async (t) => {
  const md5 = createHash('md5').update(content).digest('hex');
  const lost = [reset, s3Error(412, 'PreconditionFailed')];
  const object = (fields: Record<string, string> = {}): Answer =>
    status(200, {
      etag: `"${md5}"`,
      'content-length': '20',
      'last-modified': new Date().toUTCString(),
      ...fields,
    });
  const put = (store: ObjectStore): Promise<unknown> =>
    store.put('key', [content], { metadata: { mode: '1' } }, { ifNoneMatch: '*' });

  // One request at a time: the HEAD that looks for proof must not wait for the PUT's own slot.
  const ours = await scriptedStore(t, [...lost, object({ 'x-amz-meta-mode': '1' })], { maxRequests: 1 });
  t.match(await put(ours.store), { etag: `"${md5}"` });
  for (const [name, fields] of [
    ['other bytes', { etag: '"other"', 'x-amz-meta-mode': '1' }],
    ['other metadata', { 'x-amz-meta-mode': '2' }],
    [
      'written before',
      { 'x-amz-meta-mode': '1', 'last-modified': new Date(Date.now() - 60_000).toUTCString() },
    ],
  ] as const) {
    const theirs = await scriptedStore(t, [...lost, object(fields)]);
    t.equal(await storeErrorKind(put(theirs.store)), 'precondition-failed', name);
  }
  const first = await scriptedStore(t, [s3Error(412, 'PreconditionFailed')]);
  t.equal(await storeErrorKind(put(first.store)), 'precondition-failed', 'without a lost answer');
  t.equal(first.server.requests.length, 1, 'no HEAD');
});

await t.test(
  'complete whose answer was lost: NoSuchUpload is success where the ETag proves it',
  async (t) => {
    const digest = createHash('md5').update('0cc175b9c0f1b6a831c399e269772661', 'hex').digest('hex');
    const head = (version: string): Answer =>
      status(200, { etag: version, 'content-length': '1', 'last-modified': new Date().toUTCString() });
    const lost = [reset, s3Error(404, 'NoSuchUpload')];
    const ours = await scriptedStore(t, [...lost, head(`"${digest}-1"`)]);
    t.match(await ours.store.completeUpload('key', 'id', [part]), { etag: `"${digest}-1"` });
    const theirs = await scriptedStore(t, [...lost, head('"other-1"')]);
    t.equal(await storeErrorKind(theirs.store.completeUpload('key', 'id', [part])), 'not-found');
    const first = await scriptedStore(t, [s3Error(404, 'NoSuchUpload')]);
    t.equal(await storeErrorKind(first.store.completeUpload('key', 'id', [part])), 'not-found');
  },
);

await t.test('a copy whose answer was lost is known by its checksum where its ETag is another', async (t) => {
  const head = (version: string, checksum: string): Answer =>
    status(200, {
      etag: version,
      'content-length': '1',
      'last-modified': new Date().toUTCString(),
      'x-amz-checksum-crc64nvme': checksum,
      'x-amz-checksum-type': 'FULL_OBJECT',
    });
  const lost = [reset, s3Error(412, 'PreconditionFailed')];
  const copy = (store: ObjectStore): Promise<unknown> =>
    store.copy('a', 'b', { size: 1, headers, sourceEtag: '"a-2"', condition: { ifNoneMatch: '*' } });
  const ours = await scriptedStore(t, [...lost, head('"a-2"', 'sum='), head('"b"', 'sum=')]);
  t.match(await copy(ours.store), { etag: '"b"' });
  const theirs = await scriptedStore(t, [...lost, head('"a-2"', 'sum='), head('"b"', 'other=')]);
  t.equal(await storeErrorKind(copy(theirs.store)), 'precondition-failed');
  const changed = await scriptedStore(t, [...lost, head('"c"', 'sum='), head('"b"', 'sum=')]);
  t.equal(await storeErrorKind(copy(changed.store)), 'precondition-failed', 'another source by now');
});

await t.test('a delete whose answer was lost has succeeded where the object is gone', async (t) => {
  const lost = [reset, s3Error(412, 'PreconditionFailed')];
  const remove = (store: ObjectStore): Promise<void> => store.delete('key', { ifMatch: etag });
  const ours = await scriptedStore(t, [...lost, status(404)]);
  await remove(ours.store);
  t.same(
    ours.server.requests.map(({ method }) => method),
    ['DELETE', 'DELETE', 'HEAD'],
  );
  const theirs = await scriptedStore(t, [...lost, status(200, { etag: '"other"', 'content-length': '1' })]);
  t.equal(await storeErrorKind(remove(theirs.store)), 'precondition-failed', 'another version is there');
  const first = await scriptedStore(t, [s3Error(412, 'PreconditionFailed')]);
  t.equal(await storeErrorKind(remove(first.store)), 'precondition-failed', 'without a lost answer');
  t.equal(first.server.requests.length, 1, 'no HEAD');
  const missing = await scriptedStore(t, [s3Error(404, 'NoSuchKey')]);
  await t.resolves(remove(missing.store), 'what is not there is deleted');
});

const WRITES: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  put: (store) => store.put('key', [content], headers, { ifMatch: etag }),
  copy: (store) => store.copy('a', 'b', { size: 1, headers, condition: { ifMatch: etag } }),
  complete: (store) => store.completeUpload('key', 'id', [part], { ifMatch: etag }),
  delete: (store) => store.delete('key', { ifMatch: etag }),
};

for (const [name, write] of Object.entries(WRITES)) {
  await t.test(`${name}: after an answer that says it had no effect, a refusal is believed`, async (t) => {
    const { store, server } = await scriptedStore(t, [
      s3Error(503, 'SlowDown'),
      s3Error(412, 'PreconditionFailed'),
    ]);
    t.equal(await storeErrorKind(write(store)), 'precondition-failed');
    t.equal(server.requests.length, 2, 'no HEAD');
  });

  await t.test(`${name}: after a lost answer, a refusal of another kind is believed`, async (t) => {
    const { store, server } = await scriptedStore(t, [reset, s3Error(403, 'AccessDenied')]);
    t.equal(await storeErrorKind(write(store)), 'access-denied');
    t.equal(server.requests.length, 2, 'no HEAD');
  });

  await t.test(`${name}: a server that knows no conditions is asked again without`, async (t) => {
    const answer = `<R><ETag>${etag}</ETag></R>`;
    const { store, server } = await scriptedStore(t, [
      s3Error(501, 'NotImplemented'),
      name === 'delete' ? status(204) : status(200, { etag }, answer),
    ]);
    await write(store);
    t.same(
      server.requests.map((request) => request.headers['if-match']),
      [etag, undefined],
    );
    t.equal(store.capabilities.conditionalWrites, false);
  });
}
