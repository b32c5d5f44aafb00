/** How calls are run: the bound on requests in flight, slots while backing off, and cutting calls off. */
import t from 'tap';
import { EventEmitter } from 'node:events';
import type { Attempt } from '../../src/store/s3/attempt.js';
import { Requests } from '../../src/store/s3/requests.js';
import { createLogger } from '../../src/telemetry/log.js';
import { storeErrorKind } from '../support/store-error-kind.js';

const retry = {
  attemptsMax: 3,
  throttledAttemptsMax: 3,
  backoffMs: 1,
  throttledBackoffMs: 1,
  backoffMsMax: 1,
  deadlineMs: 60_000,
};

function requestsOf(maxRequests: number): Requests {
  return new Requests({ bucket: 'bucket', retry, maxRequests, log: createLogger('silent') });
}

/** A call that the test lets go, and that answers to its signal. */
class Held {
  readonly #begun: (attempt: Attempt) => void;
  readonly began: Promise<Attempt>;
  release: () => void = () => undefined;

  constructor() {
    let begun: (attempt: Attempt) => void = () => undefined;
    this.began = new Promise((resolve) => (begun = resolve));
    this.#begun = begun;
  }

  readonly call = async (attempt: Attempt): Promise<void> => {
    this.#begun(attempt);
    await new Promise<void>((resolve, reject) => {
      this.release = resolve;
      attempt.signal.addEventListener('abort', () => reject(new Error('cut off')), { once: true });
    });
  };
}

const reset = (): Error => Object.assign(new Error('reset'), { code: 'ECONNRESET' });

await t.test('no more than maxRequests are in flight', async (t) => {
  const requests = requestsOf(3);
  let inFlight = 0;
  let most = 0;
  const call = async (): Promise<void> => {
    inFlight += 1;
    most = Math.max(most, inFlight);
    await new Promise((resolve) => setImmediate(resolve));
    inFlight -= 1;
  };
  await Promise.all(Array.from({ length: 20 }, () => requests.run('HeadObject', 'key', undefined, call)));
  t.equal(most, 3);
});

await t.test('a call that waits for a slot answers to its signal at once', async (t) => {
  const requests = requestsOf(1);
  const held = new Held();
  const first = requests.run('GetObject', 'a', undefined, held.call);
  await held.began;
  const abort = new AbortController();
  const second = storeErrorKind(
    requests.run('GetObject', 'b', abort.signal, async () => t.fail('the second call began')),
  );
  abort.abort();
  t.equal(await second, 'aborted');
  held.release();
  await first;
  await t.resolves(
    requests.run('GetObject', 'c', undefined, async () => undefined),
    'the slot is free again',
  );
});

await t.test('a call that backs off holds no slot', async (t) => {
  const requests = requestsOf(1);
  const order: string[] = [];
  const first = requests.run('GetObject', 'a', undefined, async (attempt) => {
    order.push(`a${String(attempt.number)}`);
    if (attempt.number === 1) throw reset();
  });
  const second = requests.run('GetObject', 'b', undefined, async () => void order.push('b1'));
  await Promise.all([first, second]);
  t.same(order, ['a1', 'b1', 'a2']);
});

await t.test('an attempt learns what ended the one before', async (t) => {
  const seen: (string | undefined)[] = [];
  const call = async (attempt: Attempt): Promise<void> => {
    seen.push(attempt.previous?.code);
    throw reset();
  };
  t.equal(await storeErrorKind(requestsOf(1).run('PutObject', 'key', undefined, call)), 'unavailable');
  t.same(seen, [undefined, 'ECONNRESET', 'ECONNRESET']);
});

await t.test('a call that heeds no signal is given up all the same', async (t) => {
  const requests = requestsOf(5);
  let attempts = 0;
  const deaf = async (): Promise<void> => {
    attempts += 1;
    await new Promise(() => undefined);
  };
  const kind = storeErrorKind(requests.run('HeadObject', 'key', undefined, deaf, { firstByteMs: 5 }));
  t.equal(await kind, 'unavailable');
  t.equal(attempts, 3);
});

await t.test('close ends calls under way and refuses new ones', async (t) => {
  const requests = requestsOf(2);
  const held = new Held();
  const kind = storeErrorKind(requests.run('GetObject', 'a', undefined, held.call));
  await held.began;
  requests.close();
  t.equal(await kind, 'aborted');
  t.equal(await storeErrorKind(requests.run('GetObject', 'a', undefined, async () => undefined)), 'aborted');
});

await t.test('a caller that lets go leaves no listener on its signal', async (t) => {
  const requests = requestsOf(1);
  const abort = new AbortController();
  let attempts = 0;
  await requests.run('GetObject', 'a', abort.signal, async () => {
    attempts += 1;
    if (attempts < 3) throw reset();
  });
  t.equal(EventEmitter.getEventListeners(abort.signal, 'abort').length, 0);
});
