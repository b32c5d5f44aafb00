import fc from '../../support/fast-check.js';
import t from 'tap';
import { listPage, type ListingQuery } from '../../../src/store/embedded/listing.js';
import { SortedKeys } from '../../../src/store/embedded/sorted-keys.js';
import { compareUtf8 } from '../../../src/store/embedded/utf8-order.js';

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** Few characters, so that prefixes and delimiters meet; one above the surrogates and one made of them. */
const name = fc
  .array(fc.constantFrom('a', 'b', '/', '-', 'é', '\uffee', '\u{1f600}'), { minLength: 1, maxLength: 7 })
  .map((parts) => parts.join(''));

/** Any characters, none of them half a surrogate pair, which UTF-8 doesn't have. */
const text = fc.string({ unit: 'binary' });

await t.test('the order of keys is that of their UTF-8 bytes', async () => {
  fc.assert(
    fc.property(text, text, (a, b) => {
      return Math.sign(compareUtf8(a, b)) === byBytes(a, b);
    }),
  );
});

/** All rows of a listing, the slow and plain way: every key, rolled up, without repeats. */
function modelRows(keys: readonly string[], query: Omit<ListingQuery, 'maxKeys'>): string[] {
  const { prefix, delimiter, after } = query;
  const rows: string[] = [];
  for (const key of [...keys].sort(byBytes)) {
    if (!key.startsWith(prefix) || byBytes(key, after) <= 0) continue;
    const at = delimiter === '' ? -1 : key.slice(prefix.length).indexOf(delimiter);
    const row = at < 0 ? key : key.slice(0, prefix.length + at + delimiter.length);
    // What starts at a common prefix is past all of it.
    if (row !== after && row !== rows.at(-1)) rows.push(row);
  }
  return rows;
}

await t.test('pages of a listing add up to what the naive model lists', async () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(name, { maxLength: 40 }),
      fc.oneof(fc.constant(''), name),
      fc.constantFrom('', '/', '-', 'ab', '\u{1f600}'),
      fc.oneof(fc.constant(''), name),
      fc.integer({ min: 1, max: 5 }),
      (keys, prefix, delimiter, startAfter, maxKeys) => {
        const index = SortedKeys.from(keys);
        const expected = modelRows(keys, { prefix, delimiter, after: startAfter });
        const rows: string[] = [];
        for (let after = startAfter; ;) {
          const page = listPage(index, { prefix, delimiter, after, maxKeys });
          const got = [...page.keys, ...page.commonPrefixes].sort(byBytes);
          if (got.length > maxKeys) return false;
          if (page.truncated && got.length !== maxKeys) return false;
          rows.push(...got);
          if (!page.truncated) break;
          after = page.last;
        }
        return JSON.stringify(rows) === JSON.stringify(expected);
      },
    ),
    { numRuns: 2000 },
  );
});

await t.test('a start inside a common prefix still gives it', async (t) => {
  const index = SortedKeys.from(['a/1', 'a/2', 'b/1']);
  const from = (after: string): readonly string[] =>
    listPage(index, { prefix: '', delimiter: '/', after, maxKeys: 10 }).commonPrefixes;
  t.same(from('a/1'), ['a/', 'b/']);
  t.same(from('a/2'), ['b/']);
  t.same(from('a'), ['a/', 'b/']);
  t.same(from('a/'), ['b/']);
});

await t.test('sorted keys behave as a set under any changes, across many chunks', async () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(5000)), { maxLength: 6000, size: 'max' }),
      (changes) => {
        const keys = SortedKeys.from(Array.from({ length: 2500 }, (_, at) => String(at)));
        const model = new Set(Array.from({ length: 2500 }, (_, at) => String(at)));
        for (const [add, number] of changes) {
          const key = String(number);
          if (add ? keys.add(key) === model.has(key) : keys.delete(key) !== model.delete(key)) return false;
          if (add) model.add(key);
        }
        const walked: string[] = [];
        let at = keys.seek(() => true);
        for (let key = keys.at(at); key !== undefined; key = keys.at(at)) {
          walked.push(key);
          at = keys.next(at);
        }
        return keys.size === model.size && walked.join() === [...model].sort(byBytes).join();
      },
    ),
    { numRuns: 20 },
  );
});
