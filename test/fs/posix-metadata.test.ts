import assert from 'node:assert/strict';
import fc from '../support/fast-check.js';
import t from 'tap';
import { readPosixMetadata, writePosixMetadata, type OwnAttributes } from '../../src/fs/posix-metadata.js';

await t.test('reads the dialects of its peers', (t) => {
  const mtimeNs = 1_700_000_000_123_456_789n;
  t.same(
    readPosixMetadata({
      'file-permissions': '0100644',
      'file-owner': '1000',
      'file-group': '100',
      'file-mtime': `${mtimeNs}ns`,
      'file-atime': '5ns',
    }),
    { type: 'file', mode: 0o644, uid: 1000, gid: 100, mtimeNs, atimeNs: 5n },
    'FSx for Lustre, DataSync',
  );
  t.same(
    readPosixMetadata({ mode: '33188', uid: '1', gid: '2', mtime: '1700000000.123456789', ctime: '1.0' }),
    { type: 'file', mode: 0o644, uid: 1, gid: 2, mtimeNs },
    's3fs',
  );
  t.same(readPosixMetadata({ mtime: '1700000000.5' }), { mtimeNs: 1_700_000_000_500_000_000n }, 'rclone');
  t.match(readPosixMetadata({ mode: '16877' }), { type: 'directory', mode: 0o755 }, 's3fs directory');
  t.match(readPosixMetadata({ mode: '41471' }), { type: 'symlink' }, 's3fs symlink');
  t.match(
    readPosixMetadata({ '--symlink-target': '../x' }),
    { type: 'symlink', symlinkTarget: '../x' },
    'GeeseFS',
  );
  t.end();
});

await t.test('values that do not parse are passed over', (t) => {
  for (const value of ['', '-1', '99999999999', '0x10', 'NaN', '1e3', '9'.repeat(40)]) {
    t.same(
      readPosixMetadata({
        'file-permissions': '9',
        'file-owner': value,
        'file-mtime': value,
        mtime: `${value}s`,
      }),
      {},
    );
  }
  t.end();
});

await t.test('what is written reads back to the nanosecond, and foreign metadata stays', (t) => {
  const attributes: fc.Arbitrary<OwnAttributes> = fc.record({
    type: fc.constantFrom('file' as const, 'directory' as const, 'symlink' as const),
    mode: fc.nat(0o7777),
    uid: fc.nat(0xffffffff),
    gid: fc.nat(0xffffffff),
    mtimeNs: fc.bigInt({ min: 0n, max: 1n << 63n }),
    atimeNs: fc.bigInt({ min: 0n, max: 1n << 63n }),
  });
  fc.assert(
    fc.property(attributes, (own) => {
      const written = writePosixMetadata({ project: 'x', mode: '33279', uid: '9', 'file-mtime': '1ns' }, own);
      assert.deepEqual(readPosixMetadata(written), { ...own });
      assert.equal(written['project'], 'x');
      assert.ok(!('mode' in written || 'uid' in written), 'no other dialect contradicts');
    }),
  );
  t.end();
});
