/** The S3 store against servers that misbehave: what is retried, what is delivered, and what is reported. */
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { ObjectStore } from '../../src/store/object-store.js';
import type { S3StoreOptions } from '../../src/store/s3/options.js';
import { type Answer, errorBody, hang, reset, s3Error, status } from '../support/scripted-server.js';
import { scriptedStore } from '../support/scripted-store.js';
import { storeErrorKind } from '../support/store-error-kind.js';

const content = Buffer.from('0123456789abcdefghij');
const etag = '"5eb63bbbe01eeed093cb22bb8f5acdc3"';
const headers = { metadata: {} };

/** Answers a ranged GET honestly about itself, then sends only the first `sent` bytes of it and does `then`. */
function partial(sent: number, then: 'reset' | 'end', version = etag): Answer {
  return (response, request) => {
    const [first = 0, last = 0] = (request.headers.range ?? '').replace('bytes=', '').split('-').map(Number);
    const body = content.subarray(first, Math.min(last, content.length - 1) + 1);
    response.writeHead(206, {
      etag: version,
      'content-range': `bytes ${String(first)}-${String(first + body.length - 1)}/${String(content.length)}`,
      'content-length': String(body.length),
    });
    if (then === 'end' && sent >= body.length) response.end(body);
    // Not before the bytes have left: a reset may overtake them.
    else response.write(body.subarray(0, sent), () => response.socket?.end());
  };
}

const whole = partial(Infinity, 'end');

async function read(store: ObjectStore, ifMatch?: string): Promise<{ bytes: string; result: unknown }> {
  const chunks: Buffer[] = [];
  const result = await store.get(
    'key',
    { offset: 2, length: 16 },
    ifMatch === undefined ? {} : { ifMatch },
    (chunk) => chunks.push(Buffer.from(chunk)),
  );
  return { bytes: Buffer.concat(chunks).toString(), result };
}

await t.test('a body cut by a reset goes on after the last byte, under the same ETag', async (t) => {
  const { store, server } = await scriptedStore(t, [partial(5, 'reset'), partial(1, 'reset'), reset, whole]);
  const { bytes, result } = await read(store);
  t.equal(bytes, content.subarray(2, 18).toString());
  t.match(result, { etag, length: 16, size: 20, retried: true, head: { key: 'key', etag, size: 20 } });
  t.same(
    server.requests.map((request) => [request.headers.range, request.headers['if-match']]),
    [
      ['bytes=2-17', undefined],
      ['bytes=7-17', etag],
      ['bytes=8-17', etag],
      ['bytes=8-17', etag],
    ],
  );
});

await t.test('an answer with another ETag on resume delivers nothing of it', async (t) => {
  const { store } = await scriptedStore(t, [partial(5, 'reset'), partial(Infinity, 'end', '"other"')]);
  const chunks: Buffer[] = [];
  const get = store.get('key', { offset: 0, length: 20 }, {}, (chunk) => chunks.push(Buffer.from(chunk)));
  t.equal(await storeErrorKind(get), 'precondition-failed');
  t.equal(Buffer.concat(chunks).toString(), '01234');
});

await t.test('412 on resume is precondition-failed, not a retry', async (t) => {
  const { store, server } = await scriptedStore(t, [partial(5, 'reset'), s3Error(412, 'PreconditionFailed')]);
  t.equal(await storeErrorKind(read(store)), 'precondition-failed');
  t.equal(server.requests.length, 2);
});

await t.test('an answer for another range is refused before a byte is delivered', async (t) => {
  const shifted = status(
    206,
    { etag, 'content-range': 'bytes 3-18/20', 'content-length': '16' },
    content.subarray(3, 19).toString(),
  );
  const { store } = await scriptedStore(t, [shifted, whole]);
  t.equal((await read(store)).bytes, content.subarray(2, 18).toString());
});

await t.test('a server that ignores ranges is unsupported', async (t) => {
  const { store } = await scriptedStore(t, [
    status(200, { etag, 'content-length': '20' }, content.toString()),
  ]);
  t.equal(await storeErrorKind(read(store)), 'unsupported');
});

await t.test('a failing sink ends the call with its own error, once', async (t) => {
  const { store, server } = await scriptedStore(t, [whole, whole]);
  const boom = new Error('no room');
  const get = store.get('key', { offset: 0, length: 20 }, {}, () => {
    throw boom;
  });
  t.equal(await get.catch((error: unknown) => error), boom);
  t.equal(server.requests.length, 1);
});

