import t from 'tap';
import fc from '../support/fast-check.js';
import { AheadAccount } from '../../src/read/ahead-account.js';
import { LookupReads } from '../../src/read/lookup-reads.js';
import { Walks, type Walk } from '../../src/read/walk.js';

const HORIZON_MS = 500;
const GRANT_FILES = 8;
const GRANT_BYTES = 1024 * 1024;

/** A directory whose files come at once, and which knows better than the account what was fetched in vain. */
class Simulated {
  readonly walks = new Walks();
  readonly account = new AheadAccount();
  readonly sizes: readonly number[];
  nowMs = 0;
  /** Fetched ahead and not opened yet. */
  readonly fetched = new Set<number>();
  /** Files that were there when they were opened. */
  hits = 0;
  fetches = 0;
  fetchedBytes = 0;
  openedBytes = 0;
  opened = 0;
  readonly #seen = new Set<number>();

  constructor(sizes: readonly number[]) {
    this.sizes = sizes;
  }

  open(position: number): Walk {
    const bytes = this.sizes[position] ?? 0;
    const there = this.fetched.delete(position);
    if (there || !this.#seen.has(position)) {
      this.account.read(bytes, true);
      this.openedBytes += bytes;
      this.opened += 1;
    }
    if (there) {
      this.hits += 1;
      this.account.used(bytes);
      this.account.settled(0, true);
    }
    this.#seen.add(position);
    const { walk, missed } = this.walks.open(position, this.nowMs);
    for (const each of missed) this.#giveUp(each);
    for (const each of walk.wanted(HORIZON_MS)) {
      const size = this.sizes[each];
      if (size === undefined) break;
      if (this.fetched.has(each) || this.#seen.has(each)) {
        walk.took(each, false);
        continue;
      }
      if (this.account.roomBytes < size) break;
      this.account.began(size);
      this.fetched.add(each);
      this.fetches += 1;
      this.fetchedBytes += size;
      walk.took(each, true);
    }
    return walk;
  }

  #giveUp(position: number): void {
    if (!this.fetched.delete(position)) return;
    const size = this.sizes[position] ?? 0;
    this.account.settled(size, false);
  }
}

const same = (count: number, bytes = 64 * 1024): number[] => new Array<number>(count).fill(bytes);

await t.test('nothing is fetched before three files in a row, then more and more', async (t) => {
  const directory = new Simulated(same(1000));
  for (const position of [10, 11]) {
    directory.open(position);
    t.equal(directory.fetches, 0);
  }
  directory.open(12);
  t.equal(directory.fetches, 3);
  for (let position = 13; position < 1000; position += 1) directory.open(position);
  t.equal(directory.hits, 1000 - 13, 'every file from then on was there');
  t.equal(directory.account.outstandingBytes, 0);
  t.equal(directory.account.wastedBytes, 0);
});

await t.test('the window grows to its limit while it is used', async (t) => {
  const walks = new Walks();
  const windows: number[] = [];
  for (let position = 0; position < 100; position += 1)
    windows.push(walks.open(position, 0).walk.window(HORIZON_MS));
  t.same(windows.slice(0, 6), [0, 0, 3, 4, 5, 6]);
  t.equal(windows.at(-1), 64);
});

await t.test('several readers side by side are one walk', async (t) => {
  const directory = new Simulated(same(800));
  // Each group of eight in an order of its own.
  for (let group = 0; group < 100; group += 1)
    for (const within of [3, 0, 6, 1, 7, 2, 5, 4]) directory.open(group * 8 + within);
  t.ok(directory.hits > 760, `${directory.hits} of 800 were there`);
});

await t.test('two clients in one directory are two walks', async (t) => {
  const directory = new Simulated(same(2000));
  for (let at = 0; at < 500; at += 1) {
    directory.open(at);
    directory.open(1200 + at);
  }
  t.ok(directory.hits > 980, `${directory.hits} of 1000 were there`);
});

await t.test('who takes long over each file has no more ahead than stays fresh', async (t) => {
  const walks = new Walks();
  let nowMs = 0;
  let position = 0;
  const windowAfter = (pauseMs: number): number => {
    for (let at = 0; at < 50; at += 1) walks.open(position++, (nowMs += pauseMs));
    return walks.open(position++, (nowMs += pauseMs)).walk.window(HORIZON_MS);
  };
  t.equal(windowAfter(100), 5);
  t.equal(windowAfter(5000), 1);
});

await t.test('files that are passed over shrink the window', async (t) => {
  const directory = new Simulated(same(4000));
  let walk = directory.open(0);
  for (let position = 1; position < 600; position += 1) walk = directory.open(position);
  t.equal(walk.window(HORIZON_MS), 64);
  // Every fourth file from here on.
  for (let position = 600; position < 1200; position += 4) walk = directory.open(position);
  t.equal(walk.window(HORIZON_MS), 0);
  const { fetches } = directory;
  for (let position = 1200; position < 1600; position += 4) directory.open(position);
  t.equal(directory.fetches, fetches, 'nothing more');
});

