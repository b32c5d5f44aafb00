import t from 'tap';

import { NFS3 } from '../../../protocol/nfs3/program.js';
import type { fattr3, sattr3 } from '../../../protocol/nfs3/types.js';
import { XdrError } from '../../../protocol/xdr-cursors.js';
import { decode, encode, type Codec } from '../../../protocol/xdr.js';

/** Hex with spaces and line ends between the words, as worked out from RFC 1813 and RFC 4506 by hand. */
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

async function golden<T>(what: string, codec: Codec<T>, value: T, words: string): Promise<void> {
  await t.test(what, async (t) => {
    t.equal(encode(codec, value).toString('hex'), hex(words).toString('hex'));
    t.same(decode(codec, hex(words)), value);
  });
}

const HANDLE = Buffer.from([0xaa, 0xbb, 0xcc, 0xdd, 0xee]);
const HANDLE_HEX = '00000005 aabbccdd ee000000';
const VERIFIER = Buffer.from('0123456789abcdef', 'hex');
const VERIFIER_HEX = '01234567 89abcdef';
const P = NFS3.procedures;

const ATTRIBUTES: fattr3 = {
  type: 'NF3REG',
  mode: 0o644,
  nlink: 1,
  uid: 1000,
  gid: 100,
  size: 0x1_0000_0001n,
  used: 0x1_0000_0200n,
  rdev: { specdata1: 0, specdata2: 0 },
  fsid: 7n,
  fileid: 0xfedc_ba98_7654_3210n,
  atime: { seconds: 1, nseconds: 2 },
  mtime: { seconds: 3, nseconds: 4 },
  ctime: { seconds: 5, nseconds: 6 },
};
const ATTRIBUTES_HEX = `
  00000001 000001a4 00000001 000003e8 00000064
  00000001 00000001  00000001 00000200  00000000 00000000
  00000000 00000007  fedcba98 76543210
  00000001 00000002  00000003 00000004  00000005 00000006`;
const UNCHANGED: sattr3 = {
  mode: undefined,
  uid: undefined,
  gid: undefined,
  size: undefined,
  atime: { set_it: 'DONT_CHANGE' },
  mtime: { set_it: 'DONT_CHANGE' },
};

