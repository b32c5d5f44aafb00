import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import fc from '../support/fast-check.js';
import t, { type Test } from 'tap';
import { NodeTable, NodeTableError, type NodeRecord } from '../../src/state/node-table.js';

const secret = Buffer.alloc(32, 7);

function openTable(t: Test, directory: string, cachedNodesMax?: number): NodeTable {
  const table = NodeTable.open(directory, {
    secret,
    ...(cachedNodesMax === undefined ? {} : { cachedNodesMax }),
  });
  t.teardown(() => table.close());
  return table;
}

function internPath(table: NodeTable, volume: string, path: string): NodeRecord {
  return path.split('/').reduce((directory, name) => table.intern(directory.id, name), table.root(volume));
}

void t.test('a node is readable the moment it is made, and later from the database', async (t) => {
  // A cache of one record: what is read comes from the overlay, then from LMDB.
  const table = openTable(t, t.testdir(), 1);
  const root = table.root('bucket');
  const ids = Array.from({ length: 500 }, (_, i) => table.intern(root.id, `file ${i}`).id);
  const check = (when: string): void => {
    for (const [i, id] of ids.entries()) {
      const record = { id, parent: root.id, name: `file ${i}`, removed: false, drawn: false };
      t.strictSame(table.get(id), record, `${when}: get`);
      t.strictSame(table.child(root.id, `file ${i}`), record, `${when}: child`);
      t.equal(table.intern(root.id, `file ${i}`).id, id, `${when}: intern`);
    }
    t.same(new Set(Array.from(table.children(root.id), ({ id }) => id)), new Set(ids), `${when}: children`);
  };
  check('at once');
  const settled = table.settled();
  await new Promise(setImmediate);
  check('while it is committed');
  await settled;
  check('once it is committed');
  await table.flushed();
  check('once it is flushed');
});

void t.test('ids stay the same across restart', async (t) => {
  const directory = t.testdir();
  const table = NodeTable.open(directory, { secret });
  const made = internPath(table, 'bucket', 'a/b/c');
  table.setFacts(made.id, { mtimeNs: 1_700_000_000_123_456_789n, tag: Buffer.from([1, 2]), none: null });
  table.remove(internPath(table, 'bucket', 'a/gone').id);
  await table.close();

  const again = openTable(t, directory);
  const found = internPath(again, 'bucket', 'a/b/c');
  t.equal(found.id, made.id);
  t.strictSame(found.facts, {
    mtimeNs: 1_700_000_000_123_456_789n,
    tag: Buffer.from([1, 2]),
    none: null,
  });
  t.equal(again.volumeOf(made.id), 'bucket');
  t.same(again.path(made.id), ['a', 'b', 'c']);
  t.equal(again.child(again.root('bucket').id, 'x'), undefined);
});

void t.test(
  'losing the table heals on the next path walk: paths that never changed hands get their ids again',
  async (t) => {
    const directory = t.testdir({ one: {}, other: {} });
    const one = openTable(t, `${directory}/one`);
    const other = openTable(t, `${directory}/other`);
    t.equal(internPath(other, 'bucket', 'a/b').id, internPath(one, 'bucket', 'a/b').id);
    t.not(internPath(other, 'second', 'a/b').id, internPath(one, 'bucket', 'a/b').id);
  },
);

void t.test('ids are cookies: at least 16 and below 2^62', async (t) => {
  const table = openTable(t, t.testdir());
  const root = table.root('v');
  for (let i = 0; i < 1000; i++) {
    const { id } = table.intern(root.id, String(i));
    t.ok(id >= 16n && id < 1n << 62n);
  }
});

void t.test('moving a directory keeps the ids below it and changes their paths', async (t) => {
  const directory = t.testdir();
  const table = NodeTable.open(directory, { secret });
  const file = internPath(table, 'bucket', 'a/b/c');
  const root = table.root('bucket');
  const a = table.child(root.id, 'a');
  t.ok(a);
  if (a === undefined) return;
  const target = internPath(table, 'bucket', 'x');
  table.move(a.id, target.id, 'moved');
  t.same(table.path(file.id), ['x', 'moved', 'b', 'c']);
  t.equal(internPath(table, 'bucket', 'x/moved/b/c').id, file.id);
  t.equal(table.child(root.id, 'a'), undefined);

  const fresh = internPath(table, 'bucket', 'a/b/c');
  t.not(fresh.id, file.id, 'the vacated path gets fresh ids');
  t.not(internPath(table, 'bucket', 'a').id, a.id);
  await table.close();

  const again = openTable(t, directory);
  t.equal(internPath(again, 'bucket', 'a/b/c').id, fresh.id);
  t.equal(internPath(again, 'bucket', 'x/moved/b/c').id, file.id);
});

