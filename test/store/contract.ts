/** What every ObjectStore must do. Each test works below a prefix of its own and cleans up after itself. */
import { randomBytes, randomUUID } from 'node:crypto';
import type { Test } from 'tap';
import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';
import type {
  ListPage,
  ListRequest,
  ObjectHeaders,
  ObjectStore,
  StreamedBody,
} from '../../src/store/object-store.js';
import { directoryTests } from './directory-contract.js';
import { racingTests } from './racing-contract.js';

export interface ContractOptions {
  /** CopyObject obeys If-Match and If-None-Match on its target. AWS does; some servers ignore them. Default true. */
  readonly conditionalCopy?: boolean;
  /** DeleteObject obeys If-Match. AWS does; some servers ignore it. Default true. */
  readonly conditionalDelete?: boolean;
  /** DeleteObjects obeys the ETag of each key. AWS does; some servers ignore it. Default true. */
  readonly conditionalDeleteMany?: boolean;
  /** Answers echo `encoding-type=url`, so keys with control characters can be listed. Default true. */
  readonly controlCharacters?: boolean;
}

export const PLAIN: ObjectHeaders = { metadata: {} };

/** Runs the suite in subtests of `t`. `makeStore` is called once for all. */
export async function objectStoreContract(
  t: Test,
  makeStore: () => Promise<ObjectStore>,
  options: ContractOptions = {},
): Promise<void> {
  const store = await makeStore();
  t.teardown(() => store.close());
  const run = `contract-${randomUUID()}/`;
  t.teardown(() => removeAll(store, run));
  const suite = new Suite(store, run);

  await t.test('probe succeeds on a bucket that may be listed', async (t) => {
    await t.resolves(store.probe(''));
  });
  await objectTests(t, suite);
  await conditionTests(t, suite);
  await listTests(t, suite, options);
  await copyTests(t, suite, options);
  await multipartTests(t, suite);
  await deleteTests(t, suite, options);
  await abortTests(t, suite);
  await racingTests(t, suite, options);
  await directoryTests(t, suite);
}

/** The store under test, and names nobody else uses. */
export class Suite {
  readonly store: ObjectStore;
  readonly #run: string;
  #next = 0;

  constructor(store: ObjectStore, run: string) {
    this.store = store;
    this.#run = run;
  }

  prefix(): string {
    this.#next += 1;
    return `${this.#run}${String(this.#next)}/`;
  }

  async put(key: string, content: string | Buffer, headers: ObjectHeaders = PLAIN): Promise<string> {
    return (await this.store.put(key, [Buffer.from(content)], headers)).etag;
  }

  async read(key: string, offset = 0, length = 64 * 1024 ** 2): Promise<Buffer> {
    const chunks: Buffer[] = [];
    const result = await this.store.get(key, { offset, length }, {}, (chunk) =>
      chunks.push(Buffer.from(chunk)),
    );
    const bytes = Buffer.concat(chunks);
    if (bytes.length !== result.length)
      throw new Error(`the sink got ${String(bytes.length)} bytes, the result says ${String(result.length)}`);
    return bytes;
  }

  async listAll(request: ListRequest): Promise<{ keys: string[]; prefixes: string[]; pages: number }> {
    const keys: string[] = [];
    const prefixes: string[] = [];
    let pages = 0;
    let continuationToken: string | undefined;
    do {
      const page: ListPage = await this.store.list({
        ...request,
        ...(continuationToken === undefined ? {} : { continuationToken }),
      });
      keys.push(...page.objects.map((object) => object.key));
      prefixes.push(...page.prefixes);
      continuationToken = page.continuationToken;
      pages += 1;
    } while (continuationToken !== undefined);
    return { keys, prefixes, pages };
  }
}

async function removeAll(store: ObjectStore, prefix: string): Promise<void> {
  for (const upload of await store.listUploads(prefix)) await store.abortUpload(upload.key, upload.uploadId);
  let page: ListPage;
  do {
    page = await store.list({ prefix });
    await store.deleteMany(page.objects.map((object) => object.key));
  } while (page.continuationToken !== undefined);
}