await golden('GETATTR3args', P.GETATTR.args, { object: HANDLE }, HANDLE_HEX);
await golden(
  'GETATTR3res, NFS3_OK',
  P.GETATTR.result,
  { status: 'NFS3_OK', resok: { obj_attributes: ATTRIBUTES } },
  `00000000 ${ATTRIBUTES_HEX}`,
);
await golden(
  'GETATTR3res, a failure without a body',
  P.GETATTR.result,
  { status: 'NFS3ERR_STALE' },
  '00000046',
);
await golden(
  'SETATTR3args with size, both kinds of time and a guard',
  P.SETATTR.args,
  {
    object: HANDLE,
    new_attributes: {
      mode: 0o755,
      uid: undefined,
      gid: 5,
      size: 4096n,
      atime: { set_it: 'SET_TO_SERVER_TIME' },
      mtime: { set_it: 'SET_TO_CLIENT_TIME', time: { seconds: 9, nseconds: 10 } },
    },
    guard: { seconds: 11, nseconds: 12 },
  },
  `${HANDLE_HEX}
   00000001 000001ed  00000000  00000001 00000005  00000001 00000000 00001000
   00000001  00000002 00000009 0000000a
   00000001 0000000b 0000000c`,
);
await golden(
  'SETATTR3res with both sides of wcc_data',
  P.SETATTR.result,
  {
    status: 'NFS3_OK',
    resok: {
      obj_wcc: {
        before: { size: 1n, mtime: { seconds: 2, nseconds: 3 }, ctime: { seconds: 4, nseconds: 5 } },
        after: ATTRIBUTES,
      },
    },
  },
  `00000000
   00000001 00000000 00000001 00000002 00000003 00000004 00000005
   00000001 ${ATTRIBUTES_HEX}`,
);
await golden(
  'LOOKUP3args',
  P.LOOKUP.args,
  { what: { dir: HANDLE, name: Buffer.from('a.txt') } },
  `${HANDLE_HEX} 00000005 612e7478 74000000`,
);
await golden(
  'LOOKUP3res, NFS3_OK',
  P.LOOKUP.result,
  {
    status: 'NFS3_OK',
    resok: { object: HANDLE, obj_attributes: ATTRIBUTES, dir_attributes: undefined },
  },
  `00000000 ${HANDLE_HEX} 00000001 ${ATTRIBUTES_HEX} 00000000`,
);
await golden(
  'ACCESS3res, NFS3_OK',
  P.ACCESS.result,
  { status: 'NFS3_OK', resok: { obj_attributes: undefined, access: 0x1f } },
  '00000000 00000000 0000001f',
);
await golden(
  'READ3args',
  P.READ.args,
  { file: HANDLE, offset: 0x2_0000_0000n, count: 65536 },
  `${HANDLE_HEX} 00000002 00000000 00010000`,
);
await golden(
  'READ3res, NFS3_OK with padding after the data',
  P.READ.result,
  {
    status: 'NFS3_OK',
    resok: { file_attributes: undefined, count: 6, eof: true, data: [Buffer.from('abcdef')] },
  },
  '00000000 00000000 00000006 00000001 00000006 61626364 65660000',
);
await golden(
  'WRITE3args',
  P.WRITE.args,
  { file: HANDLE, offset: 3n, count: 5, stable: 'FILE_SYNC', data: Buffer.from('hello') },
  `${HANDLE_HEX} 00000000 00000003 00000005 00000002 00000005 68656c6c 6f000000`,
);
await golden(
  'WRITE3res, NFS3_OK',
  P.WRITE.result,
  {
    status: 'NFS3_OK',
    resok: {
      file_wcc: { before: undefined, after: undefined },
      count: 5,
      committed: 'DATA_SYNC',
      verf: VERIFIER,
    },
  },
  `00000000 00000000 00000000 00000005 00000001 ${VERIFIER_HEX}`,
);
await golden(
  'CREATE3args, UNCHECKED',
  P.CREATE.args,
  {
    where: { dir: HANDLE, name: Buffer.from('n') },
    how: { mode: 'UNCHECKED', obj_attributes: { ...UNCHANGED, size: 0n } },
  },
  `${HANDLE_HEX} 00000001 6e000000 00000000
   00000000 00000000 00000000 00000001 00000000 00000000 00000000 00000000`,
);
await golden(
  'CREATE3args, EXCLUSIVE',
  P.CREATE.args,
  { where: { dir: HANDLE, name: Buffer.from('n') }, how: { mode: 'EXCLUSIVE', verf: VERIFIER } },
  `${HANDLE_HEX} 00000001 6e000000 00000002 ${VERIFIER_HEX}`,
);
await golden(
  'CREATE3res, NFS3_OK',
  P.CREATE.result,
  {
    status: 'NFS3_OK',
    resok: { obj: HANDLE, obj_attributes: undefined, dir_wcc: { before: undefined, after: undefined } },
  },
  `00000000 00000001 ${HANDLE_HEX} 00000000 00000000 00000000`,
);
await golden(
  'SYMLINK3args: attributes before the path',
  P.SYMLINK.args,
  {
    where: { dir: HANDLE, name: Buffer.from('n') },
    symlink: { symlink_attributes: UNCHANGED, symlink_data: Buffer.from('to') },
  },
  `${HANDLE_HEX} 00000001 6e000000
   00000000 00000000 00000000 00000000 00000000 00000000  00000002 746f0000`,
);
await golden(
  'MKNOD3args, a device',
  P.MKNOD.args,
  {
    where: { dir: HANDLE, name: Buffer.from('n') },
    what: { type: 'NF3CHR', device: { dev_attributes: UNCHANGED, spec: { specdata1: 1, specdata2: 3 } } },
  },
  `${HANDLE_HEX} 00000001 6e000000 00000004
   00000000 00000000 00000000 00000000 00000000 00000000  00000001 00000003`,
);
await golden(
  'RENAME3res, a failure with two wcc_data',
  P.RENAME.result,
  {
    status: 'NFS3ERR_NOTEMPTY',
    resfail: {
      fromdir_wcc: { before: undefined, after: undefined },
      todir_wcc: { before: undefined, after: undefined },
    },
  },
  '00000042 00000000 00000000 00000000 00000000',
);
await golden(
  'READDIR3res: a mark before each entry, none after the last, eof',
  P.READDIR.result,
  {
    status: 'NFS3_OK',
    resok: {
      dir_attributes: undefined,
      cookieverf: VERIFIER,
      reply: {
        entries: [
          { fileid: 1n, name: Buffer.from('.'), cookie: 1n },
          { fileid: 2n, name: Buffer.from('..'), cookie: 2n },
        ],
        eof: true,
      },
    },
  },
  `00000000 00000000 ${VERIFIER_HEX}
   00000001 00000000 00000001 00000001 2e000000 00000000 00000001
   00000001 00000000 00000002 00000002 2e2e0000 00000000 00000002
   00000000 00000001`,
);
await golden(
  'READDIRPLUS3res: an entry with and one without attributes and handle',
  P.READDIRPLUS.result,
  {
    status: 'NFS3_OK',
    resok: {
      dir_attributes: undefined,
      cookieverf: VERIFIER,
      reply: {
        entries: [
          {
            fileid: 3n,
            name: Buffer.from('f'),
            cookie: 4n,
            name_attributes: ATTRIBUTES,
            name_handle: HANDLE,
          },
          {
            fileid: 5n,
            name: Buffer.from('g'),
            cookie: 6n,
            name_attributes: undefined,
            name_handle: undefined,
          },
        ],
        eof: false,
      },
    },
  },
  `00000000 00000000 ${VERIFIER_HEX}
   00000001 00000000 00000003 00000001 66000000 00000000 00000004 00000001 ${ATTRIBUTES_HEX} 00000001 ${HANDLE_HEX}
   00000001 00000000 00000005 00000001 67000000 00000000 00000006 00000000 00000000
   00000000 00000000`,
);
await golden(
  'COMMIT3res, NFS3_OK',
  P.COMMIT.result,
  { status: 'NFS3_OK', resok: { file_wcc: { before: undefined, after: undefined }, verf: VERIFIER } },
  `00000000 00000000 00000000 ${VERIFIER_HEX}`,
);

