import t from 'tap';
import type { ObjectVersion } from '../../src/memory/byte-slices.js';
import type { ObjectHeaders } from '../../src/store/object-store.js';
import { StoreError } from '../../src/store/errors.js';
import { fileBytesMax } from '../../src/write/part-map.js';
import { storeErrorKind } from '../support/store-error-kind.js';
import { KIB, pattern, readAll, SessionBench } from './session-bench.js';

const MIB = KIB * KIB;
const S3_PARTS = { capabilities: {} };
const HEADERS = { metadata: {} };

await t.test('a new small file is one PUT', async (t) => {
  const bench = await SessionBench.make({ store: S3_PARTS });
  t.teardown(() => bench.close());
  const session = bench.session('a', undefined, {});
  t.equal(session.dirty, true);
  await session.write(5, Buffer.from('world'));
  await session.write(0, Buffer.from('hello'));
  t.equal(session.size, 10);
  t.equal(session.bytesHeld, 4 * KIB);
  const version = await session.publish({ key: 'a', headers: HEADERS, condition: { ifNoneMatch: '*' } });
  t.same(bench.requests, ['PutObject 10']);
  t.same(bench.store.calls[0]?.condition, { ifNoneMatch: '*' });
  t.equal(String(bench.body('a')), 'helloworld');
  t.equal(version.etag, bench.store.objects.get('a')?.etag);
  t.equal(version.size, 10);
  t.equal(session.dirty, false);
  t.equal(session.bytesHeld, 0);
  t.equal(bench.budget.usedBytes, 0);
});

await t.test('an empty file is a PUT of nothing', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  await bench.session('a').publish({ key: 'a', headers: HEADERS });
  t.same(bench.requests, ['PutObject 0']);
});

await t.test('20 MiB in sequence: parts go out while data arrives', async (t) => {
  const bench = await SessionBench.make({ store: S3_PARTS });
  t.teardown(() => bench.close());
  const session = bench.session('a', undefined, {});
  const data = pattern(20 * MIB);
  const bothOut = new Promise<void>((resolve) => {
    bench.store.after = () => {
      if (bench.store.countOf('UploadPart') === 2) resolve();
    };
  });
  for (let at = 0; at < 8 * MIB; at += MIB) await session.write(at, data.subarray(at, at + MIB));
  t.same(bench.requests, [], 'a file of one part may yet be a PUT');
  for (let at = 8 * MIB; at < data.length; at += MIB) await session.write(at, data.subarray(at, at + MIB));
  await bothOut;
  t.same(bench.requests, ['CreateMultipartUpload', `UploadPart 1 ${8 * MIB}`, `UploadPart 2 ${8 * MIB}`]);
  t.equal(bench.journal.size, 1, 'the upload is journaled');
  await session.publish({ key: 'a', headers: HEADERS });
  t.same(bench.requests.slice(3), [`UploadPart 3 ${4 * MIB}`, 'CompleteMultipartUpload']);
  t.ok(bench.body('a')?.equals(data));
  t.equal(bench.journal.size, 0);
  t.equal(bench.budget.usedBytes, 0);
});

await t.test('an append to a large object copies it inside the store', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const body = pattern(330 * KIB);
  const session = bench.session('a', bench.put('a', body));
  await session.write(body.length, Buffer.from('more'));
  await session.publish({ key: 'a', headers: HEADERS });
  const writes = bench.requests.filter((request) => !request.startsWith('GetObject'));
  t.equal(writes.shift(), 'CreateMultipartUpload');
  t.equal(writes.pop(), 'CompleteMultipartUpload');
  t.same(writes.sort(), ['UploadPart 21 4', `UploadPartCopy 1 0+${330 * KIB}`]);
  t.equal(bench.requests.length, 4, 'nothing of the base came through here');
  t.ok(bench.body('a')?.equals(Buffer.concat([body, Buffer.from('more')])));
});

