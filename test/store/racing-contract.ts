/** The contract of a store that several use at once: races that one wins, versions that are never mixed, calls cut off half way. */
import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { StoreError } from '../../src/store/errors.js';
import type { WriteCondition } from '../../src/store/object-store.js';
import { PLAIN, rejectsAs, type ContractOptions, type Suite } from './contract.js';

const RIVALS = 8;

export async function racingTests(t: Test, suite: Suite, options: ContractOptions): Promise<void> {
  await conditionalRaces(t, suite);
  await replacementTests(t, suite);
  await conditionalDeletes(t, suite, options);
  await cutOffTests(t, suite);
}

/** Puts by all rivals at once, each with a content of its own; the contents whose put succeeded. */
async function race(t: Test, suite: Suite, key: string, condition: WriteCondition): Promise<string[]> {
  const contents = Array.from({ length: RIVALS }, (_, n) => `rival ${String(n)}`);
  const outcomes = await Promise.allSettled(
    contents.map((content) => suite.store.put(key, [Buffer.from(content)], PLAIN, condition)),
  );
  const winners: string[] = [];
  outcomes.forEach((outcome, n) => {
    if (outcome.status === 'fulfilled') winners.push(contents[n] ?? '');
    else {
      const { reason } = outcome as { reason: unknown };
      t.equal(reason instanceof StoreError && reason.kind, 'precondition-failed', String(reason));
    }
  });
  return winners;
}

async function conditionalRaces(t: Test, suite: Suite): Promise<void> {
  const skip = suite.store.capabilities.conditionalWrites ? false : 'the store has no conditional writes';

  await t.test('of puts with If-None-Match at once, one creates', { skip }, async (t) => {
    const key = `${suite.prefix()}race`;
    const winners = await race(t, suite, key, { ifNoneMatch: '*' });
    t.equal(winners.length, 1);
    t.equal((await suite.read(key)).toString(), winners[0]);
  });

  await t.test('of puts with If-Match of one version at once, one overwrites', { skip }, async (t) => {
    const key = `${suite.prefix()}race`;
    const winners = await race(t, suite, key, { ifMatch: await suite.put(key, 'before') });
    t.equal(winners.length, 1);
    t.equal((await suite.read(key)).toString(), winners[0]);
  });
}

async function replacementTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;

  await t.test('readers of an object that is being replaced get whole versions or are told', async (t) => {
    const key = `${suite.prefix()}replaced`;
    const size = 1_000_000;
    let etag = await suite.put(key, Buffer.alloc(size, 0));
    let reads = 0;
    for (let version = 1; version <= 10; version += 1) {
      const pinned = etag;
      const replacing = suite.put(key, Buffer.alloc(size, version));
      const results = await Promise.all(
        [0, 1, 2].map(async () => {
          const chunks: Buffer[] = [];
          const got = await store
            .get(key, { offset: 0, length: size }, { ifMatch: pinned }, (chunk) =>
              chunks.push(Buffer.from(chunk)),
            )
            .catch((error: unknown) => error);
          return { got, bytes: Buffer.concat(chunks) };
        }),
      );
      for (const { got, bytes } of results) {
        const old = Buffer.alloc(bytes.length, version - 1);
        // What was delivered before the replacement was noticed is of the old version as well.
        t.ok(bytes.equals(old), `version ${String(version - 1)}: ${String(bytes.length)} bytes`);
        if (got instanceof Error)
          t.equal(got instanceof StoreError && got.kind, 'precondition-failed', got.message);
        else {
          reads += 1;
          t.equal(bytes.length, size);
        }
      }
      etag = await replacing;
    }
    t.comment(`${String(reads)} of 30 reads got the old version whole`);
    t.ok((await suite.read(key)).equals(Buffer.alloc(size, 10)));
  });

  await t.test('a put leaves nothing of the object before', async (t) => {
    const key = `${suite.prefix()}anew`;
    await suite.put(key, 'a long content', {
      metadata: { old: '1', both: 'old' },
      contentType: 'text/plain',
      cacheControl: 'no-cache',
    });
    await suite.put(key, 'short', { metadata: { both: 'new' } });
    const head = await store.head(key);
    t.same(head?.metadata, { both: 'new' });
    t.equal(head?.cacheControl, undefined);
    t.not(head?.contentType, 'text/plain');
    t.equal((await suite.read(key)).toString(), 'short');
  });

  await t.test('paging gives what stays once, whatever goes meanwhile', async (t) => {
    const prefix = suite.prefix();
    const keys = Array.from({ length: 20 }, (_, n) => `${prefix}k${String(n).padStart(2, '0')}`);
    await Promise.all(keys.map((key) => suite.put(key, 'x')));
    const seen: string[] = [];
    let token: string | undefined;
    for (let page = 0; ; page += 1) {
      const listed = await store.list({
        prefix,
        maxKeys: 4,
        ...(token === undefined ? {} : { continuationToken: token }),
      });
      seen.push(...listed.objects.map(({ key }) => key));
      token = listed.continuationToken;
      if (token === undefined) break;
      // Odd keys go: of the page before, its last one among them, and of the next.
      await store.deleteMany(keys.slice(page * 4, page * 4 + 8).filter((_, n) => n % 2 === 1));
    }
    t.equal(new Set(seen).size, seen.length, 'none twice');
    const staying = keys.filter((_, n) => n % 2 === 0);
    t.same(
      staying.filter((key) => !seen.includes(key)),
      [],
      'none left out',
    );
  });
}

