/** Listings by several LISTs at a time: the same entries in the same order as by one after another, whatever is guessed; and what they cost. */
import { createHash } from 'node:crypto';
import fc from '../support/fast-check.js';
import t from 'tap';
import { ListingWalk } from '../../src/fs/listing-walk.js';
import { compareKeys } from '../../src/fs/names.js';
import { sortKeyOf, type ListedEntry } from '../../src/fs/node.js';
import { CountedMemory, ListedNames, walkThrough } from './listed-names.js';
import { Mounted } from './mounted.js';

t.setTimeout(300_000);

type Guesses = NonNullable<ConstructorParameters<typeof ListingWalk>[3]['guess']>;

const hashOf = (at: number): string => createHash('md5').update(String(at)).digest('hex');
const decimal = (at: number): string => `file-${String(at).padStart(7, '0')}`;

const name = fc.oneof(
  fc.stringMatching(/^[a-c!.0\u{e000}\u{1F600}]{1,4}$/u),
  fc.nat(999).map((at) => `n-${String(at).padStart(3, '0')}`),
  fc.nat(999).map((at) => `n${at}`),
);

await t.test(
  'any names, pages, guesses, failures and memory: the same entries in the same order',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(name, fc.boolean()), { maxLength: 300 }),
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.option(name), { minLength: 1, maxLength: 30 }),
        fc.integer({ min: 1, max: 25 }),
        fc.integer({ min: 0, max: 20 }),
        fc.stringMatching(/^[a-c!n0-3]{0,3}$/),
        fc.array(fc.boolean(), { maxLength: 30 }),
        fc.boolean(),
        async (named, pages, guessed, entriesAtATime, memoryPages, hidden, failing, holds) => {
          const keys = named.map(([each, isDirectory]) => (isDirectory ? `${each}/` : each));
          const isHidden = ({ name: [first = ''] }: ListedEntry): boolean => hidden.includes(first);
          const pageEntries = (list: number): number => pages[list % pages.length] ?? 1;
          const fails = (list: number): boolean => failing[list] === true;
          const names = new ListedNames({ keys, pageEntries, isHidden, fails });
          let guesses = 0;
          const guess: Guesses = () => () => {
            const found = guessed[guesses++ % guessed.length] ?? undefined;
            return found === undefined ? undefined : { name: found, errorEntries: 0 };
          };
          const client = { entriesAtATime, memoryPages, holds };
          const walked = await names.run(walkThrough(names, { splits: true, guess }, client));
          const expected = names.entries.filter((entry) => !isHidden(entry)).map(sortKeyOf);
          if (walked.keys.join('\n') !== expected.join('\n'))
            throw new Error(`expected ${expected.join()}, got ${walked.keys.join()}`);
        },
      ),
      { numRuns: 400 },
    );
  },
);

await t.test('the guesses that names give: the same entries in the same order', async (t) => {
  const kinds: Record<string, (at: number) => string> = {
    decimal,
    'not padded': (at) => `img${at}.jpg`,
    hash: hashOf,
    times: (at) => `${new Date(1.7e12 + at * 37_000).toISOString()}-${hashOf(at).slice(0, 4)}`,
    words: (at) =>
      `${['alpha', 'beta', 'gamma', 'delta'][at % 4] ?? ''}-${hashOf(at).slice(0, 4 + (at % 5))}`,
    unicode: (at) => `\u{1F600}${String.fromCodePoint(0x4e00 + (at % 500))}${at}`,
    'numbers of any length': (at) => String(at),
  };
  for (const [kind, nameOf] of Object.entries(kinds)) {
    const keys = Array.from({ length: 40_000 }, (_, at) => nameOf(at));
    const names = new ListedNames({ keys });
    const { keys: walked } = await names.run(walkThrough(names, { splits: true }));
    t.ok(walked.join('\n') === [...new Set(keys)].sort(compareKeys).join('\n'), kind);
    t.ok(names.lists <= names.entries.length / 1000 + 5, `${kind}: ${names.lists} LISTs`);
  }
});