export async function rejectsAs(
  t: Test,
  promise: Promise<unknown>,
  kind: StoreErrorKind,
  name: string,
): Promise<void> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof StoreError)) t.fail(`${name}: expected a StoreError, got ${String(error)}`);
  else t.equal(error.kind, kind, `${name}: ${error.message}`);
}

const byUtf8 = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

async function objectTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;

  await t.test('head tells what put wrote', async (t) => {
    const key = `${suite.prefix()}file`;
    const beganMs = Date.now();
    const etag = await suite.put(key, 'hello', { metadata: {}, contentType: 'text/plain' });
    const head = await store.head(key);
    t.equal(head?.key, key);
    t.equal(head?.size, 5);
    t.equal(head?.etag, etag);
    t.match(etag, /^".+"$/, 'ETags keep their quotes');
    t.equal(head?.contentType, 'text/plain');
    t.ok(head !== undefined && Math.abs(head.lastModifiedMs - beganMs) < 60_000, 'lastModified is about now');
    t.ok(head !== undefined && Math.abs(head.dateMs - beganMs) < 60_000, 'date is about now');
  });

  await t.test('head of what is not there is undefined, get is not-found', async (t) => {
    const key = `${suite.prefix()}nothing`;
    t.equal(await store.head(key), undefined);
    await rejectsAs(t, suite.read(key), 'not-found', 'get');
  });

  await t.test('bodies of several slices, and of none', async (t) => {
    const prefix = suite.prefix();
    const slices = [randomBytes(70_000), randomBytes(1), randomBytes(200_000)];
    await store.put(`${prefix}slices`, slices, PLAIN);
    t.ok((await suite.read(`${prefix}slices`)).equals(Buffer.concat(slices)));
    await store.put(`${prefix}empty`, [], PLAIN);
    t.equal((await store.head(`${prefix}empty`))?.size, 0);
    await rejectsAs(t, suite.read(`${prefix}empty`), 'range', 'a range of an empty object');
  });

  await t.test('get delivers exactly the range', async (t) => {
    const key = `${suite.prefix()}ranges`;
    const content = randomBytes(300_000);
    const etag = await suite.put(key, content);
    for (const [offset, length] of [
      [0, 1],
      [0, 300_000],
      [299_999, 1],
      [100_000, 100_001],
      [299_990, 1_000],
    ] as const) {
      const chunks: Buffer[] = [];
      const result = await store.get(key, { offset, length }, {}, (chunk) => chunks.push(Buffer.from(chunk)));
      const expected = content.subarray(offset, offset + length);
      t.ok(Buffer.concat(chunks).equals(expected), `${String(length)} at ${String(offset)}`);
      const { length: received, size } = result;
      t.same({ etag: result.etag, received, size }, { etag, received: expected.length, size: 300_000 });
    }
    await rejectsAs(t, suite.read(key, 300_000, 1), 'range', 'a range from the end on');
  });

  await t.test('a get pinned to a version fails after an overwrite', async (t) => {
    const key = `${suite.prefix()}pinned`;
    const first = await suite.put(key, 'one');
    const sunk: Buffer[] = [];
    const sink = (chunk: Buffer): void => void sunk.push(Buffer.from(chunk));
    t.equal((await store.get(key, { offset: 0, length: 3 }, { ifMatch: first }, sink)).etag, first);
    await suite.put(key, 'two');
    await rejectsAs(
      t,
      store.get(key, { offset: 0, length: 3 }, { ifMatch: first }, sink),
      'precondition-failed',
      'the old version',
    );
    t.equal(Buffer.concat(sunk).toString(), 'one', 'no byte of the new version was delivered');
  });

  await t.test('a get tells of the object what HEAD tells', async (t) => {
    const key = `${suite.prefix()}told`;
    const headers = { metadata: { mode: '33188', note: 'naïve' }, contentType: 'text/plain' };
    await store.put(key, [Buffer.from('some bytes')], headers);
    const { head } = await store.get(key, { offset: 2, length: 3 }, {}, () => undefined);
    const asked = await store.head(key);
    t.same({ ...head, dateMs: 0 }, { ...asked, dateMs: 0 });
    // Servers take the date of their answers from a clock that ticks once a second.
    t.ok(head.dateMs >= head.lastModifiedMs - 1000, 'dated by the server');
  });

  await t.test('headers and metadata come back as they were written', async (t) => {
    const key = `${suite.prefix()}headers`;
    const headers: ObjectHeaders = {
      metadata: {
        plain: 'value with  two spaces',
        unicode: 'naïve – 日本語 😀',
        padded: ' edges ',
        word: '=?UTF-8?Q?not_encoded?=',
        'file-mtime': '1700000000123456789ns',
      },
      contentType: 'text/x-example; charset=utf-8',
      contentLanguage: 'en',
      contentDisposition: 'attachment; filename="a b.txt"',
      cacheControl: 'max-age=60',
      contentEncoding: 'gzip',
    };
    await store.put(key, [Buffer.from('not really gzip')], headers);
    const head = await store.head(key);
    t.match(head, headers);
    t.same(head?.metadata, headers.metadata);
    t.equal((await suite.read(key)).toString(), 'not really gzip', 'content encodings are never undone');
  });

  await t.test('metadata keys are lower case', async (t) => {
    const key = `${suite.prefix()}case`;
    await suite.put(key, 'x', { metadata: { 'File-Owner': '1000' } });
    t.same((await store.head(key))?.metadata, { 'file-owner': '1000' });
  });
}