void t.test('a removed node keeps its record, and its path gets a fresh id', async (t) => {
  const table = openTable(t, t.testdir());
  const file = internPath(table, 'bucket', 'dir/file');
  const dir = file.parent;
  table.remove(file.id);
  t.strictSame(table.get(file.id), { ...file, removed: true });
  t.equal(table.child(dir, 'file'), undefined);
  t.equal(table.path(file.id), undefined);
  t.equal(table.volumeOf(file.id), 'bucket');
  t.same([...table.children(dir)], []);
  const second = table.intern(dir, 'file');
  t.not(second.id, file.id);
  table.remove(second.id);
  const third = table.intern(dir, 'file');
  t.notOk([file.id, second.id].includes(third.id));

  table.remove(dir);
  t.equal(table.path(third.id), undefined, 'no path below a removed directory');
});

void t.test(
  'what was removed is collected after a while, some at a time, and its ids are not given again',
  async (t) => {
    const directory = t.testdir();
    let nowMs = 1000;
    const table = NodeTable.open(directory, { secret, nowMs: () => nowMs });
    const kept = internPath(table, 'bucket', 'stays/file');
    const gone: bigint[] = [];
    for (let i = 0; i < 30; i++) gone.push(internPath(table, 'bucket', `top/sub ${i % 3}/file ${i}`).id);
    const [inUse = 0n] = gone;
    table.remove(internPath(table, 'bucket', 'top').id);
    nowMs = 2000;
    const young = internPath(table, 'bucket', 'young');
    table.remove(young.id);
    await table.close();

    const again = openTable(t, directory);
    t.notOk(await again.collect(1000, 10, () => false), 'nothing is old enough');
    let rounds = 0;
    while (await again.collect(2000, 10, (id) => id === inUse)) rounds++;
    t.ok(rounds >= 6, `33 nodes below another, removed and then buried, ten at a time, in ${rounds} rounds`);
    for (const id of gone) t.equal(again.get(id) === undefined, id !== inUse);
    t.strictSame(again.get(young.id), { ...young, removed: true }, 'what was removed later is there still');
    t.same(again.path(kept.id), ['stays', 'file'], 'what was not removed is untouched');
    const drawn = internPath(again, 'bucket', 'top/sub 1/file 1');
    t.ok(drawn.drawn && !gone.includes(drawn.id), 'its path has another id');

    while (await again.collect(2000, 10, () => false));
    t.equal(again.get(inUse), undefined, 'what was in use goes later');

    again.remove(drawn.id);
    while (await again.collect(Number.MAX_SAFE_INTEGER, 10, () => false));
    t.equal(again.get(drawn.id), undefined);
    t.equal(again.get(young.id), undefined);
    t.same([...again.children(drawn.parent)], []);
  },
);

void t.test('changes that the tree does not allow are refused and change nothing', async (t) => {
  const table = openTable(t, t.testdir());
  const root = table.root('bucket');
  const b = internPath(table, 'bucket', 'a/b');
  const c = internPath(table, 'bucket', 'c');
  t.throws(() => table.move(b.id, root.id, 'c'), NodeTableError, 'onto a live node');
  t.throws(() => table.move(b.parent, b.id, 'x'), NodeTableError, 'below itself');
  t.throws(() => table.move(root.id, c.id, 'x'), NodeTableError, 'a root');
  t.throws(() => table.remove(root.id), NodeTableError, 'a root');
  t.throws(() => table.remove(17n), NodeTableError, 'unknown');
  t.throws(() => table.intern(17n, 'x'), NodeTableError, 'unknown parent');
  for (const name of ['', 'nul\0', 'x'.repeat(1901)]) {
    t.throws(() => table.intern(root.id, name), NodeTableError);
    t.throws(() => table.move(c.id, root.id, name), NodeTableError);
  }
  t.same(table.path(b.id), ['a', 'b']);
  t.same(table.path(c.id), ['c']);
  table.move(c.id, root.id, 'c');
  t.same(table.path(c.id), ['c'], 'onto itself is nothing');
});

void t.test(
  'the first id at a place is the keyed hash of its path, by whatever way it is made',
  async (t) => {
    const table = openTable(t, t.testdir());
    const hashed = (...names: string[]): bigint =>
      createHmac('sha256', secret)
        .update(['s3nfsd node', '0', ...names].join('\0'))
        .digest()
        .readBigUInt64BE(0) >> 2n;
    const root = table.root('bucket');
    t.equal(root.id, hashed('bucket'));
    const long = 'd'.repeat(255);
    const below = internPath(table, 'bucket', `a/${long}`);
    t.equal(below.id, hashed('bucket', 'a', long));
    const names = ['\u{1F600}', 'ä', ...Array.from({ length: 300 }, (_, at) => 'x'.repeat(at + 1))];
    for (const parent of [below.id, root.id]) {
      const path = parent === root.id ? ['bucket'] : ['bucket', 'a', long];
      const listed = table.internListed(parent, names, []);
      t.strictSame(
        listed.ids,
        names.map((name) => hashed(...path, name)),
      );
    }
    // What is kept of a directory's path goes with its move.
    const moved = table.intern(root.id, 'moved').id;
    t.equal(table.intern(moved, 'one').id, hashed('bucket', 'moved', 'one'));
    table.move(moved, below.id, 'away');
    t.equal(table.intern(moved, 'two').id, hashed('bucket', 'a', long, 'away', 'two'));
  },
);