await t.test('an append at the end of a part sends nothing of the base', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const session = bench.session('a', bench.put('a', pattern(64 * KIB)));
  await session.write(64 * KIB, Buffer.from('more'));
  await session.publish({ key: 'a', headers: HEADERS });
  t.same(bench.requests, [
    'CreateMultipartUpload',
    `UploadPartCopy 1 0+${64 * KIB}`,
    'UploadPart 5 4',
    'CompleteMultipartUpload',
  ]);
});

await t.test('4 KiB in place in a large object: one part is read and sent, the rest copied', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const body = pattern(160 * KIB);
  const session = bench.session('a', bench.put('a', body));
  const change = pattern(4 * KIB, 2);
  await session.write(36 * KIB, change);
  await session.publish({ key: 'a', headers: HEADERS, condition: { ifMatch: '"x"' } }).catch(() => undefined);
  t.equal(bench.store.countOf('UploadPartCopy'), 2);
  t.equal(bench.store.countOf('UploadPart'), 1);
  t.same(bench.requests.filter((request) => request.startsWith('UploadPartCopy')).sort(), [
    `UploadPartCopy 1 0+${32 * KIB}`,
    `UploadPartCopy 4 ${48 * KIB}+${112 * KIB}`,
  ]);
  await session.publish({ key: 'a', headers: HEADERS });
  change.copy(body, 36 * KIB);
  t.ok(bench.body('a')?.equals(body));
});

await t.test('a failed publication loses nothing, and a sibling key takes it', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(100 * KIB);
  const session = bench.session('a');
  await session.write(0, data);
  bench.put('a', Buffer.from('the winner'));
  const condition = { ifNoneMatch: '*' } as const;
  t.equal(
    await storeErrorKind(session.publish({ key: 'a', headers: HEADERS, condition })),
    'precondition-failed',
  );
  t.equal(session.dirty, true);
  t.ok((await readAll(session)).equals(data));
  await session.publish({ key: 'a.conflict', headers: HEADERS, condition });
  t.equal(String(bench.body('a')), 'the winner');
  t.ok(bench.body('a.conflict')?.equals(data));
  t.equal(bench.store.uploads.size, 0, 'the upload to the contested key was aborted');
  t.equal(bench.journal.size, 0);
  t.equal(bench.budget.usedBytes, 0);
});

await t.test('truncation hides the base for good; growth is zeros', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const session = bench.session('a', bench.put('a', Buffer.from('0123456789')));
  await session.truncate(4);
  await session.truncate(8);
  t.equal(String(await readAll(session)), '0123\0\0\0\0');
  await session.publish({ key: 'a', headers: HEADERS });
  t.equal(String(bench.body('a')), '0123\0\0\0\0');
  await session.truncate(0);
  await session.publish({ key: 'a', headers: HEADERS });
  t.equal(bench.body('a')?.length, 0);
  t.same(bench.requests.slice(-1), ['PutObject 0']);
});

await t.test('a write to an uploaded part sends it again, at publication', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  const out = new Promise<void>((resolve) => {
    bench.store.after = ({ operation, partNumber }) => {
      if (operation === 'UploadPart' && partNumber === 2) resolve();
    };
  });
  await session.write(0, data);
  await out;
  await session.write(10, Buffer.from('!'));
  data.write('!', 10);
  t.equal(bench.store.countOf('UploadPart'), 2);
  await session.publish({ key: 'a', headers: HEADERS });
  t.same(
    bench.store.calls
      .filter(({ operation }) => operation === 'UploadPart')
      .map(({ partNumber }) => partNumber),
    [1, 2, 1, 3],
  );
  t.ok(bench.body('a')?.equals(data));
});

await t.test('a part that fails to go out early goes out at publication', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  bench.store.before = ({ operation }) => {
    if (operation === 'UploadPart') throw new Error('the network is down');
  };
  await session.write(0, data);
  await t.rejects(session.publish({ key: 'a', headers: HEADERS }), { message: 'the network is down' });
  bench.store.before = undefined;
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
  t.equal(bench.store.countOf('CreateMultipartUpload'), 1, 'the upload is used again');
});