/** LISTs of 30 ms each, one after another, in multiples of the time that is taken; and LISTs in multiples of full pages. */
async function costOf(
  keys: readonly string[],
  msAPage: number,
): Promise<{ faster: number; requests: number; pagesMax: number }> {
  const names = new ListedNames({ keys, listMs: 30 });
  const { keys: walked, pagesMax } = await names.run(walkThrough(names, { splits: true }, { msAPage }));
  if (walked.length !== keys.length) throw new Error(`expected ${keys.length} entries, got ${walked.length}`);
  const pages = keys.length / 1000;
  return { faster: (pages * 30) / names.nowMs, requests: names.lists / pages, pagesMax };
}

await t.test('a large directory is listed four times as fast as by LISTs one after another', async (t) => {
  const cases: [string, string[], number][] = [
    ['400,000 names by number', Array.from({ length: 400_000 }, (_, at) => decimal(at)), 0],
    [
      '200,000 names by hash, a client of 2 ms a page',
      Array.from({ length: 200_000 }, (_, at) => hashOf(at).slice(0, 12)),
      2,
    ],
  ];
  for (const [title, keys, msAPage] of cases) {
    const { faster, requests, pagesMax } = await costOf(keys, msAPage);
    t.ok(faster >= 4, `${title}: ${faster.toFixed(2)} times`);
    t.ok(requests <= 1.03, `${title}: ${requests.toFixed(4)} LISTs for 1,000 entries`);
    t.ok(pagesMax <= 128 + 8, `${title}: ${pagesMax} pages`);
  }
  const { faster, requests } = await costOf(
    Array.from({ length: 100_000 }, (_, at) => decimal(at)),
    0,
  );
  t.ok(faster >= 4, `100,000 names: ${faster.toFixed(2)} times`);
  t.ok(requests <= 1.06, `100,000 names: ${requests.toFixed(3)} LISTs for 1,000 entries`);
});

await t.test('a client that stops reading ends what is asked for', async (t) => {
  const names = new ListedNames({ keys: Array.from({ length: 500_000 }, (_, at) => decimal(at)) });
  const memory = new CountedMemory();
  const walk = new ListingWalk(names, memory, '', { splits: true });
  const lists: number[] = [];
  await names.run(
    (async () => {
      for (const page of [0, 1, 2, 3, 4, 5]) {
        await walk.take(page === 0 ? '' : decimal(page * 1000 - 2), true);
        await names.wait(10_000);
        lists.push(names.lists);
      }
    })(),
  );
  t.strictSame(lists.slice(0, 3), [1, 4, 7], 'none ahead of the first page, then two, four');
  t.ok((lists[5] ?? 0) <= 6 + 32, `${String(lists[5])} after six pages`);
  walk.end();
  t.equal(memory.pages, 0);
});

await t.test('who waits for a page of a walk that is ended meanwhile gets it', async (t) => {
  const names = new ListedNames({ keys: Array.from({ length: 5000 }, (_, at) => decimal(at)) });
  const memory = new CountedMemory();
  const walk = new ListingWalk(names, memory, '', { splits: true });
  await names.run(walk.take('', true));
  const second = walk.take(decimal(998), true);
  walk.end();
  const found = await names.run(second);
  t.equal(found?.page.entries[found.from]?.name, decimal(999));
  t.equal(names.lists, 2);
  t.equal(memory.pages, 0);
  t.notOk(walk.covers(decimal(1500)), 'nobody else goes on with it');
});

await t.test(
  'a page that there is no memory for serves the call that it was asked for, and is not kept',
  async (t) => {
    const names = new ListedNames({ keys: Array.from({ length: 5000 }, (_, at) => decimal(at)) });
    const walk = new ListingWalk(names, new CountedMemory(0, false), '', { splits: true });
    const found = await names.run(walk.take('', true));
    const last = found?.page.entries.at(-1);
    t.ok((found?.page.entries.length ?? 0) > 990);
    t.notOk(walk.covers(decimal(499)), 'who goes on within it asks again');
    t.ok(last !== undefined && walk.covers(sortKeyOf(last)), 'and behind it goes on');
    const memory = new CountedMemory(0, true);
    const held = new ListingWalk(names, memory, '', { splits: true });
    await names.run(held.take('', true));
    t.ok(held.covers(decimal(499)));
    t.ok(memory.heldBytes > 1000 * 150, 'what is kept is taken from the budget');
    held.end();
    t.equal(memory.heldBytes, 0);
  },
);