interface ModelNode {
  parent: bigint;
  name: string;
  removed: boolean;
  facts?: number;
}

type Step = readonly [
  'intern' | 'list' | 'move' | 'remove' | 'facts' | 'cookie' | 'settle' | 'merge' | 'reopen' | 'collect',
  number,
  number,
  number,
];

const step: fc.Arbitrary<Step> = fc.tuple(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant('intern' as const) },
    { weight: 4, arbitrary: fc.constant('list' as const) },
    {
      weight: 4,
      arbitrary: fc.constantFrom('move' as const, 'remove' as const, 'facts' as const, 'cookie' as const),
    },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        'settle' as const,
        'merge' as const,
        'merge' as const,
        'reopen' as const,
        'collect' as const,
      ),
    },
  ),
  fc.nat(1000),
  fc.nat(1000),
  fc.nat(3),
);

void t.test('any sequence of changes, settling and reopening reads like a map of records', async (t) => {
  let run = 0;
  const base = t.testdir();
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const directory = `${base}/${run++}`;
      const { mkdirSync } = await import('node:fs');
      mkdirSync(directory);
      const cachedNodesMax = run % 2 === 0 ? 2 : 100;
      let table = NodeTable.open(directory, { secret, cachedNodesMax });
      try {
        const root = table.root('v').id;
        const model = new Map<bigint, ModelNode>([[root, { parent: 0n, name: 'v', removed: false }]]);
        const pick = (n: number): bigint => [...model.keys()][n % model.size] ?? root;
        const liveAt = (parent: bigint, name: string): bigint | undefined =>
          [...model].find(([, node]) => node.parent === parent && node.name === name && !node.removed)?.[0];
        const collected = new Set<bigint>();
        /** What each cookie was given out for. */
        const cookies = new Map<bigint, { readonly parent: bigint; readonly name: string }>();
        let collects = false;
        for (const [what, a, b, c] of steps) {
          const id = pick(a);
          const node = model.get(id);
          if (node === undefined) throw new Error('no such node in the model');
          const name = `n${c}`;
          if (what === 'intern') {
            const known = liveAt(id, name);
            const made = table.intern(id, name);
            if (known === undefined) {
              if (model.has(made.id) || collected.has(made.id)) throw new Error(`id ${made.id} given twice`);
              model.set(made.id, { parent: id, name, removed: false });
            } else if (made.id !== known) throw new Error(`expected ${known}, got ${made.id}`);
          } else if (what === 'list') {
            // Two of them come twice.
            const listed =
              b % 2 === 0
                ? [name]
                : ['n3', 'n0', 'n1', 'n2', 'n0', name, 'n9', 'n5', '\u{1F600}'].slice(b % 3);
            const known = listed.map((each) => liveAt(id, each));
            const { ids, known: records } = table.internListed(id, listed, []);
            for (const [at, found] of ids.entries()) {
              const record = table.get(found);
              if (record === undefined) throw new Error(`no record of ${found}`);
              const isNew = records[at] === undefined;
              const there = known[at] ?? liveAt(id, record.name);
              if (record.name !== listed[at])
                throw new Error(`expected ${listed[at] ?? ''}, got ${record.name}`);
              if (isNew !== (there === undefined)) throw new Error(`${record.name} is new: ${isNew}`);
              if (there !== undefined && there !== record.id)
                throw new Error(`expected ${there}, got ${record.id}`);
              if (!isNew) continue;
              if (model.has(record.id) || collected.has(record.id))
                throw new Error(`id ${record.id} given twice`);
              model.set(record.id, { parent: id, name: record.name, removed: false });
            }
          } else if (what === 'move') {
            const parent = pick(b);
            let below = false;
            for (let at = parent; at !== 0n; at = model.get(at)?.parent ?? 0n) below ||= at === id;
            const target = liveAt(parent, name);
            const allowed =
              !node.removed && id !== root && (target === id || (target === undefined && !below));
            let moved = true;
            try {
              table.move(id, parent, name);
            } catch (error) {
              if (!(error instanceof NodeTableError)) throw error;
              moved = false;
            }
            if (moved !== allowed) throw new Error(`move: expected ${allowed}, got ${moved}`);
            if (allowed) Object.assign(node, { parent, name });
          } else if (what === 'remove' && id !== root) {
            table.remove(id);
            node.removed = true;
          } else if (what === 'facts') {
            table.setFacts(id, b);
            node.facts = b;
          } else if (what === 'cookie') {
            const record = table.get(id);
            if (record === undefined || node.removed || id === root) continue;
            const cookie = table.cookieOf(record, () => true, 'place');
            const { parent } = node;
            const before = cookies.get(cookie);
            if (before !== undefined && (before.parent !== parent || before.name !== node.name))
              throw new Error(`cookie ${cookie} given for two places`);
            cookies.set(cookie, { parent, name: node.name });
          } else if (what === 'settle') await table.settled();
          else if (what === 'collect') {
            collects = true;
            await table.settled();
            while (await table.collect(Number.MAX_SAFE_INTEGER, 3, () => false));
            const pathless = (at: bigint): boolean => {
              const above = model.get(at);
              return above === undefined || above.removed || (above.parent !== 0n && pathless(above.parent));
            };
            for (const at of [...model.keys()].filter(pathless)) {
              model.delete(at);
              collected.add(at);
            }
          } else if (what === 'merge') {
            // Listed names go to LMDB meanwhile, some turns of which are waited for.
            const merged = table.flushed();
            for (let turn = 0; turn < b % 8; turn++) await new Promise(setImmediate);
            if (b % 3 === 0) await merged;
            else merged.catch((error: unknown) => t.error(error));
          } else if (what === 'reopen') {
            await table.close();
            table = NodeTable.open(directory, { secret, cachedNodesMax });
          }
        }
        for (const [cookie, { parent, name }] of cookies) {
          const place = table.placeOf(cookie);
          if (place === undefined && collects) continue;
          t.equal(place?.parent, parent);
          t.equal(place?.name, name);
        }
        for (const id of collected) if (table.get(id) !== undefined) throw new Error(`${id} is there still`);
        for (const [id, node] of model) {
          const { drawn, place, cookie, ...record } = table.get(id) ?? {};
          t.type(drawn, 'boolean');
          t.equal(table.placeOf(id)?.name, place?.name ?? node.name);
          if (cookie !== undefined) t.equal(table.placeOf(cookie)?.name, node.name);
          t.strictSame(record, { id, ...node });
          t.strictSame(
            new Set(Array.from(table.children(id), (child) => child.id)),
            new Set([...model].filter(([, n]) => n.parent === id && !n.removed).map(([childId]) => childId)),
          );
        }
      } finally {
        await table.close();
      }
    }),
    { numRuns: 40 },
  );
});

