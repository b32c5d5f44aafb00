/** Changes of the inode tree as bytes of the log. */
import { serialize } from 'node:v8';
import fc from '../support/fast-check.js';
import t from 'tap';
import { decodeChanges, encodeChanges } from '../../src/state/changes-form.js';
import { GONE, NodeChanges, type NodeChange } from '../../src/state/node-changes.js';

const BARE = Object.freeze({ k: 'f' });

const id = fc.bigInt({ min: 16n, max: (1n << 62n) - 1n });
const name = fc.oneof(
  fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' }),
  fc.constant('\u{1F600}'.repeat(500)),
  fc.constant('x'.repeat(30_000)),
);
const facts = fc.oneof(
  fc.constant(BARE),
  fc.constant(undefined),
  fc.record({ k: fc.constant('f'), size: fc.nat() }),
);

/** What one call changes. */
const change = fc.record({
  id,
  parent: fc.oneof(fc.constant(0n), fc.constant(16n), fc.constant(17n), id),
  name,
  facts,
  how: fc.constantFrom(
    'new',
    'new',
    'new',
    'drawn',
    'removed',
    'moved',
    'cookie',
    'gone',
    'buried',
    'node alone',
  ),
});

type Change = typeof change extends fc.Arbitrary<infer T> ? T : never;

function applied(changes: NodeChanges, { id, parent, name, facts, how }: Change): void {
  if (how === 'gone') return changes.setChild(parent, name, GONE);
  if (how === 'buried') {
    changes.nodes.set(id, 'buried');
    changes.burials.push({ id, atMs: 5 });
    return;
  }
  const record: NodeChange = {
    ...{ id, parent, name, removed: how === 'removed', drawn: how === 'drawn' },
    ...(facts !== undefined && { facts }),
    ...(how === 'moved' && { place: { parent: 3n, name: 'before' } }),
    ...(how === 'cookie' && { cookie: 99n }),
  };
  changes.nodes.set(id, record);
  if (how === 'removed') changes.removals.push({ id, atMs: 7 });
  else if (how !== 'node alone') changes.setChild(parent, name, id);
}

const plain = ({ nodes, children, removals, burials }: NodeChanges): unknown => ({
  nodes,
  children,
  removals,
  burials,
});

const byFirst = (a: readonly [bigint | string, unknown], b: readonly [bigint | string, unknown]): number =>
  a[0] < b[0] ? -1 : 1;
const text = (value: unknown): string =>
  JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return `${each}n`;
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each;
    return Object.fromEntries(Object.entries(each).sort(byFirst));
  });

function sameChanges(a: NodeChanges, b: NodeChanges): boolean {
  const sorted = (changes: NodeChanges): unknown => {
    const { nodes, children, removals, burials } = changes;
    return [
      [...nodes].sort(byFirst),
      [...children].map(([parent, names]) => [parent, [...names].sort(byFirst)] as const).sort(byFirst),
      removals,
      burials,
    ];
  };
  return text(sorted(a)) === text(sorted(b));
}
await t.test('any changes come back as they were', (t) => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), (calls) => {
      const changes = new NodeChanges();
      for (const each of calls) applied(changes, each);
      const decoded = decodeChanges(encodeChanges(changes));
      if (!sameChanges(decoded, changes)) throw new Error('they differ');
    }),
  );
  t.end();
});

await t.test('what was written before names had a form of their own is read', (t) => {
  const changes = new NodeChanges();
  changes.nodes.set(20n, { id: 20n, parent: 16n, name: 'file', removed: false, drawn: false, facts: BARE });
  changes.setChild(16n, 'file', 20n);
  changes.removals.push({ id: 21n, atMs: 1 });
  const { nodes, children, removals, burials } = changes;
  t.strictSame(plain(decodeChanges(serialize([nodes, children, removals, burials]))), plain(changes));
  t.end();
});

await t.test('a new name takes little more than its bytes and its id', (t) => {
  const changes = new NodeChanges();
  for (let at = 0; at < 1000; at++) {
    const each = { id: BigInt(1000 + at), parent: 16n, name: `file-${at}`, removed: false, drawn: false };
    changes.nodes.set(each.id, { ...each, facts: BARE });
    changes.setChild(16n, each.name, each.id);
  }
  const bytes = encodeChanges(changes).length / 1000;
  t.ok(bytes < 21, `${bytes} bytes a name`);
  t.end();
});