await t.test('a storm of 503 and 500 ends in success', async (t) => {
  const slowDown = s3Error(503, 'SlowDown');
  const { store, server } = await scriptedStore(t, [
    slowDown,
    slowDown,
    s3Error(500, 'InternalError'),
    slowDown,
    whole,
  ]);
  t.equal((await read(store)).bytes.length, 16);
  t.equal(server.requests.length, 5);
});

await t.test('retries end: throttled and unavailable are told apart', async (t) => {
  const throttled = await scriptedStore(t, Array<Answer>(9).fill(s3Error(503, 'SlowDown')), {
    retry: { throttledAttemptsMax: 3, throttledBackoffMs: 1 },
  });
  t.equal(await storeErrorKind(throttled.store.head('key')), 'throttled');
  t.equal(throttled.server.requests.length, 3);
  const failing = await scriptedStore(t, Array<Answer>(9).fill(reset), {
    retry: { attemptsMax: 2, backoffMs: 1 },
  });
  t.equal(await storeErrorKind(failing.store.head('key')), 'unavailable');
  t.equal(failing.server.requests.length, 2);
});

await t.test('silence is given up: before the answer and inside a body', async (t) => {
  // Short, but longer than a busy machine takes to answer, mostly; where it isn't, the same is asked and answered once more.
  const timeouts = { firstByteMs: 250, idleMs: 250 };
  const silentBody: Answer = (response) => {
    response.writeHead(206, { etag, 'content-range': 'bytes 2-17/20', 'content-length': '16' });
    response.write(content.subarray(2, 6));
  };
  const byRange: Answer = (response, request) =>
    (request.headers.range === 'bytes=6-17' ? whole : silentBody)(response, request);
  const { store, server } = await scriptedStore(t, [hang, ...Array<Answer>(9).fill(byRange)], { timeouts });
  t.equal((await read(store)).bytes, content.subarray(2, 18).toString());
  t.ok(server.requests.length >= 3);
  t.same([...new Set(server.requests.map(({ headers }) => headers.range))], ['bytes=2-17', 'bytes=6-17']);
  const silent = await scriptedStore(t, [hang, hang], { timeouts, retry: { attemptsMax: 2, backoffMs: 1 } });
  t.equal(await storeErrorKind(silent.store.put('key', [content], headers)), 'unavailable');
  t.equal(silent.server.requests.length, 2);
});

await t.test('the caller ends a call that hangs, and close ends the others', async (t) => {
  const { store } = await scriptedStore(t, [
    (response) => {
      abort.abort();
      hang(response, { method: '', url: '', headers: {}, body: content });
    },
    () => void store.close(),
  ]);
  const abort = new AbortController();
  t.equal(await storeErrorKind(store.head('key', abort.signal)), 'aborted');
  t.equal(await storeErrorKind(store.head('key')), 'aborted');
  t.equal(await storeErrorKind(store.head('key')), 'aborted', 'after close');
});

await t.test('a body of slices is sent again whole after a reset', async (t) => {
  const { store, server } = await scriptedStore(t, [reset, status(200, { etag })]);
  const slices = [content.subarray(0, 3), content.subarray(3)];
  t.same(await store.put('key', slices, headers), { etag });
  for (const request of server.requests) {
    t.ok(request.body.equals(content));
    t.equal(request.headers['x-amz-content-sha256'], 'UNSIGNED-PAYLOAD');
    t.equal(request.headers['x-amz-checksum-crc32'], 'Y4wNKQ==');
    t.equal(request.headers['content-length'], '20');
  }
});

await t.test('an error tells whether an attempt before it was not answered', async (t) => {
  for (const [script, isAfterUnanswered] of [
    [[reset, s3Error(403, 'AccessDenied')], true],
    [[s3Error(503, 'SlowDown'), s3Error(403, 'AccessDenied')], false],
    [[s3Error(403, 'AccessDenied')], false],
  ] as const) {
    const { store } = await scriptedStore(t, script);
    const error: unknown = await store.put('key', [content], headers).catch((cause: unknown) => cause);
    t.match(error, { kind: 'access-denied', httpStatus: 403, isAfterUnanswered });
  }
});

