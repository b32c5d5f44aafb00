/** GETs that are far behind the others are asked again: few of them, and only for the bytes that are missing of the same version. */
import t, { type Test } from 'tap';
import type { Socket } from 'node:net';
import fc from '../support/fast-check.js';
import type { ObjectStore } from '../../src/store/object-store.js';
import { Attempt } from '../../src/store/s3/attempt.js';
import { Patience } from '../../src/store/s3/patience.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { Watch } from '../../src/store/s3/watch.js';
import { createLogger } from '../../src/telemetry/log.js';
import { serve } from '../support/bare-server.js';
import { storeErrorKind } from '../support/store-error-kind.js';

await t.test('nothing is too long before something is usual', async (t) => {
  const patience = new Patience();
  for (let answer = 0; answer < 7; answer++) patience.observe(10);
  t.equal(patience.waits, undefined);
  patience.observe(10);
  t.same(patience.waits, { firstByteMs: 300, stallMs: 1000 });
  for (let answer = 0; answer < 64; answer++) patience.observe(200);
  t.same(patience.waits, { firstByteMs: 1200, stallMs: 1200 });
});

await t.test('what is too long is several times what half of the answers take', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 1e5, noNaN: true }), { minLength: 8, maxLength: 64 }),
      (times) => {
        const whole = times.slice(0, times.length - (times.length % 8));
        const patience = new Patience();
        for (const ms of whole) patience.observe(ms);
        const { firstByteMs = 0, stallMs = 0 } = patience.waits ?? {};
        const quick = whole.filter((ms) => ms * 6 <= firstByteMs).length;
        return quick * 2 > whole.length && firstByteMs >= 300 && stallMs >= Math.max(firstByteMs, 1000);
      },
    ),
  );
  t.pass('every run');
});

await t.test('one in fifty is asked again, and four at once', async (t) => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 2000 }), (steps) => {
      const patience = new Patience();
      let answers = 0;
      let again = 0;
      for (const answered of steps) {
        if (answered) {
          patience.observe(20);
          answers += 1;
        } else if (patience.tryAskAgain()) again += 1;
      }
      return again <= 4 + answers / 50;
    }),
  );
  t.pass('every run');
});

const BODY = Buffer.from(Array.from({ length: 1000 }, (_, at) => at & 0xff)).toString('latin1');

function answerOf(request: string, etag: string): string {
  const [, first = '', last = ''] = /range: bytes=(\d+)-(\d+)/.exec(request) ?? [];
  const body = BODY.slice(Number(first), Number(last) + 1);
  return `HTTP/1.1 206 Partial Content\r\netag: ${etag}\r\ncontent-range: bytes ${first}-${last}/1000\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
}

/** A store at a server that answers every GET but those that `odd` takes in hand; and its requests. */
async function storeAt(
  t: Test,
  odd: (request: string, nth: number, socket: Socket) => boolean,
): Promise<{ store: ObjectStore; requests: string[] }> {
  const requests: string[] = [];
  const server = await serve(t, (socket, connection) => {
    const request = (server.received[connection] ?? '').split('\r\n\r\n').at(-2) ?? '';
    const nth = requests.push(request);
    if (!odd(request, nth, socket)) socket.write(Buffer.from(answerOf(request, '"a"'), 'latin1'));
  });
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl: server.origin.origin,
    credentials: { accessKeyId: 'test', secretAccessKey: 'very-secret' },
    log: createLogger('silent'),
  });
  t.teardown(() => store.close());
  return { store, requests };
}

async function get(store: ObjectStore, length = 1000): Promise<string> {
  let bytes = '';
  await store.get(
    'key',
    { offset: 0, length },
    { ifMatch: '"a"' },
    (chunk) => (bytes += chunk.toString('latin1')),
  );
  return bytes;
}

await t.test('a GET that does not begin is asked again, long before it would be given up', async (t) => {
  const { store, requests } = await storeAt(t, (_, nth) => nth === 9);
  for (let each = 0; each < 8; each++) await get(store);
  t.equal(await get(store), BODY);
  t.equal(requests.length, 10);
});

await t.test('a GET that stalls in its body is asked for the rest', async (t) => {
  const { store, requests } = await storeAt(t, (request, nth, socket) => {
    if (nth !== 9) return false;
    socket.write(Buffer.from(answerOf(request, '"a"').slice(0, -400), 'latin1'));
    return true;
  });
  for (let each = 0; each < 8; each++) await get(store);
  t.equal(await get(store), BODY);
  t.equal(requests.length, 10);
  t.match(requests[9], /range: bytes=600-999\r\n/);
  t.match(requests[9], /if-match: "a"/);
});

await t.test('another version in the second answer is no part of the first', async (t) => {
  const { store } = await storeAt(t, (request, nth, socket) => {
    if (nth < 9) return false;
    const answer = nth === 9 ? answerOf(request, '"a"').slice(0, -400) : answerOf(request, '"b"');
    socket.write(Buffer.from(answer, 'latin1'));
    return true;
  });
  for (let each = 0; each < 8; each++) await get(store);
  let delivered = '';
  const failing = store.get('key', { offset: 0, length: 1000 }, { ifMatch: '"a"' }, (chunk) => {
    delivered += chunk.toString('latin1');
  });
  t.equal(await storeErrorKind(failing), 'precondition-failed');
  t.equal(delivered, BODY.slice(0, 600));
});

await t.test('where all have become slow, few are asked again', async (t) => {
  const slow: (() => void)[] = [];
  let isSlow = false;
  const { store, requests } = await storeAt(t, (request, _, socket) => {
    if (!isSlow) return false;
    slow.push(() => {
      if (!socket.destroyed) socket.write(Buffer.from(answerOf(request, '"a"'), 'latin1'));
    });
    return true;
  });
  for (let each = 0; each < 8; each++) await get(store);
  isSlow = true;
  const gets = Array.from({ length: 40 }, () => get(store));
  // Each once, and four of them again.
  while (slow.length < 44) await new Promise((resolve) => setImmediate(resolve));
  isSlow = false;
  for (const answer of slow) answer();
  for (const bytes of await Promise.all(gets)) t.equal(bytes, BODY);
  t.equal(requests.length, 8 + 44);
});

await t.test('a GET whose bytes stand in line for this process is not asked again', async (t) => {
  const patience = new Patience();
  for (let answer = 0; answer < 8; answer++) patience.observe(0);
  const waits = { firstByteMs: 1, stallMs: 1 };
  Object.defineProperty(patience, 'waits', { get: () => waits });
  const attempt = new Attempt({
    number: 1,
    previous: undefined,
    callerSignal: undefined,
    onProgress: () => undefined,
  });
  attempt.hold(true);
  const watch = new Watch(attempt, patience);
  t.teardown(() => watch.end());
  // Timers and what they begin, many times over.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 2));
  t.equal(attempt.cutOff, undefined);
  attempt.hold(false);
  while (attempt.cutOff === undefined) await new Promise((resolve) => setTimeout(resolve, 2));
  t.equal(attempt.cutOff, 'timeout');
});