async function conditionTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;
  const skip = store.capabilities.conditionalWrites ? false : 'the store has no conditional writes';

  await t.test('put with If-None-Match creates and never overwrites', { skip }, async (t) => {
    const key = `${suite.prefix()}new`;
    await store.put(key, [Buffer.from('first')], PLAIN, { ifNoneMatch: '*' });
    await rejectsAs(
      t,
      store.put(key, [Buffer.from('second')], PLAIN, { ifNoneMatch: '*' }),
      'precondition-failed',
      'a second create',
    );
    t.equal((await suite.read(key)).toString(), 'first');
  });

  await t.test('put with If-Match overwrites that version only', { skip }, async (t) => {
    const key = `${suite.prefix()}known`;
    const first = await suite.put(key, 'first');
    const second = await store.put(key, [Buffer.from('second')], PLAIN, { ifMatch: first });
    await rejectsAs(
      t,
      store.put(key, [Buffer.from('third')], PLAIN, { ifMatch: first }),
      'precondition-failed',
      'a version that is gone',
    );
    t.equal((await store.head(key))?.etag, second.etag);
    t.equal((await suite.read(key)).toString(), 'second');
  });

  await t.test('put with If-Match never creates', { skip }, async (t) => {
    const key = `${suite.prefix()}missing`;
    const error: unknown = await store
      .put(key, [Buffer.from('x')], PLAIN, { ifMatch: '"0123456789abcdef0123456789abcdef"' })
      .catch((reason: unknown) => reason);
    t.ok(error instanceof StoreError);
    // AWS answers 404 here; others 412.
    t.ok(error instanceof StoreError && ['precondition-failed', 'not-found'].includes(error.kind));
    t.equal(await store.head(key), undefined);
  });
}