async function conditionalDeletes(t: Test, suite: Suite, options: ContractOptions): Promise<void> {
  const { store } = suite;
  const able = store.capabilities.conditionalWrites && options.conditionalDelete !== false;
  const skip = able ? false : 'the store has no conditional deletes';

  await t.test('delete with If-Match removes that version only', { skip }, async (t) => {
    const key = `${suite.prefix()}version`;
    const first = await suite.put(key, 'one');
    const second = await suite.put(key, 'two');
    await rejectsAs(t, store.delete(key, { ifMatch: first }), 'precondition-failed', 'another version');
    t.equal((await suite.read(key)).toString(), 'two');
    await store.delete(key, { ifMatch: second });
    t.equal(await store.head(key), undefined);
    await t.resolves(store.delete(key, { ifMatch: second }), 'what is gone already');
  });
}

async function cutOffTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;

  await t.test('an aborted signal ends the calls of multipart uploads and of many keys', async (t) => {
    const key = `${suite.prefix()}aborted`;
    const etag = await suite.put(key, 'x');
    const uploadId = await store.createUpload(key, PLAIN);
    const part = await store.uploadPart(key, uploadId, 1, [Buffer.from('y')]);
    const signal = AbortSignal.abort();
    const source = { key, etag, range: { offset: 0, length: 1 } };
    await rejectsAs(t, store.createUpload(key, PLAIN, signal), 'aborted', 'createUpload');
    await rejectsAs(
      t,
      store.uploadPart(key, uploadId, 1, [Buffer.from('z')], signal),
      'aborted',
      'uploadPart',
    );
    await rejectsAs(t, store.copyPart(key, uploadId, 1, source, signal), 'aborted', 'copyPart');
    await rejectsAs(
      t,
      store.completeUpload(key, uploadId, [part], undefined, signal),
      'aborted',
      'completeUpload',
    );
    await rejectsAs(t, store.abortUpload(key, uploadId, signal), 'aborted', 'abortUpload');
    await rejectsAs(t, store.listUploads(key, signal), 'aborted', 'listUploads');
    await rejectsAs(t, store.deleteMany([key], signal), 'aborted', 'deleteMany');
    await rejectsAs(t, store.probe('', signal), 'aborted', 'probe');
    t.equal((await suite.read(key)).toString(), 'x', 'nothing of it took effect');
    await store.completeUpload(key, uploadId, [part]);
    t.equal((await suite.read(key)).toString(), 'y');
  });

  await t.test('a put that is cut off leaves the old object or the new one, whole', async (t) => {
    const key = `${suite.prefix()}cut`;
    const before = await suite.put(key, 'before');
    const content = randomBytes(4_000_000);
    const controller = new AbortController();
    const putting = store
      .put(key, [content], PLAIN, undefined, controller.signal)
      .catch((error: unknown) => error);
    setImmediate(() => controller.abort());
    const outcome = await putting;
    if (outcome instanceof Error)
      t.equal(outcome instanceof StoreError && outcome.kind, 'aborted', outcome.message);
    const head = await store.head(key);
    const read = await suite.read(key);
    t.ok(read.equals(content) || (read.toString() === 'before' && head?.etag === before));
    // Under another key: what was sent before the cut may take effect at any time later, as a PUT whose answer nobody awaits.
    const other = `${suite.prefix()}after-cut`;
    await suite.put(other, 'after');
    t.equal((await suite.read(other)).toString(), 'after', 'the store goes on');
  });

  await t.test('a get that is cut off delivers nothing after it has said so', async (t) => {
    const key = `${suite.prefix()}cut`;
    await suite.put(key, randomBytes(4_000_000));
    const controller = new AbortController();
    let ended = false;
    const getting = store.get(key, { offset: 0, length: 4_000_000 }, { signal: controller.signal }, () => {
      t.notOk(ended, 'no byte after the end');
      controller.abort();
    });
    await rejectsAs(t, getting, 'aborted', 'get');
    ended = true;
    t.equal((await suite.read(key)).length, 4_000_000, 'the store goes on');
  });
}