await t.test('an upload that vanished is begun again', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  bench.store.before = ({ operation }) => {
    if (operation === 'CompleteMultipartUpload' && bench.store.countOf(operation) === 1)
      bench.store.uploads.clear();
  };
  await session.write(0, data);
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
  t.equal(bench.store.countOf('CreateMultipartUpload'), 2);
  t.equal(bench.journal.size, 0);
});

await t.test('a completion whose answer was lost is found by its ETag', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  bench.store.after = ({ operation }) => {
    if (operation === 'CompleteMultipartUpload') throw new Error('connection reset');
  };
  await session.write(0, data);
  await t.rejects(session.publish({ key: 'a', headers: HEADERS }), { message: 'connection reset' });
  bench.store.after = undefined;
  const version = await session.publish({ key: 'a', headers: HEADERS, condition: { ifNoneMatch: '*' } });
  t.equal(version.etag, bench.store.objects.get('a')?.etag);
  t.equal(bench.store.countOf('CreateMultipartUpload'), 1);
  t.equal(bench.store.countOf('HeadObject'), 1);
});

await t.test(
  'headers that came after the upload was opened: the publication tells that they are missing',
  async (t) => {
    const bench = await SessionBench.make();
    t.teardown(() => bench.close());
    const session = bench.session('a');
    const out = new Promise<void>((resolve) => {
      bench.store.after = ({ operation }) => {
        if (operation === 'CreateMultipartUpload') resolve();
      };
    });
    await session.write(0, pattern(40 * KIB));
    await out;
    const headers = { metadata: { mode: '0100600' }, contentType: 'text/plain' };
    const lacking: string[] = [];
    const onLacking = async ({ etag }: ObjectVersion): Promise<void> => {
      lacking.push(etag);
      return Promise.resolve();
    };
    const version = await session.publish({ key: 'a', headers, onLacking });
    t.same(version.headers, bench.headers);
    t.same(lacking, [version.etag]);
    t.equal(version.etag, bench.store.objects.get('a')?.etag);
    t.equal(session.dirty, false);
    t.equal(bench.store.countOf('CopyObject'), 0);
  },
);

await t.test('headers of the upload that will do are kept, without a copy', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  bench.headers = { metadata: { mode: '1' } };
  const session = bench.session('a');
  await session.write(0, pattern(40 * KIB));
  const headers = { metadata: { mode: '1', mtime: '2' } };
  const acceptHeaders = ({ metadata }: ObjectHeaders): boolean => metadata.mode === '1';
  const version = await session.publish({ key: 'a', headers, acceptHeaders });
  t.same(version.headers, bench.headers);
  t.equal(session.dirty, false);
  t.equal(bench.store.countOf('CopyObject'), 0);
});

await t.test('discard aborts the upload and frees everything', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const session = bench.session('a');
  await session.write(0, pattern(100 * KIB));
  await session.discard();
  t.equal(bench.store.uploads.size, 0);
  t.equal(bench.journal.size, 0);
  t.equal(bench.budget.usedBytes, 0);
  t.equal(await storeErrorKind(session.write(0, Buffer.from('x'))), 'aborted');
  t.equal(await storeErrorKind(session.publish({ key: 'a', headers: HEADERS })), 'aborted');
});

await t.test('a publication that was aborted can be made again', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  await session.write(0, data);
  const abort = new AbortController();
  bench.store.before = ({ operation }) => {
    if (operation === 'CompleteMultipartUpload') abort.abort();
  };
  const first = session.publish({ key: 'a', headers: HEADERS, signal: abort.signal });
  t.equal(await storeErrorKind(first), 'aborted');
  bench.store.before = undefined;
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(data));
});

await t.test('a file beyond the largest is refused', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 256 * MIB });
  t.teardown(() => bench.close());
  const session = bench.session('a', undefined, {});
  t.equal(await storeErrorKind(session.truncate(fileBytesMax() + 1)), 'too-large');
  t.equal(await storeErrorKind(session.write(fileBytesMax(), Buffer.from('x'))), 'too-large');
  t.equal(session.size, 0);
});