async function listTests(t: Test, suite: Suite, options: ContractOptions): Promise<void> {
  const { store } = suite;
  const unordered = store.capabilities.orderedListing ? false : 'the store lists in no order';

  await t.test('list tells size, ETag and time of each object', async (t) => {
    const prefix = suite.prefix();
    const etag = await suite.put(`${prefix}a`, 'abc');
    const head = await store.head(`${prefix}a`);
    const { objects } = await store.list({ prefix });
    t.equal(objects.length, 1);
    t.equal(objects[0]?.etag, etag);
    t.equal(objects[0]?.size, 3);
    const listedMs = objects[0]?.lastModifiedMs ?? 0;
    t.equal(
      Math.floor(listedMs / 1000),
      Math.floor((head?.lastModifiedMs ?? 0) / 1000),
      'the time HEAD tells',
    );
    t.same(await store.list({ prefix: `${prefix}b/` }), { objects: [], prefixes: [] });
  });

  await t.test(
    'paging gives every key once, in order',
    { skip: unordered && 'the bucket lists without order' },
    async (t) => {
      const prefix = suite.prefix();
      const keys = Array.from({ length: 23 }, (_, n) => `${prefix}k${String(n).padStart(2, '0')}`);
      await Promise.all(keys.map((key) => suite.put(key, 'x')));
      const listed = await suite.listAll({ prefix, maxKeys: 5 });
      t.same(listed.keys, keys);
      t.equal(listed.pages, 5);
      t.same((await suite.listAll({ prefix, startAfter: keys[9] ?? '' })).keys, keys.slice(10));
      t.same((await suite.listAll({ prefix, startAfter: `${keys[9] ?? ''}!` })).keys, keys.slice(10));
    },
  );

  await t.test(
    'without order, pages give every key once',
    { skip: !unordered && 'it lists in order' },
    async (t) => {
      const prefix = suite.prefix();
      const keys = Array.from({ length: 23 }, (_, n) => `${prefix}k${String(n).padStart(2, '0')}`);
      await Promise.all(keys.map((key) => suite.put(key, 'x')));
      const listed = await suite.listAll({ prefix, maxKeys: 5 });
      t.same(listed.keys.sort(byUtf8), keys);
      t.equal(listed.pages, 5);
      await rejectsAs(t, store.list({ prefix: `${prefix}k` }), 'invalid', 'a prefix that does not end in /');
      await rejectsAs(t, store.listUploads(`${prefix}k`), 'invalid', 'the same of uploads');
    },
  );

  await t.test('delimiter: keys of one level and each common prefix once', async (t) => {
    const prefix = suite.prefix();
    const names = ['a', 'b/1', 'b/2', 'b/c/3', 'd', 'e/', 'f/g', 'h'];
    for (const name of names) await suite.put(`${prefix}${name}`, name.endsWith('/') ? '' : 'x');
    for (const maxKeys of [1, 2, 3, 1000]) {
      const listed = await suite.listAll({ prefix, delimiter: '/', maxKeys });
      const strip = (full: string): string => full.slice(prefix.length);
      t.same(listed.keys.map(strip).sort(), ['a', 'd', 'h'], `keys, ${String(maxKeys)} a page`);
      t.same(listed.prefixes.map(strip).sort(), ['b/', 'e/', 'f/'], `prefixes, ${String(maxKeys)} a page`);
    }
    const below = await suite.listAll({ prefix: `${prefix}b/`, delimiter: '/' });
    t.same(below.keys.sort(byUtf8), [`${prefix}b/1`, `${prefix}b/2`]);
    t.same(below.prefixes, [`${prefix}b/c/`]);
  });

  await t.test('odd keys: every call takes them, list returns them in UTF-8 order', async (t) => {
    const prefix = suite.prefix();
    const names = [
      'a b',
      'a+b',
      'a%20b',
      'a%2Bb',
      'a&b=c?d#e',
      `quo"te's`,
      '<xml>&amp;',
      'é',
      'e\u0301',
      '日本語',
      '\uffee',
      '😀',
      'tilde~(paren)*!',
      'back\\slash',
      ...(options.controlCharacters === false ? [] : ['new\nline', 'bell\u0007']),
    ];
    for (const name of names) await suite.put(prefix + name, name);
    for (const name of names) {
      t.equal((await suite.read(prefix + name)).toString(), name, `get ${JSON.stringify(name)}`);
      t.equal((await store.head(prefix + name))?.key, prefix + name, `head ${JSON.stringify(name)}`);
    }
    const expected = names.map((name) => prefix + name).sort(byUtf8);
    const listed = await suite.listAll({ prefix, maxKeys: 3 });
    if (store.capabilities.orderedListing) t.same(listed.keys, expected);
    else t.same(listed.keys.sort(byUtf8), expected);
    for (const name of store.capabilities.orderedListing ? names : [])
      t.same(
        (await suite.listAll({ prefix: prefix + name })).keys.includes(prefix + name),
        true,
        `as a prefix: ${JSON.stringify(name)}`,
      );
    const [first = ''] = names;
    for (const name of names.slice(1)) {
      await store.copy(prefix + name, `${prefix}copies/${name}`, {});
      t.equal((await suite.read(`${prefix}copies/${name}`)).toString(), name, `copy ${JSON.stringify(name)}`);
    }
    t.same(await store.deleteMany(names.map((name) => prefix + name)), new Map());
    t.equal(await store.head(prefix + first), undefined);
    t.same((await suite.listAll({ prefix, delimiter: '/' })).keys, []);
  });
}