await t.test(
  'clients that hold many listings open take memory of the budget, and no more than it has',
  async (t) => {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    const directories = Array.from({ length: 24 }, (_, at) => `d${at}`);
    const files = 1500;
    for (const directory of directories)
      for (let at = 0; at < files; at++) m.store.putNow(`${directory}/${decimal(at)}`, Buffer.alloc(0));
    const handles = await Promise.all(directories.map((each) => m.at(each)));
    const { budget } = m;
    const before = budget.usedBytes;
    let heldMax = 0;
    /** Each client reads some of its directory, and goes on when all others were there. */
    const readAll = async (): Promise<void> => {
      const cookies = handles.map(() => 0n);
      const seen = handles.map((): string[] => []);
      for (let turn = 0; seen.some((names) => names.length < files + 2); turn++) {
        t.ok(turn < 20);
        for (const [at, handle] of handles.entries()) {
          const page = await m.fs.readdir(m.context, handle, cookies[at] ?? 0n, 300);
          seen[at]?.push(...page.entries.map(({ name }) => name.toString()));
          cookies[at] = page.entries.at(-1)?.cookie ?? 0n;
        }
        heldMax = Math.max(heldMax, budget.usedBytes - before);
      }
      for (const names of seen) t.equal(new Set(names).size, files + 2, 'each entry once');
    };
    await readAll();
    t.ok(heldMax > directories.length * 1000 * 150, `${heldMax} bytes are held`);
    // Others take nearly all of it, and give nothing back.
    const others = budget.limitBytes - before - 500_000;
    await budget.reserve(others);
    t.ok(budget.usedBytes <= budget.limitBytes, 'listings gave back what they had');
    await readAll();
    t.ok(budget.usedBytes <= budget.limitBytes);
    budget.release(others);
  },
);

await t.test('a store that does not list in order is asked by one LIST after another', async (t) => {
  const names = new ListedNames({ keys: Array.from({ length: 50_000 }, (_, at) => decimal(at)) });
  const { keys } = await names.run(walkThrough(names, { splits: false }));
  t.equal(keys.length, 50_000);
  t.equal(names.lists, 50);
});

await t.test(
  'through the file system: runs, hidden files at any border, files that are not published yet',
  async (t) => {
    const m = await Mounted.start();
    t.teardown(() => m.end());
    const expected: string[] = [];
    for (let at = 0; at < 8000; at++) {
      const each = decimal(at);
      m.store.putNow(`d/${each}`, Buffer.from('x'));
      if (at % 500 === 499) {
        // Hidden by a directory that sorts behind other names.
        m.store.putNow(`d/${each}-more`, Buffer.from('x'));
        m.store.putNow(`d/${each}/below`, Buffer.from('x'));
        expected.push(`${each}-more`);
      }
      expected.push(each);
    }
    const directory = await m.at('d');
    for (let at = 700; at < 8000; at += 1000) {
      await m.write(`d/${decimal(at)}-new`, 'x', { commit: false });
      expected.push(`${decimal(at)}-new`);
    }
    const names: string[] = [];
    m.store.calls.length = 0;
    for (let cookie = 0n; ;) {
      const page = await m.fs.readdir(m.context, directory, cookie, 700);
      for (const entry of page.entries) names.push(entry.name.toString());
      cookie = page.entries.at(-1)?.cookie ?? cookie;
      if (page.end) break;
    }
    t.strictSame(
      names.filter((each) => each !== '.' && each !== '..').sort(compareKeys),
      expected.sort(compareKeys),
    );
    t.ok(m.store.countOf('ListObjectsV2') <= 12, `${m.store.countOf('ListObjectsV2')} LISTs`);
  },
);