await t.test('statuses above 10000 have the numbers of RFC 1813 2.6', async (t) => {
  for (const [status, number] of [
    ['NFS3ERR_BADHANDLE', 10001],
    ['NFS3ERR_NOT_SYNC', 10002],
    ['NFS3ERR_BAD_COOKIE', 10003],
    ['NFS3ERR_NOTSUPP', 10004],
    ['NFS3ERR_TOOSMALL', 10005],
    ['NFS3ERR_SERVERFAULT', 10006],
    ['NFS3ERR_BADTYPE', 10007],
    ['NFS3ERR_JUKEBOX', 10008],
  ] as const) {
    t.equal(encode(P.GETATTR.result, { status }).readUInt32BE(0), number, status);
  }
});

await t.test('a handle of 64 bytes decodes, one of 65 does not', async (t) => {
  const args = (length: number): Buffer =>
    Buffer.concat([
      hex(length.toString(16).padStart(8, '0')),
      Buffer.alloc(length + ((4 - (length % 4)) % 4)),
    ]);
  t.equal(decode(P.GETATTR.args, args(64)).object.length, 64);
  t.throws(() => decode(P.GETATTR.args, args(65)), XdrError);
});

await t.test(
  'data beyond 1 MiB, an unknown stable_how and an unknown createmode3 do not decode',
  async (t) => {
    t.throws(
      () => decode(P.WRITE.args, hex(`${HANDLE_HEX} 00000000 00000000 00000000 00000000 00100001`)),
      XdrError,
    );
    t.throws(
      () => decode(P.WRITE.args, hex(`${HANDLE_HEX} 00000000 00000000 00000000 00000003 00000000`)),
      XdrError,
    );
    t.throws(() => decode(P.CREATE.args, hex(`${HANDLE_HEX} 00000001 6e000000 00000003`)), XdrError);
  },
);
