/** Names that listings showed, from the log to LMDB. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import fc from '../support/fast-check.js';
import { open } from 'lmdb';
import t from 'tap';
import { decodeChanges, encodeChanges } from '../../src/state/changes-form.js';
import { ListedNames } from '../../src/state/listed-names.js';
import { NodeChanges, type NodeRecord } from '../../src/state/node-changes.js';
import { ListedValues } from '../../src/state/listed-values.js';
import { childKey, nodeKey, storedForm, type StoredNode } from '../../src/state/node-form.js';
import { NodeLog } from '../../src/state/node-log.js';
import { NodeTable } from '../../src/state/node-table.js';

const secret = Buffer.alloc(32, 7);
const FACTS = [undefined, Object.freeze({ k: 'f' }), Object.freeze({ k: 'd' })];

const names = fc.uniqueArray(
  fc.record({
    id: fc.bigInt({ min: 16n, max: (1n << 62n) - 1n }),
    parent: fc.constantFrom(16n, 17n, 1n << 61n),
    name: fc.oneof(fc.string({ minLength: 1, unit: 'grapheme' }), fc.constant('x'.repeat(1900))),
    facts: fc.constantFrom(...FACTS),
  }),
  { maxLength: 60, selector: ({ id }) => id },
);

const recordOf = ({ facts, ...place }: Pick<NodeRecord, 'id' | 'parent' | 'name' | 'facts'>): NodeRecord => ({
  ...place,
  drawn: false,
  removed: false,
  ...(facts !== undefined && { facts }),
});

await t.test('any names are found by id and by name, and come back from the log', (t) => {
  fc.assert(
    fc.property(names, fc.nat(40), fc.integer({ min: 1, max: 40 }), (all, from, step) => {
      const listed = new ListedNames();
      const model = new Map<bigint, NodeRecord>();
      for (const each of all) {
        if (listed.idOf(each.parent, each.name) !== undefined) continue;
        t.ok(listed.add(each.id, each.parent, each.name, each.facts));
        model.set(each.id, recordOf(each));
      }
      const { count } = listed;
      for (const id of [...model.keys()].filter((_, at) => at % step === 1)) {
        t.strictSame(listed.take(id), model.get(id));
        model.delete(id);
      }
      t.equal(listed.live, model.size);
      for (const { id, parent, name } of all) {
        t.strictSame(listed.record(id), model.get(id));
        t.equal(listed.has(id), model.has(id));
        const owner = [...model.values()].find((each) => each.parent === parent && each.name === name);
        t.equal(listed.idOf(parent, name), owner?.id);
      }
      for (const parent of [16n, 17n, 99n]) {
        const own = [...model.values()].filter((each) => each.parent === parent);
        t.strictSame(
          [...listed.childrenOf(parent)],
          own.map(({ name, id }) => [name, id]),
        );
      }
      const behind = [...listed.byId()].map((at) => listed.recordAt(at)).filter((each) => each !== undefined);
      t.strictSame(new Set(behind.map(({ id }) => id)), new Set(model.keys()));
      for (let at = 0; at < count; at++) {
        const record = listed.recordAt(at);
        t.equal(listed.parentAt(at), record?.parent);
        t.equal(listed.kindAt(at) === undefined, record === undefined);
        if (record === undefined) continue;
        const key = childKey(record.parent, record.name);
        const name = Buffer.alloc(listed.nameBytesAt(at));
        t.equal(listed.copyName(at, name, 0), name.length);
        t.strictSame(name, key.subarray(8));
        const id = Buffer.alloc(8);
        listed.copyId(at, id);
        t.strictSame([id, listed.idBytesAt(at)], [nodeKey(record.id), nodeKey(record.id)]);
      }
      const first = Math.min(from, count);
      const decoded = decodeChanges(
        encodeChanges(new NodeChanges(), { names: listed, from: first, end: count }),
      );
      const logged = [...Array(count).keys()].slice(first).map((at) => listed.recordAt(at));
      t.strictSame(
        [...decoded.nodes.values()],
        logged.filter((each) => each !== undefined),
      );
      for (const each of decoded.nodes.values())
        if (typeof each === 'object') t.equal(decoded.children.get(each.parent)?.get(each.name), each.id);
    }),
    { numRuns: 60 },
  );
  t.end();
});

await t.test("values of nodes are the encoder's, byte for byte", async (t) => {
  const database = open({ path: `${t.testdir()}/values.lmdb`, noSubdir: true, encoding: 'msgpack' });
  const { encoder } = database as unknown as { encoder: { encode: (value: unknown) => Uint8Array } };
  const encode = (stored: StoredNode): Buffer => Buffer.from(encoder.encode(stored));
  const lengths = [1, 31, 32, 33, 63, 64, 65, 255, 256, 1900].flatMap((length) =>
    ['x', 'ä'].map((x) => x.repeat(length)),
  );
  fc.assert(
    fc.property(names, fc.constantFrom(20n, 1n << 61n), (all, parent) => {
      const listed = new ListedNames();
      const some = lengths.map((name, at) => ({ id: BigInt(at), parent, name, facts: FACTS[at % 3] }));
      for (const each of [...some, ...all]) listed.add(each.id, each.parent, each.name, each.facts);
      for (const encoded of [
        encode,
        (stored: StoredNode) => Buffer.concat([Buffer.from('?'), encode(stored)]),
      ]) {
        const values = new ListedValues(listed, encoded);
        const found = Array.from({ length: listed.count }, (_, at) => values.at(at));
        for (const [at, value] of found.entries()) {
          const record = listed.recordAt(at);
          if (record === undefined || value?.equals(encoded(storedForm(record))) !== true)
            throw new Error(`${at}: ${value?.toString('hex')}`);
        }
      }
      for (let at = 0; at < listed.count; at += 2) listed.take(listed.recordAt(at)?.id ?? 0n);
      const values = new ListedValues(listed, encode);
      for (let at = 0; at < listed.count; at++)
        if ((values.at(at) === undefined) !== (listed.recordAt(at) === undefined)) throw new Error('taken');
    }),
    { numRuns: 30 },
  );
  await database.close();
});

await t.test('thousands of names, in few pieces and in the order of their ids', (t) => {
  const listed = new ListedNames();
  const idOf = (at: number): bigint => (BigInt(at) * 0x9e3779b97f4a7c15n) & ((1n << 62n) - 1n);
  for (let at = 1; at <= 5000; at++) listed.add(idOf(at), at <= 3000 ? 16n : 17n, `file-${at}`, undefined);
  t.strictSame(
    [...listed.groups(0, 5000)].map(({ parent, count }) => [parent, count]),
    [
      [16n, 3000],
      [17n, 2000],
    ],
  );
  const ids = [...listed.byId()].map((at) => listed.recordAt(at)?.id ?? 0n);
  t.ok(ids.every((id, at) => at === 0 || (ids[at - 1] ?? 0n) <= id));
  for (let at = 1; at <= 5000; at += 7) t.equal(listed.idOf(at <= 3000 ? 16n : 17n, `file-${at}`), idOf(at));
  t.end();
});

await t.test('more kinds of facts than a number of them tells are not taken', (t) => {
  const listed = new ListedNames();
  for (let at = 0; at < 256; at++) t.ok(listed.add(BigInt(100 + at), 16n, `n${at}`, { at }));
  t.notOk(listed.add(999n, 16n, 'more', { at: 256 }));
  t.equal(listed.idOf(16n, 'more'), undefined);
  t.end();
});

const PAGE = 50;
/** Lists pages, changes two names of each, and has all merged now and then without waiting for it. */
const CHILD = `
  import { NodeTable } from ${JSON.stringify(new URL('../../src/state/node-table.js', import.meta.url).href)};
  const table = NodeTable.open(process.argv[1], { secret: Buffer.alloc(32, 7) });
  const root = table.root('v');
  const facts = Object.freeze({ k: 'f' });
  for (let page = 0; ; page++) {
    const names = Array.from({ length: ${PAGE} }, (_, at) => 'p' + page + '-' + at);
    const found = table.internListed(root.id, names, names.map(() => facts));
    if (page % 2 === 0) await table.settled();
    table.setFacts(found.ids[3], { page });
    if (page > 0) table.remove(table.childId(root.id, 'p' + (page - 1) + '-5'));
    if (page % 5 === 0) void table.flushed();
    await table.settled();
    process.stdout.write(page + '\\n');
  }
`;

