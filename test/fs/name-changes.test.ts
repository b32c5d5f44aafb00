/** Changes made here over the answer of a LIST that was under way. */
import t from 'tap';
import fc from 'fast-check';
import type { NameChanges } from '../../src/fs/name-changes.js';
import { compareKeys } from '../../src/fs/names.js';
import { DirectoryNode, sortKeyOf, type ListedEntry } from '../../src/fs/node.js';

const NAMES = ['a', 'b', 'b!', 'c', 'd', '\u{10000}', '\uffff'];

/** Ours: the store has it at once, and it is answered here so much later. Or somebody else's. */
const step = fc.oneof(
  fc.record({
    kind: fc.constantFrom('make' as const, 'mkdir' as const, 'remove' as const),
    name: fc.constantFrom(...NAMES),
    late: fc.nat({ max: 6 }),
  }),
  fc.record({ kind: fc.constant('theirs' as const), name: fc.constantFrom(...NAMES), there: fc.boolean() }),
);

const entryOf = (name: string, kind: ListedEntry['kind'], etag: string): ListedEntry =>
  kind === 'directory' ? { name, kind } : { name, kind, version: { etag, size: 1 } };

/** The first names in S3's order, as a page of LIST. */
function pageOf(bucket: ReadonlyMap<string, ListedEntry>, max: number): readonly ListedEntry[] {
  const all = [...bucket.values()].sort((a, b) => compareKeys(sortKeyOf(a), sortKeyOf(b)));
  return all.slice(0, max);
}

await t.test(
  'a LIST with what was changed here put over it tells what a LIST from afterwards would, but for what others changed',
  async (t) => {
    let pages = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 24 }),
        fc.tuple(fc.nat(24), fc.nat(24), fc.nat(24)),
        fc.constantFrom(3, 1000),
        async (steps, times, pageMax) => {
          const [asked = 0, evaluated = 0, answered = 0] = [...times].sort((a, b) => a - b);
          const bucket = new Map<string, ListedEntry>();
          const directory = new DirectoryNode(16n);
          const due: { readonly at: number; readonly name: string; readonly tell: () => void }[] = [];
          const theirs = new Set<string>();
          // A change of a name begins when the one before has been answered.
          const busy = new Map<string, number>();
          let evaluatedPage: readonly ListedEntry[] = [];
          let truncated = false;
          let listed: Map<string, ListedEntry> | undefined;
          let until: string | undefined;
          let release: () => void = () => undefined;
          let asking: Promise<void> | undefined;
          for (let at = 0; at <= 40; at++) {
            for (const each of due) if (each.at === at) each.tell();
            if (at === asked) {
              asking = directory.during(async (changes: NameChanges<ListedEntry>) => {
                await new Promise<void>((resolve) => (release = resolve));
                until = truncated ? sortKeyOf(evaluatedPage.at(-1) ?? entryOf('', 'file', '')) : undefined;
                listed = new Map(evaluatedPage.map((entry) => [entry.name, entry]));
                changes.putOver(listed, until);
                t.notOk(changes.isUnknown);
                directory.listing = truncated ? undefined : { takenMs: 0, entries: listed };
                directory.beginning =
                  until === undefined ? undefined : { takenMs: 0, entries: listed, until };
              });
            }
            const now = steps[at];
            if (now?.kind === 'theirs') {
              // Of a change here whose answer comes later nobody knows that theirs followed it.
              if (at >= asked || (busy.get(now.name) ?? -1) >= at) theirs.add(now.name);
              if (now.there) bucket.set(now.name, entryOf(now.name, 'file', `"theirs-${at}"`));
              else bucket.delete(now.name);
            } else if (now !== undefined && (busy.get(now.name) ?? -1) < at) {
              const { name, kind } = now;
              const entry = entryOf(name, kind === 'mkdir' ? 'directory' : 'file', `"ours-${at}"`);
              if (kind === 'remove') bucket.delete(name);
              else bucket.set(name, entry);
              busy.set(name, at + now.late);
              const tell = (): void => {
                if (kind === 'remove') directory.noteAbsent(name, 0);
                else directory.noteEntry(entry);
              };
              if (now.late === 0) tell();
              else due.push({ at: at + now.late, name, tell });
            }
            if (at === evaluated) {
              evaluatedPage = pageOf(bucket, pageMax);
              truncated = bucket.size > pageMax;
            }
            if (at === answered) {
              release();
              await asking;
            }
          }
          if (truncated) pages++;
          for (const name of NAMES) {
            if (theirs.has(name)) continue;
            const listing = directory.listingOf(name);
            if (listing === undefined) continue;
            t.same(listing.entries.get(name), bucket.get(name), name);
          }
          t.ok([...(directory.beginning?.entries.keys() ?? [])].every((name) => NAMES.includes(name)));
        },
      ),
      { numRuns: 500 },
    );
    t.ok(pages > 0, 'pages that don’t tell of all names were among them');
  },
);

await t.test('a page tells of a name up to where a directory of that name would stand', (t) => {
  const directory = new DirectoryNode(16n);
  directory.beginning = { takenMs: 0, entries: new Map(), until: 'b.txt' };
  t.ok(directory.listingOf('a'));
  t.notOk(directory.listingOf('b'), 'b/ would stand behind b.txt');
  t.ok(directory.listingOf('b-'));
  t.notOk(directory.listingOf('c'));
  t.end();
});

await t.test('what isn’t known by name drops an answer that is under way, and what was listed', async (t) => {
  for (const change of [
    (directory: DirectoryNode): void => directory.forgetListing(),
    (directory: DirectoryNode): void => directory.noteVanished('a', 0),
  ]) {
    const directory = new DirectoryNode(16n);
    await directory.during(async (changes) => {
      t.ok(changes.isEmpty);
      change(directory);
      t.ok(changes.isUnknown);
      t.ok(changes.concerns('any'));
      await Promise.resolve();
    });
  }
});