async function copyTests(t: Test, suite: Suite, options: ContractOptions): Promise<void> {
  const { store } = suite;

  await t.test('copy takes bytes and headers along', async (t) => {
    const prefix = suite.prefix();
    const headers = { metadata: { 'file-mode': '0100644', unicode: 'ß' }, contentType: 'text/plain' };
    const etag = await suite.put(`${prefix}source`, 'content', headers);
    const copied = await store.copy(`${prefix}source`, `${prefix}target`, { sourceEtag: etag });
    const head = await store.head(`${prefix}target`);
    t.equal(head?.etag, copied.etag);
    t.same(head?.metadata, headers.metadata);
    t.equal(head?.contentType, 'text/plain');
    t.equal((await suite.read(`${prefix}target`)).toString(), 'content');
  });

  await t.test('copy onto itself replaces the headers', async (t) => {
    const key = `${suite.prefix()}self`;
    const etag = await suite.put(key, 'content', { metadata: { old: '1' }, contentType: 'text/plain' });
    await store.copy(key, key, {
      sourceEtag: etag,
      size: 7,
      headers: { metadata: { new: '2' }, contentType: 'text/html' },
    });
    const head = await store.head(key);
    t.same(head?.metadata, { new: '2' });
    t.equal(head?.contentType, 'text/html');
    t.equal((await suite.read(key)).toString(), 'content');
  });

  await t.test('copy fails when the source is another version, or gone', async (t) => {
    const prefix = suite.prefix();
    const etag = await suite.put(`${prefix}source`, 'one');
    await suite.put(`${prefix}source`, 'two');
    for (const known of [{}, { size: 3, headers: PLAIN }])
      await rejectsAs(
        t,
        store.copy(`${prefix}source`, `${prefix}target`, { sourceEtag: etag, ...known }),
        'precondition-failed',
        'another version',
      );
    for (const known of [{}, { size: 3, headers: PLAIN }])
      await rejectsAs(t, store.copy(`${prefix}gone`, `${prefix}target`, known), 'not-found', 'gone');
    t.equal(await store.head(`${prefix}target`), undefined);
  });

  const skip =
    store.capabilities.conditionalWrites && options.conditionalCopy !== false
      ? false
      : 'the store has no conditional copies';
  await t.test('copy obeys conditions on its target', { skip }, async (t) => {
    const prefix = suite.prefix();
    await suite.put(`${prefix}source`, 'source');
    const etag = await suite.put(`${prefix}target`, 'target');
    const from = `${prefix}source`;
    const to = `${prefix}target`;
    await rejectsAs(
      t,
      store.copy(from, to, { condition: { ifNoneMatch: '*' } }),
      'precondition-failed',
      'onto an object, with If-None-Match',
    );
    await rejectsAs(
      t,
      store.copy(from, to, { condition: { ifMatch: '"0123456789abcdef0123456789abcdef"' } }),
      'precondition-failed',
      'onto another version',
    );
    t.equal((await suite.read(to)).toString(), 'target');
    await store.copy(from, to, { condition: { ifMatch: etag } });
    t.equal((await suite.read(to)).toString(), 'source');
    await store.copy(from, `${prefix}fresh`, { condition: { ifNoneMatch: '*' } });
    t.equal((await suite.read(`${prefix}fresh`)).toString(), 'source');
  });
}