await t.test('a READ that meets the publication reads the new version', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const body = pattern(64 * KIB);
  const session = bench.session('a', bench.put('a', body));
  await session.write(0, Buffer.from('new'));
  let reading: Promise<Buffer> | undefined;
  bench.store.after = ({ operation }) => {
    if (operation === 'CompleteMultipartUpload') reading = readAll(session);
  };
  await session.publish({ key: 'a', headers: HEADERS });
  body.write('new');
  t.ok((await reading)?.equals(body), 'though its base was replaced under it');
  t.ok(
    bench.store.calls.some(({ operation, ifMatch }) => operation === 'GetObject' && ifMatch !== undefined),
  );
});

await t.test('a write to a part on its way waits: the body of a request does not change', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  let letGo = (): void => undefined;
  const held = new Promise<void>((resolve) => (letGo = resolve));
  const begun = new Promise<void>((resolve) => {
    bench.store.before = async ({ operation, partNumber }) => {
      if (operation !== 'UploadPart' || partNumber !== 1) return;
      resolve();
      await held;
    };
  });
  await session.write(0, data);
  await begun;
  let written = false;
  const rewrite = session.write(10, Buffer.from('!')).then(() => (written = true));
  await session.write(39 * KIB, Buffer.from('elsewhere'));
  t.equal(written, false, 'while other parts can be written');
  t.equal((await session.read(10, 1)).slices[0]?.[0], data[10], 'and this one read');
  bench.store.before = undefined;
  letGo();
  await rewrite;
  await session.publish({ key: 'a', headers: HEADERS });
  data.write('!', 10);
  data.write('elsewhere', 39 * KIB);
  t.ok(bench.body('a')?.equals(data));
});

await t.test('writes that arrive during a publication are in the next one', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const session = bench.session('a');
  await session.write(0, Buffer.from('one'));
  let late: Promise<void> | undefined;
  bench.store.before = ({ operation }) => {
    if (operation === 'PutObject') late ??= session.write(3, Buffer.from('two'));
  };
  await session.publish({ key: 'a', headers: HEADERS });
  t.equal(String(bench.body('a')), 'one');
  await late;
  t.equal(session.dirty, true);
  await session.publish({ key: 'a', headers: HEADERS });
  t.equal(String(bench.body('a')), 'onetwo');
});

await t.test('a hole costs no memory', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 128 * KIB });
  t.teardown(() => bench.close());
  const session = bench.session('a');
  await session.write(1024 * KIB, Buffer.from('end'));
  t.ok(session.bytesHeld <= 8 * KIB);
  await session.publish({ key: 'a', headers: HEADERS });
  t.ok(bench.body('a')?.equals(Buffer.concat([Buffer.alloc(1024 * KIB), Buffer.from('end')])));
});

await t.test('409 at completion: every part is sent again', async (t) => {
  const bench = await SessionBench.make();
  t.teardown(() => bench.close());
  const data = pattern(40 * KIB);
  const session = bench.session('a');
  await session.write(0, data);
  bench.store.before = ({ operation, key }) => {
    if (operation !== 'CompleteMultipartUpload') return;
    const about = { operation, bucket: 'bucket', key, code: 'ConditionalRequestConflict', httpStatus: 409 };
    throw new StoreError('precondition-failed', 'conflict', about);
  };
  const condition = { ifNoneMatch: '*' } as const;
  t.equal(
    await storeErrorKind(session.publish({ key: 'a', headers: HEADERS, condition })),
    'precondition-failed',
  );
  bench.store.before = undefined;
  await session.publish({ key: 'a', headers: HEADERS, condition });
  t.equal(bench.store.countOf('UploadPart'), 6);
  t.equal(bench.store.countOf('AbortMultipartUpload'), 1);
  t.ok(bench.body('a')?.equals(data));
  t.equal(bench.journal.size, 0);
});
