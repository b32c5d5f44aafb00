/** Each fault, as a client of the embedded server sees it on its socket. */
import t, { type Test } from 'tap';
import {
  startEmbeddedStore,
  type EmbeddedStore,
  type FinishedRequest,
} from '../../../src/store/embedded/server.js';
import { parseFaultPlan } from '../../../src/store/faults/parse-plan.js';
import { rawExchange, type RawExchange, type RawRequest } from '../../support/raw-http.js';
import { ACCESS_KEY, SECRET_KEY, sign, temporaryDirectory } from '../embedded/support.js';

const content = Buffer.from(Array.from({ length: 200_000 }, (_, index) => index % 251));

interface Fixture {
  readonly store: EmbeddedStore;
  readonly finished: FinishedRequest[];
  readonly faults: (...rules: readonly string[]) => void;
  readonly send: (request: RawRequest, atMs?: number) => Promise<RawExchange>;
  readonly get: () => Promise<RawExchange>;
  readonly put: (key: string, body?: Buffer) => Promise<RawExchange>;
  readonly fired: () => readonly number[];
}

async function setUp(t: Test): Promise<Fixture> {
  const finished: FinishedRequest[] = [];
  const store = await startEmbeddedStore({
    directory: temporaryDirectory(t),
    host: '127.0.0.1',
    port: 0,
    accessKeyId: ACCESS_KEY,
    secretAccessKey: SECRET_KEY,
    onRequest: (request) => finished.push(request),
  });
  t.teardown(() => store.close());
  const send = async (request: RawRequest, atMs?: number): Promise<RawExchange> => {
    const { headers } = sign(store, request, {
      payload: 'UNSIGNED-PAYLOAD',
      ...(atMs === undefined ? {} : { atMs }),
    });
    return rawExchange(store.port, { ...request, headers });
  };
  const put = (key: string, body: Buffer = content): Promise<RawExchange> =>
    send({ method: 'PUT', path: `/bucket/${key}`, body });
  t.equal((await send({ method: 'PUT', path: '/bucket' })).status, 200);
  t.equal((await put('key')).status, 200);
  finished.length = 0;
  return {
    store,
    finished,
    faults: (...rules) => store.faults.setPlan(parseFaultPlan(JSON.stringify({ rules }))),
    send,
    get: () => send({ method: 'GET', path: '/bucket/key' }),
    put,
    fired: () => store.faults.report().rules.map(({ fired }) => fired),
  };
}

const codeOf = ({ body }: RawExchange): string | undefined =>
  /<Code>([^<]*)<\/Code>/.exec(body.toString())?.[1];

await t.test(
  'an error before the request is carried out is S3’s, and the request has no effect',
  async (t) => {
    const { faults, put, send, get, fired, finished } = await setUp(t);
    faults(
      'error code=SlowDown operation=PutObject',
      'error operation=HeadObject',
      'error code=ExpiredToken operation=GetObject',
    );
    const refused = await put('new');
    t.equal(refused.status, 503);
    t.equal(refused.headers.get('content-type'), 'application/xml');
    t.equal(codeOf(refused), 'SlowDown');
    t.match(refused.body.toString(), '<Resource>/bucket/new</Resource>');
    const head = await send({ method: 'HEAD', path: '/bucket/key' });
    t.equal(head.status, 500);
    t.equal(head.body.length, 0);
    const expired = await get();
    t.equal(expired.status, 400);
    t.equal(codeOf(expired), 'ExpiredToken');
    t.same(finished, []);
    t.same(fired(), [1, 1, 1]);
    faults();
    t.equal(codeOf(await send({ method: 'GET', path: '/bucket/new' })), 'NoSuchKey');
  },
);

await t.test('an error or a reset after it was carried out loses the answer only', async (t) => {
  const { faults, put, send, fired } = await setUp(t);
  faults('error code=InternalError moment=after key=a', 'reset key=b');
  const lost = await put('a');
  t.equal(lost.status, 500);
  t.equal(codeOf(lost), 'InternalError');
  const reset = await put('b');
  t.equal(reset.end, 'ECONNRESET');
  t.equal(reset.bytes.length, 0);
  t.same(fired(), [1, 1]);
  faults();
  for (const key of ['a', 'b']) {
    t.same((await send({ method: 'GET', path: `/bucket/${key}` })).body, content, key);
  }
});

await t.test('a lost answer of a GET is lost at once', async (t) => {
  const { faults, get } = await setUp(t);
  faults('error code=InternalError moment=after');
  t.equal(codeOf(await get()), 'InternalError');
  faults('reset');
  t.same(await get().then(({ end, bytes }) => [end, bytes.length]), ['ECONNRESET', 0]);
});