async function multipartTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;
  const { partBytesMin } = store.capabilities;

  await t.test(
    'multipart: parts in any order, with gaps in their numbers where they may have them',
    async (t) => {
      const prefix = suite.prefix();
      const key = `${prefix}multi part+`;
      const [a, b, c] = store.capabilities.partNumberGaps ? ([2, 7, 70] as const) : ([1, 2, 3] as const);
      const headers = { metadata: { 'file-mode': '0100600' }, contentType: 'application/x-example' };
      const bodies = [randomBytes(partBytesMin), randomBytes(partBytesMin + 1), randomBytes(10)];
      const uploadId = await store.createUpload(key, headers);
      const last = await store.uploadPart(key, uploadId, c, [bodies[2] ?? Buffer.alloc(0)]);
      const second = await store.uploadPart(key, uploadId, b, [
        (bodies[1] ?? Buffer.alloc(0)).subarray(0, 1000),
        (bodies[1] ?? Buffer.alloc(0)).subarray(1000),
      ]);
      const discarded = await store.uploadPart(key, uploadId, a, [Buffer.from('replaced below')]);
      // From elsewhere, a piece at a time.
      const first = await store.uploadPart(key, uploadId, a, streamed(bodies[0] ?? Buffer.alloc(0)));
      t.not(discarded.etag, first.etag);
      t.equal(first.partNumber, a);
      t.equal(await store.head(key), undefined, 'nothing appears before the upload is complete');
      const written = await store.completeUpload(key, uploadId, [first, second, last]);
      const head = await store.head(key);
      t.equal(head?.etag, written.etag);
      t.same(head?.metadata, headers.metadata);
      t.equal(head?.contentType, headers.contentType);
      t.ok((await suite.read(key)).equals(Buffer.concat(bodies)));
      t.same(await store.listUploads(prefix), []);
    },
  );

  await t.test('copyPart takes ranges of other objects', async (t) => {
    const prefix = suite.prefix();
    const source = randomBytes(partBytesMin + 1000);
    const etag = await suite.put(`${prefix}source +%`, source);
    const key = `${prefix}target`;
    const uploadId = await store.createUpload(key, PLAIN);
    const head = await store.copyPart(key, uploadId, 1, {
      key: `${prefix}source +%`,
      etag,
      range: { offset: 1000, length: partBytesMin },
    });
    const tail = await store.uploadPart(key, uploadId, 2, [Buffer.from('tail')]);
    await rejectsAs(
      t,
      store.copyPart(key, uploadId, 3, {
        key: `${prefix}source +%`,
        etag: '"0123456789abcdef0123456789abcdef"',
        range: { offset: 0, length: 10 },
      }),
      'precondition-failed',
      'another version of the source',
    );
    await store.completeUpload(key, uploadId, [head, tail]);
    t.ok((await suite.read(key)).equals(Buffer.concat([source.subarray(1000), Buffer.from('tail')])));
  });

  const skip = store.capabilities.conditionalWrites ? false : 'the store has no conditional writes';
  await t.test('complete obeys conditions', { skip }, async (t) => {
    const key = `${suite.prefix()}conditional`;
    const etag = await suite.put(key, 'old');
    const upload = async (): Promise<readonly [string, Awaited<ReturnType<ObjectStore['uploadPart']>>]> => {
      const uploadId = await store.createUpload(key, PLAIN);
      return [uploadId, await store.uploadPart(key, uploadId, 1, [Buffer.from('new')])];
    };
    const [refused, refusedPart] = await upload();
    await rejectsAs(
      t,
      store.completeUpload(key, refused, [refusedPart], { ifNoneMatch: '*' }),
      'precondition-failed',
      'with If-None-Match over an object',
    );
    t.equal((await suite.read(key)).toString(), 'old');
    const [uploadId, part] = await upload();
    await store.completeUpload(key, uploadId, [part], { ifMatch: etag });
    t.equal((await suite.read(key)).toString(), 'new');
  });

  await t.test('an aborted upload is gone; aborting it again is fine', async (t) => {
    const prefix = suite.prefix();
    const key = `${prefix}aborted`;
    const uploadId = await store.createUpload(key, PLAIN);
    const part = await store.uploadPart(key, uploadId, 1, [Buffer.from('x')]);
    await store.abortUpload(key, uploadId);
    await store.abortUpload(key, uploadId);
    t.same(await store.listUploads(prefix), []);
    await rejectsAs(t, store.completeUpload(key, uploadId, [part]), 'not-found', 'complete after abort');
    await rejectsAs(
      t,
      store.uploadPart(key, uploadId, 1, [Buffer.from('x')]),
      'not-found',
      'part after abort',
    );
    t.equal(await store.head(key), undefined);
  });

  await t.test('listUploads lists what is unfinished below a prefix', async (t) => {
    const prefix = suite.prefix();
    const keys = [`${prefix}a b`, `${prefix}c+d`, `${prefix}é`];
    const ids = new Map<string, string>();
    for (const key of keys) ids.set(await store.createUpload(key, PLAIN), key);
    await store.createUpload(`${suite.prefix()}elsewhere`, PLAIN);
    const uploads = await store.listUploads(prefix);
    t.same(new Map(uploads.map((upload) => [upload.uploadId, upload.key])), ids);
    for (const upload of uploads)
      t.ok(Math.abs(upload.initiatedMs - Date.now()) < 60_000, 'initiated is about now');
  });

  await t.test('a part number beyond the limit is too-large', async (t) => {
    const key = `${suite.prefix()}parts`;
    const uploadId = await store.createUpload(key, PLAIN);
    const { partsMax } = store.capabilities;
    await rejectsAs(
      t,
      store.uploadPart(key, uploadId, partsMax + 1, [Buffer.from('x')]),
      'too-large',
      'one part more than there may be',
    );
  });
}