const part = { partNumber: 1, etag: '"0cc175b9c0f1b6a831c399e269772661"' };
const completed = `<?xml version="1.0"?><CompleteMultipartUploadResult><ETag>&quot;x-1&quot;</ETag></CompleteMultipartUploadResult>`;

await t.test('complete: 200 with an error inside is retried, then an error', async (t) => {
  const lie = status(200, { 'content-type': 'application/xml' }, errorBody('InternalError'));
  const { store, server } = await scriptedStore(t, [lie, status(200, {}, completed)]);
  t.same(await store.completeUpload('key', 'id', [part]), { etag: '"x-1"' });
  t.equal(server.requests.length, 2);
  const failing = await scriptedStore(t, [lie, lie], { retry: { attemptsMax: 2, backoffMs: 1 } });
  const error: unknown = await failing.store.completeUpload('key', 'id', [part]).catch((e: unknown) => e);
  t.ok(error instanceof StoreError);
  t.match(error, { kind: 'unavailable', code: 'InternalError' });
  const refused = await scriptedStore(t, [status(200, {}, errorBody('AccessDenied'))]);
  t.equal(await storeErrorKind(refused.store.copy('a', 'b', { size: 1, headers })), 'access-denied');
});

await t.test('a server without conditional writes is noticed, and written to without', async (t) => {
  const { store, server } = await scriptedStore(t, [
    s3Error(501, 'NotImplemented'),
    status(200, { etag }),
    status(200, { etag }),
  ]);
  t.equal(store.capabilities.conditionalWrites, true);
  await store.put('key', [content], headers, { ifNoneMatch: '*' });
  t.equal(store.capabilities.conditionalWrites, false);
  await store.put('key', [content], headers, { ifMatch: etag });
  t.same(
    server.requests.map((request) => request.headers['if-none-match'] ?? request.headers['if-match']),
    ['*', undefined, undefined],
  );
});

await t.test('a server that has conditions with some operations keeps them there', async (t) => {
  const copied = status(
    200,
    { 'content-type': 'application/xml' },
    '<CopyObjectResult><ETag>&quot;c&quot;</ETag></CopyObjectResult>',
  );
  const { store, server } = await scriptedStore(t, [
    s3Error(501, 'NotImplemented'),
    copied,
    status(200, { etag }),
    copied,
    s3Error(501, 'NotImplemented'),
    s3Error(501, 'NotImplemented'),
    status(204),
  ]);
  const copy = (): Promise<unknown> =>
    store.copy('a', 'b', { size: 1, headers, condition: { ifMatch: etag } });
  await copy();
  await store.put('key', [content], headers, { ifMatch: etag });
  await copy();
  const refused = await storeErrorKind(store.delete('key', { ifMatch: etag }));
  t.equal(refused, 'unsupported', 'not for its condition');
  await store.delete('key', { ifMatch: etag });
  t.same(
    server.requests.map(({ method, headers: sent }) => `${method ?? ''} ${sent['if-match'] ?? ''}`.trim()),
    [`PUT ${etag}`, 'PUT', `PUT ${etag}`, 'PUT', `DELETE ${etag}`, 'DELETE', `DELETE ${etag}`],
  );
  t.equal(store.capabilities.conditionalWrites, false, 'whoever deletes by lists looks before');
});

await t.test('deleteMany: keys that fail for a while are tried again, the others reported', async (t) => {
  const result = (...errors: readonly (readonly [string, string])[]): Answer =>
    status(
      200,
      {},
      `<DeleteResult>${errors.map(([key, code]) => `<Error><Key>${key}</Key><Code>${code}</Code></Error>`).join('')}</DeleteResult>`,
    );
  const { store, server } = await scriptedStore(t, [
    result(['a', 'SlowDown'], ['b', 'AccessDenied']),
    result(),
  ]);
  const failed = await store.deleteMany(['a', 'b', 'c']);
  t.same(
    [...failed].map(([key, error]) => [key, error.kind]),
    [['b', 'access-denied']],
  );
  t.match(server.requests[1]?.body.toString(), '<Key>a</Key>');
  t.notMatch(server.requests[1]?.body.toString(), '<Key>c</Key>');
  const without = await scriptedStore(t, [s3Error(501, 'NotImplemented'), status(204), status(204)]);
  t.equal((await without.store.deleteMany(['a', 'b'])).size, 0);
  t.same(
    without.server.requests.map((request) => request.method),
    ['POST', 'DELETE', 'DELETE'],
  );
});

