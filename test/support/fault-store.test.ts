/** The fault-injecting store: transparent without a plan, and exact with one. */
import t from 'tap';
import { objectStoreContract } from '../store/contract.js';
import { FaultStore } from './fault-store.js';
import { DIRECTORY_CAPABILITIES, MemoryStore } from './memory-store.js';
import { storeErrorKind } from './store-error-kind.js';

const headers = { metadata: {} };

await t.test('without a plan it keeps the contract', async (t) => {
  await objectStoreContract(t, async () => new FaultStore(new MemoryStore()));
});

await t.test('contract of the in-memory store as a directory bucket', async (t) => {
  const capabilities = DIRECTORY_CAPABILITIES;
  await objectStoreContract(t, async () => new FaultStore(new MemoryStore({ capabilities })));
});

await t.test('the nth call fails, before or after its effect', async (t) => {
  const store = new FaultStore(new MemoryStore());
  store.fail('PutObject', 2, 'throttled');
  store.fail('PutObject', 3, 'unavailable', 'after');
  await store.put('one', [Buffer.from('1')], headers);
  t.equal(await storeErrorKind(store.put('two', [Buffer.from('2')], headers)), 'throttled');
  t.equal(await storeErrorKind(store.put('three', [Buffer.from('3')], headers)), 'unavailable');
  await store.put('four', [Buffer.from('4')], headers);
  const { objects } = await store.list({ prefix: '' });
  t.same(
    objects.map((object) => object.key),
    ['four', 'one', 'three'],
  );
});

await t.test('a held call waits for its gate, and answers to its signal', async (t) => {
  const store = new FaultStore(new MemoryStore());
  const gate = store.hold('HeadObject', 1);
  let settled = false;
  const head = store.head('key').then((value) => {
    settled = true;
    return value;
  });
  await gate.reached;
  t.equal(settled, false);
  gate.open();
  t.equal(await head, undefined);

  const held = store.hold('HeadObject', 2);
  const abort = new AbortController();
  const kind = storeErrorKind(store.head('key', abort.signal));
  await held.reached;
  abort.abort();
  t.equal(await kind, 'aborted');
});

await t.test('bytes of a GET are corrupted or cut', async (t) => {
  const store = new FaultStore(new MemoryStore());
  await store.put('key', [Buffer.from('content')], headers);
  store.alterGet(1, (bytes) => Buffer.from(bytes.map((byte) => byte ^ 0xff)));
  store.alterGet(2, (bytes) => bytes.subarray(0, 3));
  const sunk: Buffer[] = [];
  const sink = (chunk: Buffer): void => void sunk.push(Buffer.from(chunk));
  const range = { offset: 0, length: 7 };
  await store.get('key', range, {}, sink);
  t.not(Buffer.concat(sunk).toString(), 'content');
  sunk.length = 0;
  t.equal(await storeErrorKind(store.get('key', range, {}, sink)), 'unavailable');
  t.equal(Buffer.concat(sunk).toString(), 'con');
});

await t.test('it tells the calls an action caused', async (t) => {
  const store = new FaultStore(new MemoryStore());
  await store.put('key', [Buffer.from('ab'), Buffer.from('c')], headers, { ifNoneMatch: '*' });
  await store.head('key');
  t.same(store.calls, [
    { operation: 'PutObject', key: 'key', bytes: 3, condition: { ifNoneMatch: '*' } },
    { operation: 'HeadObject', key: 'key' },
  ]);
  t.same(store.operations({ forget: true }), ['PutObject', 'HeadObject']);
  t.same(store.operations(), []);
  t.equal(store.count('HeadObject'), 1);
});