await t.test('random order: hardly anything is fetched', async (t) => {
  let state = 1;
  const random = (below: number): number => (state = (Math.imul(state, 48271) >>> 0) % 0x7fffffff) % below;
  for (const count of [50, 500, 5000]) {
    const order = Array.from({ length: count }, (_, index) => index);
    for (let left = count; left > 1; left -= 1) {
      const other = random(left);
      [order[left - 1], order[other]] = [order[other] ?? 0, order[left - 1] ?? 0];
    }
    const directory = new Simulated(same(count));
    for (const position of order) directory.open(position);
    t.ok(
      directory.fetches - directory.hits <= count * 0.1,
      `${directory.fetches - directory.hits} of ${count} fetched in vain`,
    );
  }
});

/** Opens in any order: runs forwards, with gaps, back and forth, at random. */
const opens = (count: number): fc.Arbitrary<number[]> =>
  fc
    .array(
      fc.record({
        start: fc.nat({ max: count - 1 }),
        length: fc.integer({ min: 1, max: 40 }),
        step: fc.constantFrom(1, 1, 1, 2, 3, -1, 7),
      }),
      { maxLength: 60 },
    )
    .map((runs) =>
      runs.flatMap(({ start, length, step }) =>
        Array.from({ length }, (_, at) => start + at * step).filter((at) => at >= 0 && at < count),
      ),
    );

await t.test('whatever the order, no more than a tenth and a grant is fetched in vain', async (t) => {
  const sizes = fc.array(fc.constantFrom(1, 500, 4096, 65_536, 300_000, 2_000_000), {
    minLength: 40,
    maxLength: 300,
  });
  fc.assert(
    fc.property(
      sizes.chain((all) => fc.tuple(fc.constant(all), opens(all.length))),
      ([all, order]) => {
        const directory = new Simulated(all);
        let hitBytes = 0;
        for (const position of order) {
          if (directory.fetched.has(position)) hitBytes += all[position] ?? 0;
          directory.open(position);
          const vainBytes = directory.fetchedBytes - hitBytes;
          const vainFiles = directory.fetches - directory.hits;
          if (vainBytes > directory.openedBytes / 10 + GRANT_BYTES) return false;
          if (vainFiles > directory.opened / 10 + GRANT_FILES) return false;
        }
        return true;
      },
    ),
  );
  t.pass();
});

await t.test(
  'a walk asks for what lies ahead of it, in order, each file once, within its limit',
  async (t) => {
    fc.assert(
      fc.property(opens(500), (order) => {
        const walks = new Walks();
        const asked = new Map<Walk, number>();
        for (const position of order) {
          const { walk } = walks.open(position, 0);
          const wanted = [...walk.wanted(HORIZON_MS)];
          if (wanted.length > 64) return false;
          for (const each of wanted) {
            if (each <= (asked.get(walk) ?? -1) || each < walk.next) return false;
            asked.set(walk, each);
            walk.took(each, each % 3 !== 0);
          }
          if (!walk.inOrder && wanted.length > 0) return false;
        }
        return true;
      }),
    );
    t.pass();
  },
);

await t.test('ending the walks gives up all that is pending', async (t) => {
  const walks = new Walks();
  for (const position of [0, 1, 2]) walks.open(position, 0);
  const { walk } = walks.open(3, 0);
  const wanted = [...walk.wanted(HORIZON_MS)];
  for (const position of wanted) walk.took(position, true);
  t.same(walks.end(), wanted);
  t.ok(walk.dropped);
  t.same(walks.end(), []);
});

await t.test('the account: what is read gives credit, what is wasted takes it, and both fade', async (t) => {
  const account = new AheadAccount();
  t.ok(account.roomBytes >= GRANT_BYTES);
  t.ok(account.roomBytes < GRANT_BYTES + 1);
  account.began(GRANT_BYTES);
  t.ok(account.roomBytes < 1, 'the grant is out');
  account.settled(GRANT_BYTES, false);
  t.ok(account.roomBytes < 1, 'and was wasted');
  account.read(10 * GRANT_BYTES, true);
  t.ok(account.roomBytes >= GRANT_BYTES);
  account.began(GRANT_BYTES);
  account.used(GRANT_BYTES);
  account.settled(0, true);
  t.equal(account.wastedBytes, GRANT_BYTES, 'what was read was not wasted');
  for (let at = 0; at < 30_000; at += 1) account.read(64 * 1024, true);
  t.ok(account.wastedBytes < GRANT_BYTES, 'old waste fades');
  t.ok(account.roomBytes < 200 * 1024 * 1024, 'and so does old credit');
});

await t.test('files that are looked up are expected to be read once the last few were', async (t) => {
  const reads = new LookupReads();
  for (let file = 0n; file < 4n; file += 1n) {
    t.notOk(reads.expected);
    reads.asked(file);
    reads.read(file);
  }
  t.ok(reads.expected);
  for (let file = 10n; file < 26n; file += 1n) reads.asked(file);
  t.ok(reads.expected, 'sixteen may be under way');
  reads.asked(26n);
  t.notOk(reads.expected, 'somebody only looks');
  reads.read(99n);
  t.notOk(reads.expected, 'files that nobody asked for say nothing');
});