const CHILD = `
  import { NodeTable } from ${JSON.stringify(new URL('../../src/state/node-table.js', import.meta.url).href)};
  const table = NodeTable.open(process.argv[1], { secret: Buffer.alloc(32, 7) });
  const root = table.root('v');
  for (let i = 0; ; i++) {
    const { id } = table.intern(root.id, 'f' + i);
    const how = process.argv[2];
    if (how === 'named') {
      await new Promise(setImmediate);
      table.setFacts(id, i);
    }
    await table[how]();
    process.stdout.write(i + ' ' + id + '\\n');
  }
`;

async function survivesKill(t: Test, how: 'settled' | 'named'): Promise<void> {
  const directory = t.testdir();
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHILD, directory, how], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const acknowledged = new Map<string, bigint>();
  for await (const line of createInterface({ input: child.stdout })) {
    const [i, id] = line.split(' ');
    if (i === undefined || id === undefined) continue;
    acknowledged.set(`f${i}`, BigInt(id));
    if (acknowledged.size === 200) child.kill('SIGKILL');
  }
  await exited;
  t.ok(acknowledged.size >= 200);
  const table = openTable(t, directory);
  const root = table.root('v');
  for (const [name, id] of acknowledged) t.equal(table.child(root.id, name)?.id, id, name);
}

void t.test('what settled survives kill -9', async (t) => survivesKill(t, 'settled'));

void t.test('what was named survives kill -9', async (t) => survivesKill(t, 'named'));

void t.test('names are committed before what is known of nodes since', async (t) => {
  const table = openTable(t, t.testdir());
  const root = table.root('bucket');
  await table.settled();
  const { id } = table.intern(root.id, 'file');
  // Its commit begins at the end of this turn.
  await new Promise(setImmediate);
  table.setFacts(id, 'since');
  const order: string[] = [];
  await Promise.all([
    table.settled().then(() => order.push('settled')),
    table.named().then(() => order.push('named')),
  ]);
  t.strictSame(order, ['named', 'settled']);
  table.setFacts(id, 'again');
  order.length = 0;
  await Promise.all([
    table.settled().then(() => order.push('settled')),
    table.named().then(() => order.push('named')),
  ]);
  t.strictSame(order, ['named', 'settled'], 'no name is on its way');
});
