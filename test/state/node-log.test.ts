import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from '../support/fast-check.js';
import t from 'tap';
import { NodeChanges } from '../../src/state/node-changes.js';
import { NodeLog } from '../../src/state/node-log.js';
import { NodeTable } from '../../src/state/node-table.js';

function changesOf(n: number): NodeChanges {
  const changes = new NodeChanges();
  const id = BigInt(n) + 100n;
  changes.nodes.set(id, {
    id,
    parent: 16n,
    name: `n${n}`,
    removed: false,
    drawn: n % 2 === 1,
    facts: { n, tag: Buffer.from([n]) },
  });
  changes.nodes.set(id + 1000n, n % 2 === 0 ? 'buried' : 'dropped');
  changes.setChild(16n, `n${n}`, id);
  changes.removals.push({ id: id + 1000n, atMs: n });
  changes.burials.push({ id: id + 2000n, atMs: n });
  return changes;
}

const filesIn = (directory: string): string[] =>
  readdirSync(directory)
    .sort((a, b) => a.length - b.length || (a < b ? -1 : 1))
    .map((name) => join(directory, name));

void t.test('what was appended is read by the next life, through several files and lives', async (t) => {
  const directory = t.testdir();
  const expected: NodeChanges[] = [];
  for (let life = 0; life < 4; life++) {
    const { log, changes } = NodeLog.open(directory, 0n, 600);
    t.strictSame(changes, expected);
    for (let i = 0; i < 5; i++) {
      const added = changesOf(expected.length);
      expected.push(added);
      await log.append(added);
    }
    t.equal(log.lastNumber, BigInt(expected.length));
    await log.close();
  }
  t.ok(filesIn(directory).length > 4, 'more files than lives');
});

void t.test('what the database has is passed over, and full files of it are removed', async (t) => {
  const directory = t.testdir();
  const first = NodeLog.open(directory, 0n, 600).log;
  for (let i = 0; i < 12; i++) await first.append(changesOf(i));
  await first.close();
  const { log, changes } = NodeLog.open(directory, 7n, 600);
  t.strictSame(
    changes,
    Array.from({ length: 5 }, (_, i) => changesOf(7 + i)),
  );
  await log.append(changesOf(12));
  log.turn();
  await log.removeUpTo(7n);
  t.strictSame(NodeLog.open(directory, 7n).changes.length, 6, 'what it lacks is there still');
  await log.removeUpTo(13n);
  t.strictSame(filesIn(directory), []);
  await log.append(changesOf(13));
  await log.close();
  t.strictSame(NodeLog.open(directory, 13n).changes, [changesOf(13)], 'numbers go on');
});

void t.test(
  'cut off anywhere, it is read up to the last whole changes, and goes on from there',
  async (t) => {
    const directory = t.testdir();
    const { log } = NodeLog.open(directory, 0n);
    const ends: number[] = [0];
    for (let i = 0; i < 3; i++) {
      await log.append(changesOf(i));
      ends.push(readFileSync(join(directory, 'names-1.log')).length);
    }
    await log.close();
    const whole = readFileSync(join(directory, 'names-1.log'));
    for (let length = 0; length <= whole.length; length++) {
      const cut = t.testdir({ 'names-1.log': whole.subarray(0, length) });
      const complete = ends.filter((end) => end > 0 && end <= length).length;
      const { log, changes } = NodeLog.open(cut, 0n);
      if (changes.length !== complete) t.fail(`${changes.length} of ${complete} at ${length}`);
      await log.append(changesOf(50));
      await log.close();
      const again = NodeLog.open(cut, 0n).changes;
      if (again.length !== complete + 1) t.fail(`${again.length} of ${complete + 1} after ${length}`);
    }
    t.equal(ends.length, 4);
  },
);

void t.test('changed bytes end it: nothing of or behind them is taken', async (t) => {
  const directory = t.testdir();
  const { log } = NodeLog.open(directory, 0n, 400);
  for (let i = 0; i < 8; i++) await log.append(changesOf(i));
  await log.close();
  const files = filesIn(directory).map((path) => ({ path, bytes: readFileSync(path) }));
  t.ok(files.length > 2);
  fc.assert(
    fc.property(fc.nat(), fc.nat(), fc.integer({ min: 1, max: 255 }), (file, at, flip) => {
      for (const { path, bytes } of files) writeFileSync(path, bytes);
      const { path, bytes } = files[file % files.length] ?? { path: '', bytes: Buffer.alloc(0) };
      const harmed = Buffer.from(bytes);
      harmed[at % harmed.length] = (harmed[at % harmed.length] ?? 0) ^ flip;
      writeFileSync(path, harmed);
      const { changes } = NodeLog.open(directory, 0n, 400);
      t.ok(changes.length < 8);
      t.strictSame(
        changes,
        changes.map((_, i) => changesOf(i)),
      );
    }),
    { numRuns: 200 },
  );
});

void t.test('a log that does not continue what the database has is not taken', async (t) => {
  const directory = t.testdir();
  const { log } = NodeLog.open(directory, 5n);
  await log.append(changesOf(5));
  await log.close();
  // As after a power cut that the database's last transactions did not survive.
  t.strictSame(NodeLog.open(directory, 3n).changes, []);
});

void t.test(
  'names that only the log has are there after the next start, and then in the database',
  async (t) => {
    const directory = t.testdir();
    const secret = Buffer.alloc(32, 3);
    const table = NodeTable.open(directory, { secret });
    const root = table.root('bucket').id;
    await table.close();
    t.strictSame(
      filesIn(directory).filter((path) => path.endsWith('.log')),
      [],
      'nothing is left of the log after a clean end',
    );

    const { log } = NodeLog.open(directory, 1n);
    const changes = new NodeChanges();
    changes.nodes.set(500n, { id: 500n, parent: root, name: 'logged', removed: false, drawn: false });
    changes.setChild(root, 'logged', 500n);
    await log.append(changes);
    await log.close();
    for (let life = 0; life < 2; life++) {
      const again = NodeTable.open(directory, { secret });
      t.equal(again.child(root, 'logged')?.id, 500n);
      t.strictSame(again.path(500n), ['logged']);
      t.strictSame(
        [...again.children(root)].map(({ name }) => name),
        ['logged'],
      );
      await again.close();
    }
  },
);
