/** Pages that wait for their client come out of it as they went in. */
import fc from '../support/fast-check.js';
import t from 'tap';
import type { ListedEntry } from '../../src/fs/node.js';
import { PackedEntries } from '../../src/fs/packed-entries.js';

const name = fc
  .string({ minLength: 1, maxLength: 12, unit: 'grapheme' })
  .map((each) => each.replaceAll(/[\0/]/g, '_'));
const version = fc.record(
  {
    etag: fc.string({ maxLength: 40, unit: 'grapheme' }).map((each) => `${each}\0`),
    size: fc.maxSafeNat(),
    lastModifiedMs: fc.nat(),
  },
  { requiredKeys: ['etag', 'size'] },
);
const entry: fc.Arbitrary<ListedEntry> = fc.oneof(
  fc.record({ name, kind: fc.constant('file' as const), version }),
  fc.record({ name, kind: fc.constant('file' as const) }),
  fc.record({ name, kind: fc.constant('directory' as const) }),
);

await t.test('any entries', (t) => {
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
      const packed = new PackedEntries(entries);
      if (packed.length !== entries.length) throw new Error(`${packed.length} entries`);
      const plain = (list: readonly ListedEntry[]): string =>
        JSON.stringify(
          list.map(({ name, kind, version: of }) => [
            name,
            kind,
            of?.etag,
            of?.size,
            of?.lastModifiedMs ?? null,
          ]),
        );
      if (plain(packed.unpacked()) !== plain(entries)) throw new Error('they differ');
    }),
  );
  t.end();
});