async function deleteTests(t: Test, suite: Suite, options: ContractOptions): Promise<void> {
  const { store } = suite;

  await t.test('delete removes, and succeeds on what is not there', async (t) => {
    const key = `${suite.prefix()}gone`;
    await suite.put(key, 'x');
    await store.delete(key);
    t.equal(await store.head(key), undefined);
    await t.resolves(store.delete(key));
  });

  const obeysVersions = store.capabilities.conditionalWrites && options.conditionalDeleteMany !== false;
  const skip = !obeysVersions && 'the server ignores the ETags of DeleteObjects';
  await t.test('deleteMany leaves other versions than those it is told of', { skip }, async (t) => {
    const prefix = suite.prefix();
    const ours = await suite.put(`${prefix}ours`, 'ours');
    const before = await suite.put(`${prefix}theirs`, 'ours');
    await suite.put(`${prefix}theirs`, 'theirs');
    const failed = await store.deleteMany([
      { key: `${prefix}ours`, ifMatch: ours },
      { key: `${prefix}theirs`, ifMatch: before },
      { key: `${prefix}gone`, ifMatch: ours },
    ]);
    t.same(
      [...failed].map(([key, error]) => [key, error.kind]),
      [[`${prefix}theirs`, 'precondition-failed']],
    );
    t.same((await suite.listAll({ prefix })).keys, [`${prefix}theirs`]);
  });

  await t.test('deleteMany takes more keys than one request', async (t) => {
    const prefix = suite.prefix();
    const kept = `${prefix}kept`;
    await suite.put(kept, 'x');
    const keys = Array.from({ length: 1_005 }, (_, n) => `${prefix}n${String(n)}`);
    const real = [keys[0], keys[999], keys[1_004]].filter((key) => key !== undefined);
    for (const key of real) await suite.put(key, 'x');
    t.same(await store.deleteMany(keys), new Map());
    t.same((await suite.listAll({ prefix })).keys, [kept]);
    t.same(await store.deleteMany([]), new Map());
  });
}

async function abortTests(t: Test, suite: Suite): Promise<void> {
  const { store } = suite;

  await t.test('an aborted signal ends every call', async (t) => {
    const key = `${suite.prefix()}aborted`;
    await suite.put(key, 'x');
    const signal = AbortSignal.abort();
    const body = [Buffer.from('y')];
    await rejectsAs(t, store.head(key, signal), 'aborted', 'head');
    await rejectsAs(
      t,
      store.get(key, { offset: 0, length: 1 }, { signal }, () => t.fail('a byte')),
      'aborted',
      'get',
    );
    await rejectsAs(t, store.list({ prefix: key }, signal), 'aborted', 'list');
    await rejectsAs(t, store.put(key, body, PLAIN, undefined, signal), 'aborted', 'put');
    await rejectsAs(t, store.delete(key, undefined, signal), 'aborted', 'delete');
    await rejectsAs(t, store.copy(key, `${key}2`, { signal }), 'aborted', 'copy');
    t.equal((await suite.read(key)).toString(), 'x');
  });
}

/** The same bytes, as often as they are asked for. */
function streamed(bytes: Buffer): StreamedBody {
  return {
    bytes: bytes.length,
    open: async function* () {
      for (let at = 0; at < bytes.length; at += 100_000) {
        await Promise.resolve();
        yield bytes.subarray(at, at + 100_000);
      }
    },
  };
}
