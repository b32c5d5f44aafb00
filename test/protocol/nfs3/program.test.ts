import assert from 'node:assert/strict';

import fc from '../../support/fast-check.js';
import t from 'tap';

import { NFS3 } from '../../../protocol/nfs3/program.js';
import type { ProcedureName } from '../../../protocol/program.js';
import { XdrError } from '../../../protocol/xdr-cursors.js';
import { decode, encode, type Codec } from '../../../protocol/xdr.js';
import { FAILURES, NFS3_ARBITRARIES } from '../../support/nfs3-arbitraries.js';

/** RFC 1813 3.3, in order. */
const NAMES: readonly ProcedureName<typeof NFS3>[] = [
  'NULL',
  'GETATTR',
  'SETATTR',
  'LOOKUP',
  'ACCESS',
  'READLINK',
  'READ',
  'WRITE',
  'CREATE',
  'MKDIR',
  'SYMLINK',
  'MKNOD',
  'REMOVE',
  'RMDIR',
  'RENAME',
  'LINK',
  'READDIR',
  'READDIRPLUS',
  'FSSTAT',
  'FSINFO',
  'PATHCONF',
  'COMMIT',
];

type Message = {
  readonly what: string;
  readonly codec: Codec<unknown>;
  readonly values: fc.Arbitrary<unknown>;
};

const MESSAGES: readonly Message[] = NAMES.flatMap((name) => {
  const { args, result } = NFS3.procedures[name];
  const arbitraries = NFS3_ARBITRARIES[name];
  return [
    { what: `${name}3args`, codec: args, values: arbitraries.args },
    { what: `${name}3res`, codec: result, values: arbitraries.result },
  ];
});

await t.test('the program, its version and its procedures have the numbers of RFC 1813', async (t) => {
  t.equal(NFS3.number, 100003);
  t.equal(NFS3.version, 3);
  t.same(
    NAMES.map((name) => NFS3.procedures[name].number),
    [...NAMES.keys()],
  );
  t.same(Object.keys(NFS3.procedures), NAMES);
});

await t.test('procedures that change something are marked, and their JUKEBOX is not kept', async (t) => {
  const changing = Object.entries(NFS3.procedures).filter(([, p]) => 'nonIdempotent' in p && p.nonIdempotent);
  t.same(changing.map(([name]) => name).sort(), [
    'CREATE',
    'LINK',
    'MKDIR',
    'MKNOD',
    'REMOVE',
    'RENAME',
    'RMDIR',
    'SETATTR',
    'SYMLINK',
    'WRITE',
  ]);
  const bulk = Object.entries(NFS3.procedures).filter(([, p]) => 'bulk' in p && p.bulk);
  t.same(
    bulk.map(([name]) => name),
    ['WRITE'],
  );
  const wcc = { before: undefined, after: undefined };
  for (const status of FAILURES) {
    const kept = NFS3.procedures.REMOVE.cacheable({ status });
    t.equal(kept, status !== 'NFS3ERR_JUKEBOX', status);
    t.equal(encode(NFS3.procedures.REMOVE.result, { status, resfail: { dir_wcc: wcc } }).length, 12);
  }
  t.equal(NFS3.procedures.REMOVE.cacheable({ status: 'NFS3_OK' }), true);
});

for (const { what, codec, values } of MESSAGES) {
  await t.test(`${what}: what is encoded decodes to the same, in whole words`, async () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(codec, value);
        assert.equal(bytes.length % 4, 0);
        assert.deepStrictEqual(decode(codec, bytes), value);
      }),
    );
  });

  await t.test(`${what}: cut at any byte, or longer than it should be, it is an XdrError`, async () => {
    fc.assert(
      fc.property(values, (value) => {
        const bytes = encode(codec, value);
        for (let length = 0; length < bytes.length; length++) {
          assert.throws(() => decode(codec, bytes.subarray(0, length)), XdrError);
        }
        assert.throws(() => decode(codec, Buffer.concat([bytes, Buffer.alloc(4)])), XdrError);
      }),
      { numRuns: 20 },
    );
  });

  await t.test(`${what}: random bytes decode or are an XdrError`, async () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        try {
          decode(codec, bytes);
        } catch (error) {
          assert.ok(error instanceof XdrError, String(error));
        }
      }),
    );
  });
}