await t.test('names of listings, and what was changed of them, survive kill -9', async (t) => {
  const directory = t.testdir({ killed: {}, other: {} });
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, `${directory}/killed`], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let pages = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    pages = Number(line) + 1;
    if (pages === 60) child.kill('SIGKILL');
  }
  await exited;
  const other = NodeTable.open(`${directory}/other`, { secret });
  t.teardown(() => other.close());
  const expectedRoot = other.root('v').id;
  for (const life of ['killed', 'closed']) {
    const table = NodeTable.open(`${directory}/killed`, { secret });
    const root = table.root('v').id;
    t.equal(root, expectedRoot);
    for (let page = 0; page < pages; page++) {
      for (let at = 0; at < PAGE; at++) {
        const name = `p${page}-${at}`;
        const { id } = other.intern(root, name);
        // That of the last page may have been on its way.
        if (at === 5 && page === pages - 1) continue;
        const isRemoved = at === 5;
        const facts = at === 3 ? { page } : { k: 'f' };
        const expected = { id, parent: root, name, removed: isRemoved, drawn: false, facts };
        const found = table.get(id);
        const isRight =
          JSON.stringify(found?.facts) === JSON.stringify(facts) &&
          found?.name === name &&
          found.removed === isRemoved &&
          table.childId(root, name) === (isRemoved ? undefined : id);
        if (!isRight) t.strictSame(found, expected, `${life}: ${name}`);
      }
    }
    const again = table.internListed(root, ['p1-4', 'p1-5'], FACTS);
    t.strictSame(
      again.ids.map((id, at) => ({ isNew: again.known[at] === undefined, drawn: table.get(id)?.drawn })),
      [
        { isNew: false, drawn: false },
        { isNew: true, drawn: true },
      ],
      'an id is not given to another file',
    );
    table.remove(table.childId(root, 'p1-5') ?? 0n);
    await table.close();
  }
});

await t.test(
  'the log goes on behind what LMDB has, though a power cut took what it told of listed names',
  async (t) => {
    const directory = t.testdir();
    const changesOf = (n: number): NodeChanges => {
      const changes = new NodeChanges();
      changes.nodes.set(BigInt(n), 'buried');
      return changes;
    };
    const { log } = NodeLog.open(directory, 0n);
    for (let n = 1; n <= 4; n++) await log.append(changesOf(n));
    await log.close();
    const cut = NodeLog.open(directory, 6n, undefined, 2n);
    t.strictSame(cut.listed, [changesOf(3), changesOf(4)]);
    t.strictSame(cut.changes, []);
    t.equal(cut.log.lastNumber, 6n);
    await cut.log.append(changesOf(7));
    await cut.log.close();
    const again = NodeLog.open(directory, 6n, undefined, 2n);
    t.strictSame(again.listed, [changesOf(3), changesOf(4)]);
    t.strictSame(again.changes, [changesOf(7)]);
    await again.log.close();
  },
);
