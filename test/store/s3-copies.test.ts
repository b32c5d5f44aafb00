/** Copies that go in parts, and answers that never end: neither keeps others waiting, nor leaves anything that nobody knows of. */
import t, { type Test } from 'tap';
import type { ServerResponse } from 'node:http';
import type { CopyJournal } from '../../src/store/object-store.js';
import type { S3StoreOptions } from '../../src/store/s3/options.js';
import { type Answer, s3Error, type ScriptedServer, status } from '../support/scripted-server.js';
import { scriptedStore } from '../support/scripted-store.js';
import { storeErrorKind } from '../support/store-error-kind.js';

const etag = '"5eb63bbbe01eeed093cb22bb8f5acdc3"';
const headers = { metadata: {} };
const IN_PARTS = { copyBytesMax: 10, copyPartBytes: 8 };

const setUp = (
  test: Test,
  answer: Answer,
  options: Partial<S3StoreOptions>,
): ReturnType<typeof scriptedStore> =>
  scriptedStore(test, Array<Answer>(100).fill(answer), {
    retry: { backoffMs: 1, throttledBackoffMs: 1, backoffMsMax: 2, attemptsMax: 2 },
    ...options,
  });

/** A server of multipart copies; `onPart` answers UploadPartCopy, `abort` AbortMultipartUpload. */
const copying =
  (onPart: (response: ServerResponse, number: string) => void, abort: Answer = status(204)): Answer =>
  (response, request) => {
    const { searchParams } = new URL(request.url, 'http://x');
    const number = searchParams.get('partNumber');
    const head = { etag, 'content-length': '64', 'last-modified': new Date(0).toUTCString() };
    if (request.method === 'HEAD') status(200, head)(response, request);
    else if (request.method === 'DELETE') abort(response, request);
    else if (searchParams.has('uploads'))
      status(200, {}, '<R><UploadId>up</UploadId></R>')(response, request);
    else if (number !== null) onPart(response, number);
    else status(200, {}, `<R><ETag>${etag}</ETag></R>`)(response, request);
  };

const copied = (response: ServerResponse, number: string): void => {
  response.end(`<CopyPartResult><ETag>"p${number}"</ETag></CopyPartResult>`);
};

/** Writes down what it is told, and how many parts had been asked for when it began. */
function journalOf(told: string[], server: ScriptedServer): CopyJournal {
  const parts = (): number => server.requests.filter(({ url }) => url.includes('partNumber')).length;
  return {
    started: async (key, uploadId) => void told.push(`started ${key} ${uploadId} after ${parts()} parts`),
    ended: (uploadId) => void told.push(`ended ${uploadId}`),
    left: (uploadId) => void told.push(`left ${uploadId}`),
  };
}

await t.test('the upload of a copy is journaled before its first part, and until it has ended', async (t) => {
  const copy = { size: 20, sourceEtag: etag, headers };
  const ends: readonly (readonly [Answer, string])[] = [
    [copying(copied), 'ended up'],
    [copying((response) => void response.writeHead(403).end()), 'ended up'],
    [copying((response) => void response.writeHead(403).end(), s3Error(403, 'AccessDenied')), 'left up'],
  ];
  for (const [answer, end] of ends) {
    const { store, server } = await setUp(t, answer, IN_PARTS);
    const told: string[] = [];
    store.journalCopies?.(journalOf(told, server));
    await store.copy('source', 'target', copy).catch(() => undefined);
    t.same(told, ['started target up after 0 parts', end]);
  }
});

await t.test('a copy whose upload can not be journaled copies nothing and is aborted', async (t) => {
  const { store, server } = await setUp(t, copying(copied), IN_PARTS);
  const full = new Error('no room in the journal');
  store.journalCopies?.({
    started: () => Promise.reject(full),
    ended: () => undefined,
    left: () => undefined,
  });
  await t.rejects(store.copy('source', 'target', { size: 20, sourceEtag: etag, headers }), full);
  t.same(
    server.requests.map(({ method }) => method),
    ['POST', 'DELETE'],
  );
});

await t.test('a copy in many parts leaves slots to others', async (t) => {
  const held: (() => void)[] = [];
  let isAsked = false;
  const hold = copying((response, number) => {
    if (isAsked) copied(response, number);
    else held.push(() => copied(response, number));
    began();
  });
  let began = (): void => undefined;
  const twoParts = new Promise<void>((resolve) => {
    began = () => {
      if (held.length === 2) resolve();
    };
  });
  const { store } = await setUp(t, hold, { ...IN_PARTS, maxRequests: 4 });
  const copy = store.copy('source', 'target', { size: 64, sourceEtag: etag, headers });
  await twoParts;
  t.equal((await store.head('key'))?.etag, etag, 'while parts are under way');
  t.equal(held.length, 2, 'half of the slots');
  isAsked = true;
  for (const answer of held) answer();
  await copy;
});

await t.test('answers that trickle in without end are given up', async (t) => {
  const trickle =
    (answerHeaders: Readonly<Record<string, string>>, code: number): Answer =>
    (response) => {
      response.writeHead(code, answerHeaders);
      const timer = setInterval(() => response.write(' '), 5);
      response.on('close', () => clearInterval(timer));
    };
  const timeouts = { wholeMs: 60 };
  const listing = await setUp(t, trickle({}, 200), { timeouts });
  t.equal(await storeErrorKind(listing.store.list({ prefix: '' })), 'unavailable');
  t.equal(listing.server.requests.length, 2);
  const range = { etag, 'content-range': 'bytes 0-1023/1024', 'content-length': '1024' };
  const retry = { attemptsMax: 2, backoffMs: 1, deadlineMs: 0 };
  const reading = await setUp(t, trickle(range, 206), { timeouts: { wholeMs: 0 }, retry });
  const get = reading.store.get('key', { offset: 0, length: 1024 }, {}, () => undefined);
  t.equal(await storeErrorKind(get), 'unavailable');
});