await t.test('a request is reset before or in its body, and has no effect', async (t) => {
  const { faults, put, send, fired } = await setUp(t);
  faults('reset in=request key=a', 'reset in=request at=100000 key=b', 'reset in=request at=200001 key=c');
  for (const key of ['a', 'b']) t.equal((await put(key)).status, undefined, key);
  t.equal((await put('c')).status, 200, 'beyond its end');
  t.same(fired(), [1, 1, 0]);
  faults();
  for (const key of ['a', 'b'])
    t.equal(codeOf(await send({ method: 'GET', path: `/bucket/${key}` })), 'NoSuchKey');
});

await t.test('an answer is reset at byte N', async (t) => {
  const { faults, get } = await setUp(t);
  faults('reset at=1000');
  const answer = await get();
  t.equal(answer.end, 'ECONNRESET');
  t.equal(answer.headers.get('content-length'), '200000');
  t.same(answer.body, content.subarray(0, 1000));
});

await t.test('a truncated answer ends early, in three ways', async (t) => {
  const { faults, get } = await setUp(t);
  faults('truncate at=70000');
  const short = await get();
  t.equal(short.end, 'fin');
  t.equal(short.headers.get('content-length'), '200000');
  t.same(short.body, content.subarray(0, 70_000));

  faults('truncate at=10 framing=chunked');
  const chunked = await get();
  t.equal(chunked.headers.get('transfer-encoding'), 'chunked');
  t.notOk(chunked.headers.has('content-length'));
  t.same(chunked.body.toString('latin1'), `a\r\n${content.toString('latin1', 0, 10)}\r\n0\r\n\r\n`);

  faults('truncate at=10 framing=chunked-cut');
  const cut = await get();
  t.equal(cut.end, 'fin');
  t.same(cut.body.toString('latin1'), `a\r\n${content.toString('latin1', 0, 10)}\r\n`);

  faults('truncate at=0');
  const empty = await get();
  t.equal(empty.end, 'fin');
  t.equal(empty.status, 200);
  t.equal(empty.body.length, 0);
});

await t.test('a corrupted answer has its length and other bits', async (t) => {
  const { faults, get, fired } = await setUp(t);
  faults('corrupt at=150000');
  const answer = await get();
  t.equal(answer.end, 'whole');
  const wrong = [...content.keys()].filter((at) => answer.body[at] !== content[at]);
  t.same(wrong, [150_000]);
  const flipped = (answer.body[150_000] ?? 0) ^ (content[150_000] ?? 0);
  t.equal(flipped & (flipped - 1), 0, 'one bit');
  t.same(fired(), [1]);

  faults('corrupt flips=20');
  t.equal((await get()).body.length, content.length);
  t.same((await get()).body.equals(content), false);
});

await t.test('a corrupted request arrives otherwise than it was sent', async (t) => {
  const { faults, put, send } = await setUp(t);
  faults('corrupt in=request at=5 operation=PutObject');
  t.equal((await put('wrong')).status, 200, 'nothing was claimed of the body');
  const { body } = await send({ method: 'GET', path: '/bucket/wrong' });
  t.same(
    [...content.keys()].filter((at) => body[at] !== content[at]),
    [5],
  );
});

await t.test('bandwidth and latency change no byte', async (t) => {
  const { faults, put, get, send, fired } = await setUp(t);
  faults('bandwidth speed=20MB/s', 'bandwidth speed=50MB/s scope=total', 'latency time=1ms..2ms');
  t.equal((await put('slow')).status, 200);
  t.same((await send({ method: 'GET', path: '/bucket/slow' })).body, content);
  t.same((await get()).body, content);
  t.same(fired(), [3, 3, 3]);
});

await t.test('a stall lasts until the connection ends', async (t) => {
  const { store, faults, get } = await setUp(t);
  faults('stall at=10 limit=1');
  const stalled = get();
  // The other request is answered while the first one stalls.
  while (store.faults.report().fired.stall === undefined) await new Promise(setImmediate);
  t.same((await get()).body, content);
  await store.close();
  t.same((await stalled).body, content.subarray(0, 10));
});

await t.test('a server whose clock is wrong refuses by it and tells it', async (t) => {
  const { faults, send, get } = await setUp(t);
  faults('skew time=1h');
  const refused = await get();
  t.equal(refused.status, 403);
  t.equal(codeOf(refused), 'RequestTimeTooSkewed');
  const aheadMs = Date.parse(refused.headers.get('date') ?? '') - Date.now();
  t.ok(Math.abs(aheadMs - 3_600_000) < 60_000, String(aheadMs));
  const corrected = await send({ method: 'GET', path: '/bucket/key' }, Date.now() + aheadMs);
  t.same(corrected.body, content);
});
