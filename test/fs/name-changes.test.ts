/** Changes made here over the answer of a LIST that was under way. */
import t from 'tap';
import fc from '../support/fast-check.js';
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

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** When the LIST is asked for, evaluated by the store, and answered: numbers of steps. */
interface ListTimes {
  readonly asked: number;
  readonly evaluated: number;
  readonly answered: number;
}

/** Longer than any steps, with the answers to their changes. */
const STEPS_MAX = 40;

/** A bucket, the directory that is kept of it here, and one LIST under way while names change. */
class History {
  readonly bucket = new Map<string, ListedEntry>();
  readonly directory = new DirectoryNode(16n);
  /** Names that somebody else changed so late that nothing is expected of them. */
  readonly theirs = new Set<string>();
  readonly #times: ListTimes;
  readonly #pageMax: number;
  /** Changes made here that are answered later. */
  readonly #due: { readonly at: number; readonly tell: () => void }[] = [];
  /** When the last change of a name is answered: the next one begins after that. */
  readonly #busy = new Map<string, number>();
  #page: readonly ListedEntry[] = [];
  /** The page doesn't have all names. */
  isTruncated = false;
  #answer: () => void = () => undefined;
  #asking: Promise<void> | undefined;

  constructor(times: ListTimes, pageMax: number) {
    this.#times = times;
    this.#pageMax = pageMax;
  }

  async play(steps: readonly Step[]): Promise<void> {
    const { asked, evaluated, answered } = this.#times;
    for (let at = 0; at <= STEPS_MAX; at++) {
      for (const due of this.#due) if (due.at === at) due.tell();
      if (at === asked) this.#asking = this.directory.during((changes) => this.#list(changes));
      const step = steps[at];
      if (step?.kind === 'theirs') this.#theirs(step.name, step.there, at);
      else if (step !== undefined) this.#ours(step, at);
      if (at === evaluated) {
        this.#page = pageOf(this.bucket, this.#pageMax);
        this.isTruncated = this.bucket.size > this.#pageMax;
      }
      if (at === answered) {
        this.#answer();
        await this.#asking;
      }
    }
  }

  async #list(changes: NameChanges<ListedEntry>): Promise<void> {
    await new Promise<void>((resolve) => (this.#answer = resolve));
    const last = this.#page.at(-1);
    const until = this.isTruncated && last !== undefined ? sortKeyOf(last) : undefined;
    const entries = new Map(this.#page.map((entry) => [entry.name, entry]));
    changes.putOver(entries, until);
    if (changes.isUnknown) throw new Error('all changes are known by name');
    this.directory.listing = until === undefined ? { takenMs: 0, entries } : undefined;
    this.directory.beginning = until === undefined ? undefined : { takenMs: 0, entries, until };
  }

  #theirs(name: string, isThere: boolean, at: number): void {
    // After a change here that isn't answered yet, nobody knows that theirs followed it.
    if (at >= this.#times.asked || this.#isBusy(name, at)) this.theirs.add(name);
    if (isThere) this.bucket.set(name, entryOf(name, 'file', `"theirs-${at}"`));
    else this.bucket.delete(name);
  }

  #ours({ kind, name, late }: Exclude<Step, { kind: 'theirs' }>, at: number): void {
    if (this.#isBusy(name, at)) return;
    const entry = entryOf(name, kind === 'mkdir' ? 'directory' : 'file', `"ours-${at}"`);
    if (kind === 'remove') this.bucket.delete(name);
    else this.bucket.set(name, entry);
    this.#busy.set(name, at + late);
    const tell = (): void => {
      if (kind === 'remove') this.directory.noteAbsent(name, 0);
      else this.directory.noteEntry(entry);
    };
    if (late === 0) tell();
    else this.#due.push({ at: at + late, tell });
  }

  #isBusy(name: string, at: number): boolean {
    return (this.#busy.get(name) ?? -1) >= at;
  }
}

await t.test(
  'a LIST with what was changed here put over it tells what a LIST from afterwards would, but for what others changed',
  async (t) => {
    let truncated = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 24 }),
        fc.tuple(fc.nat(24), fc.nat(24), fc.nat(24)),
        fc.constantFrom(3, 1000),
        async (steps, times, pageMax) => {
          const [asked = 0, evaluated = 0, answered = 0] = [...times].sort((a, b) => a - b);
          const history = new History({ asked, evaluated, answered }, pageMax);
          await history.play(steps);
          if (history.isTruncated) truncated++;
          for (const name of NAMES) {
            const listing = history.directory.listingOf(name);
            if (history.theirs.has(name) || listing === undefined) continue;
            t.same(listing.entries.get(name), history.bucket.get(name), name);
          }
        },
      ),
      { numRuns: 500 },
    );
    t.ok(truncated > 0, 'pages that don’t tell of all names were among them');
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
