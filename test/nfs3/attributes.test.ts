import fc from '../support/fast-check.js';
import t from 'tap';

import { fattr3, plainFattr3, type sattr3 } from '../../protocol/nfs3/types.js';
import { XdrError } from '../../protocol/xdr-cursors.js';
import { decode, encode } from '../../protocol/xdr.js';
import type { Attributes } from '../../src/fs/file-system.js';
import {
  fromNfstime3,
  toAttributeChanges,
  toFattr3,
  toNfstime3,
  toWccData,
} from '../../src/nfs3/attributes.js';

const UNCHANGED: sattr3 = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: { set_it: 'DONT_CHANGE' },
  mtime: { set_it: 'DONT_CHANGE' },
};
const ATTRIBUTES: Attributes = {
  type: 'symlink',
  mode: 0o777,
  nlink: 1,
  uid: 2,
  gid: 3,
  size: 2 ** 52,
  used: 5,
  fsid: 6n,
  fileid: 2n ** 64n - 1n,
  atimeNs: 1_000_000_001n,
  mtimeNs: 2_000_000_002n,
  ctimeNs: 3_000_000_003n,
};

await t.test('times between 1970 and 2106 keep their nanoseconds', async () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 32n * 1_000_000_000n - 1n }), (ns) => {
      return fromNfstime3(toNfstime3(ns)) === ns;
    }),
  );
});

await t.test('times outside are the nearest that nfstime3 has', async (t) => {
  t.same(toNfstime3(-1n), { seconds: 0, nseconds: 0 });
  t.same(toNfstime3(-(10n ** 20n)), { seconds: 0, nseconds: 0 });
  t.same(toNfstime3(2n ** 32n * 1_000_000_000n), { seconds: 0xffffffff, nseconds: 999_999_999 });
  t.same(toNfstime3(2n ** 70n), { seconds: 0xffffffff, nseconds: 999_999_999 });
});

await t.test('fattr3 has the type, the sizes and the ids of the file', async (t) => {
  t.same(toFattr3(ATTRIBUTES), {
    type: 'NF3LNK',
    mode: 0o777,
    nlink: 1,
    uid: 2,
    gid: 3,
    size: 2n ** 52n,
    used: 5n,
    rdev: { specdata1: 0, specdata2: 0 },
    fsid: 6n,
    fileid: 2n ** 64n - 1n,
    atime: { seconds: 1, nseconds: 1 },
    mtime: { seconds: 2, nseconds: 2 },
    ctime: { seconds: 3, nseconds: 3 },
  });
  t.equal(toFattr3({ ...ATTRIBUTES, type: 'file' }).type, 'NF3REG');
  t.equal(toFattr3({ ...ATTRIBUTES, type: 'directory' }).type, 'NF3DIR');
});

await t.test('wcc_data has pre_op only where the file system vouches for it', async (t) => {
  t.same(toWccData({}), { before: undefined, after: undefined });
  t.same(toWccData({ after: ATTRIBUTES }), { before: undefined, after: toFattr3(ATTRIBUTES) });
  t.same(toWccData({ before: { size: 1, mtimeNs: 2n, ctimeNs: 3n } }), {
    before: { size: 1n, mtime: { seconds: 0, nseconds: 2 }, ctime: { seconds: 0, nseconds: 3 } },
    after: undefined,
  });
});

await t.test('sattr3: what is not set is not among the changes', async (t) => {
  t.strictSame(toAttributeChanges(UNCHANGED), {});
  t.strictSame(
    toAttributeChanges({
      mode: 0o107644,
      uid: 0,
      gid: 0,
      size: 0n,
      atime: { set_it: 'SET_TO_SERVER_TIME' },
      mtime: { set_it: 'SET_TO_CLIENT_TIME', time: { seconds: 1, nseconds: 999_999_999 } },
    }),
    { mode: 0o7644, uid: 0, gid: 0, size: 0, atimeNs: 'now', mtimeNs: 1_999_999_999n },
  );
});

await t.test('sattr3: a size beyond 2^53 is EFBIG, a time with a second of nanoseconds EINVAL', async (t) => {
  t.equal(toAttributeChanges({ ...UNCHANGED, size: 2n ** 53n - 1n }).size, Number.MAX_SAFE_INTEGER);
  t.throws(() => toAttributeChanges({ ...UNCHANGED, size: 2n ** 53n }), { code: 'EFBIG' });
  const time = { seconds: 1, nseconds: 1_000_000_000 };
  t.throws(() => toAttributeChanges({ ...UNCHANGED, atime: { set_it: 'SET_TO_CLIENT_TIME', time } }), {
    code: 'EINVAL',
  });
});

const NS_MAX = 2n ** 62n;
const anyAttributes: fc.Arbitrary<Attributes> = fc.record({
  type: fc.constantFrom('file', 'directory', 'symlink'),
  mode: fc.integer({ min: 0, max: 0o7777 }),
  nlink: fc.integer({ min: 0, max: 0xffff_ffff }),
  uid: fc.integer({ min: 0, max: 0xffff_ffff }),
  gid: fc.integer({ min: 0, max: 0xffff_ffff }),
  size: fc.maxSafeNat(),
  used: fc.maxSafeNat(),
  fsid: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fileid: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  atimeNs: fc.bigInt({ min: -NS_MAX, max: NS_MAX }),
  mtimeNs: fc.bigInt({ min: -NS_MAX, max: NS_MAX }),
  ctimeNs: fc.bigInt({ min: -NS_MAX, max: NS_MAX }),
});

await t.test('fattr3 written field by field is the structure, byte for byte', async () => {
  fc.assert(
    fc.property(anyAttributes, fc.boolean(), (given, sameTimes) => {
      const value = toFattr3(sameTimes ? { ...given, atimeNs: given.mtimeNs } : given);
      const bytes = encode(fattr3, value);
      return bytes.equals(encode(plainFattr3, value)) && encode(fattr3, decode(fattr3, bytes)).equals(bytes);
    }),
  );
});

await t.test('and refuses what the structure refuses', async (t) => {
  const good = toFattr3(ATTRIBUTES);
  const bad = [
    { ...good, mode: -1 },
    { ...good, uid: 2 ** 32 },
    { ...good, gid: 0.5 },
    { ...good, size: -1n },
    { ...good, fileid: 2n ** 64n },
    { ...good, ctime: { seconds: 0, nseconds: -1 } },
  ];
  for (const value of bad) {
    t.throws(() => encode(fattr3, value), XdrError);
    t.throws(() => encode(plainFattr3, value), XdrError);
  }
});