await t.test(
  'deleteMany: each key under its condition, and one by one where the server knows none in a list',
  async (t) => {
    const { store, server } = await scriptedStore(t, [
      status(
        200,
        {},
        '<DeleteResult><Error><Key>b</Key><Code>PreconditionFailed</Code></Error><Error><Key>c</Key><Code>NoSuchKey</Code></Error></DeleteResult>',
      ),
    ]);
    const versions = ['a', 'b', 'c'].map((key) => ({ key, ifMatch: etag }));
    const failed = await store.deleteMany(versions);
    t.same(
      [...failed].map(([key, error]) => [key, error.kind]),
      [['b', 'precondition-failed']],
      'what is gone is fine',
    );
    t.match(
      server.requests[0]?.body.toString(),
      /<Key>a<\/Key><ETag>(&quot;|")5eb63bbbe01eeed093cb22bb8f5acdc3/,
    );
    const without = await scriptedStore(t, [
      s3Error(400, 'MalformedXML'),
      status(204),
      s3Error(412, 'PreconditionFailed'),
    ]);
    t.same(
      [...(await without.store.deleteMany(versions.slice(0, 2)))].map(([, error]) => error.kind),
      ['precondition-failed'],
    );
    t.same(
      without.server.requests.map((request) => [request.method, request.headers['if-match']]),
      [
        ['POST', undefined],
        ['DELETE', etag],
        ['DELETE', etag],
      ],
    );
  },
);

await t.test('a listing that never comes to its end is an error, and asks no further', async (t) => {
  const page =
    (token: (request: number) => string, contents = ''): Answer =>
    (response, request) => {
      asked++;
      const body = `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>${token(asked)}</NextContinuationToken>${contents}</ListBucketResult>`;
      t.ok(request.url.includes('list-type=2'));
      response.end(body);
    };
  let asked = 0;
  const script = (answer: Answer): Answer[] => Array.from({ length: 150 }, () => answer);
  const empty = await scriptedStore(t, script(page((request) => `t${request}`)));
  await t.rejects(empty.store.list({ prefix: '' }), { kind: 'invalid', message: /empty and not the last/ });
  t.equal(asked, 100, 'a new token each time');
  asked = 0;
  const same = await scriptedStore(t, script(page(() => 'again')));
  await t.rejects(same.store.list({ prefix: '' }), { kind: 'invalid', message: /the same token again/ });
  t.equal(asked, 2);
  asked = 0;
  const entry = `<Contents><Key>a</Key><Size>1</Size><ETag>${etag}</ETag><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>`;
  const full = await scriptedStore(t, script(page(() => 'again', entry)));
  const first = await full.store.list({ prefix: '' });
  await t.rejects(full.store.list({ prefix: '', continuationToken: first.continuationToken ?? '' }), {
    message: /the same token again/,
    kind: 'invalid',
  });
  asked = 0;
  const some = await scriptedStore(t, [
    ...Array.from({ length: 40 }, () => page((request) => `t${request}`)),
    page(() => 'further', entry),
  ]);
  t.match(await some.store.list({ prefix: '' }), { objects: [{ key: 'a' }], continuationToken: 'further' });
});

await t.test('a copy beyond copyBytesMax goes in parts, and is aborted when one fails', async (t) => {
  const inParts = { copyBytesMax: 10, copyPartBytes: 8 };
  const script =
    (fail: boolean): Answer =>
    (response, request) => {
      const url = new URL(request.url, 'http://x');
      const number = url.searchParams.get('partNumber');
      let body = completed;
      if (url.searchParams.has('uploads')) body = '<R><UploadId>up</UploadId></R>';
      else if (fail && number === '2') return s3Error(403, 'AccessDenied')(response, request);
      else if (number !== null) body = `<CopyPartResult><ETag>"p${number}"</ETag></CopyPartResult>`;
      else if (request.method === 'DELETE') return status(204)(response, request);
      status(200, {}, body)(response, request);
    };
  const good = await scriptedStore(t, Array<Answer>(6).fill(script(false)), inParts);
  await good.store.copy('s p/+é', 'target', { size: 20, sourceEtag: etag, headers });
  const parts = good.server.requests.filter((request) => request.method === 'PUT');
  t.same(parts.map((request) => request.headers['x-amz-copy-source-range']).sort(), [
    'bytes=0-7',
    'bytes=16-19',
    'bytes=8-15',
  ]);
  t.equal(parts[0]?.headers['x-amz-copy-source'], 'bucket/s%20p/%2B%C3%A9');
  t.equal(parts[0]?.headers['x-amz-copy-source-if-match'], etag);
  const bad = await scriptedStore(t, Array<Answer>(6).fill(script(true)), inParts);
  t.equal(
    await storeErrorKind(bad.store.copy('s', 'target', { size: 20, sourceEtag: etag, headers })),
    'access-denied',
  );
  t.equal(bad.server.requests.at(-1)?.method, 'DELETE');
});

await t.test('probe says in one line what is wrong', async (t) => {
  const message = async (
    script: readonly Answer[],
    options: Partial<S3StoreOptions> = {},
  ): Promise<string> => {
    const { store } = await scriptedStore(t, script, options);
    const error: unknown = await store.probe('').catch((e: unknown) => e);
    if (!(error instanceof StoreError)) throw new Error(`expected a StoreError, got ${String(error)}`);
    t.notMatch(error.message, /\n|very-secret/);
    return `${error.kind} ${error.message}`;
  };
  t.match(await message([s3Error(404, 'NoSuchBucket')]), /^no-such-bucket .*s3:\/\/bucket.*NoSuchBucket/);
  t.match(await message([s3Error(403, 'InvalidAccessKeyId')]), /^credentials .*InvalidAccessKeyId/);
  t.match(await message([s3Error(403, 'AccessDenied')]), /^access-denied .*AccessDenied/);
  t.match(await message([], { endpointUrl: 'http://127.0.0.1:1' }), /^unavailable .*ECONNREFUSED/);
  t.match(await message([hang, hang], { timeouts: { probeMs: 100 } }), /^unavailable .*ETIMEDOUT|time limit/);
});

await t.test(
  'a 409 for a write that went on meanwhile is asked again until the condition is decided',
  async (t) => {
    const conflict = s3Error(409, 'ConditionalRequestConflict');
    const passing = await scriptedStore(t, [conflict, conflict, status(200, { etag })]);
    t.strictSame(await passing.store.put('key', [content], headers, { ifNoneMatch: '*' }), { etag });
    const decided = await scriptedStore(t, [conflict, s3Error(412, 'PreconditionFailed')]);
    t.equal(
      await storeErrorKind(decided.store.put('key', [content], headers, { ifMatch: etag })),
      'precondition-failed',
    );
    t.equal(decided.server.requests.length, 2);
    const completion = await scriptedStore(t, [conflict]);
    const parts = [{ partNumber: 1, etag, bytes: 1 }];
    t.equal(
      await storeErrorKind(completion.store.completeUpload('key', 'id', parts, { ifMatch: etag })),
      'precondition-failed',
    );
    t.equal(completion.server.requests.length, 1, 'S3 wants the parts of a completion again');
  },
);

await t.test('unsigned requests carry no signature; options add their headers', async (t) => {
  const { store, server } = await scriptedStore(t, [status(200, { etag, 'content-length': '1' })], {
    noSignRequest: true,
    requesterPays: true,
    expectedBucketOwner: '123456789012',
  });
  await store.head('key');
  const seen = server.requests[0]?.headers ?? {};
  t.equal(seen.authorization, undefined);
  t.equal(seen['x-amz-request-payer'], 'requester');
  t.equal(seen['x-amz-expected-bucket-owner'], '123456789012');
});

await t.test('a large body leaves the turns of the event loop to others', async (t) => {
  const length = 8 * 1024 * 1024;
  const body = Buffer.alloc(length, 1);
  const { store } = await scriptedStore(t, [
    (response) => {
      response.writeHead(206, {
        etag,
        'content-range': `bytes 0-${String(length - 1)}/${String(length)}`,
        'content-length': String(length),
      });
      response.end(body);
    },
  ]);
  let reading = true;
  let inTurn = 0;
  let most = 0;
  const nextTurn = (): void => {
    most = Math.max(most, inTurn);
    inTurn = 0;
    if (reading) setImmediate(nextTurn);
  };
  nextTurn();
  const result = await store.get('key', { offset: 0, length }, {}, (chunk) => {
    inTurn += chunk.length;
  });
  reading = false;
  nextTurn();
  t.equal(result.length, length);
  // A turn's share of one connection, and the read that completes it.
  t.ok(most <= 1024 * 1024 + 256 * 1024, `${String(most)} bytes in one turn`);
});
