import fc from '../support/fast-check.js';
import t from 'tap';
import {
  acceptedReply,
  authsys_parms,
  decodeMessageStart,
  deniedReply,
  encodeSuccess,
  NULL_AUTH,
  rpc_msg,
  type auth_stat,
} from '../../protocol/rpc.js';
import { XdrError, XdrReader, XdrWriter } from '../../protocol/xdr-cursors.js';
import { decode, encode } from '../../protocol/xdr.js';

const hex = (...words: number[]): string => words.map((word) => word.toString(16).padStart(8, '0')).join('');

const call: rpc_msg = {
  xid: 0x11223344,
  body: {
    mtype: 'CALL',
    cbody: {
      rpcvers: 2,
      prog: 100003,
      vers: 3,
      proc: 1,
      cred: { flavor: 1, body: Buffer.from('abcdef') },
      verf: NULL_AUTH,
    },
  },
};

const stats: auth_stat[] = [
  'AUTH_OK',
  'AUTH_BADCRED',
  'AUTH_REJECTEDCRED',
  'AUTH_BADVERF',
  'AUTH_REJECTEDVERF',
  'AUTH_TOOWEAK',
  'AUTH_INVALIDRESP',
  'AUTH_FAILED',
];

/** RFC 5531 section 9, word by word. */
const golden: [string, rpc_msg, string][] = [
  [
    'call',
    call,
    hex(0x11223344, 0, 2, 100003, 3, 1, 1, 6) + Buffer.from('abcdef\0\0').toString('hex') + hex(0, 0),
  ],
  ['SUCCESS', acceptedReply(1, { stat: 'SUCCESS' }), hex(1, 1, 0, 0, 0, 0)],
  ['PROG_UNAVAIL', acceptedReply(2, { stat: 'PROG_UNAVAIL' }), hex(2, 1, 0, 0, 0, 1)],
  [
    'PROG_MISMATCH',
    acceptedReply(3, { stat: 'PROG_MISMATCH', mismatch_info: { low: 3, high: 4 } }),
    hex(3, 1, 0, 0, 0, 2, 3, 4),
  ],
  ['PROC_UNAVAIL', acceptedReply(4, { stat: 'PROC_UNAVAIL' }), hex(4, 1, 0, 0, 0, 3)],
  ['GARBAGE_ARGS', acceptedReply(5, { stat: 'GARBAGE_ARGS' }), hex(5, 1, 0, 0, 0, 4)],
  ['SYSTEM_ERR', acceptedReply(6, { stat: 'SYSTEM_ERR' }), hex(6, 1, 0, 0, 0, 5)],
  [
    'RPC_MISMATCH',
    deniedReply(7, { stat: 'RPC_MISMATCH', mismatch_info: { low: 2, high: 2 } }),
    hex(7, 1, 1, 0, 2, 2),
  ],
  ...stats.map((stat, number): [string, rpc_msg, string] => [
    stat,
    deniedReply(8, { stat: 'AUTH_ERROR', auth_stat: stat }),
    hex(8, 1, 1, 1, number),
  ]),
];

await t.test('golden bytes, both ways, and truncated at every offset', async (t) => {
  for (const [name, message, bytes] of golden) {
    t.equal(encode(rpc_msg, message).toString('hex'), bytes, name);
    t.same(decode(rpc_msg, Buffer.from(bytes, 'hex')), message, name);
    for (let length = 0; length < bytes.length / 2; length++) {
      t.throws(() => decode(rpc_msg, Buffer.from(bytes, 'hex').subarray(0, length)), XdrError);
    }
  }
});

await t.test('the short way to SUCCESS writes the same bytes', async (t) => {
  const writer = new XdrWriter();
  encodeSuccess(writer, 0xcafe);
  t.same(Buffer.concat(writer.finish()), encode(rpc_msg, acceptedReply(0xcafe, { stat: 'SUCCESS' })));
});

await t.test('AUTH_SYS parameters: golden bytes and bounds', async (t) => {
  const parms = { stamp: 9, machinename: Buffer.from('host1'), uid: 1000, gid: 100, gids: [4, 27] };
  const bytes = hex(9, 5) + Buffer.from('host1\0\0\0').toString('hex') + hex(1000, 100, 2, 4, 27);
  t.equal(encode(authsys_parms, parms).toString('hex'), bytes);
  t.same(decode(authsys_parms, Buffer.from(bytes, 'hex')), parms);
  const sixteen = Array.from({ length: 16 }, (_, i) => i);
  t.doesNotThrow(() => encode(authsys_parms, { ...parms, gids: sixteen }));
  t.throws(() => encode(authsys_parms, { ...parms, gids: [...sixteen, 16] }), XdrError);
  t.throws(() => encode(authsys_parms, { ...parms, machinename: Buffer.alloc(256) }), XdrError);
  const seventeen = Buffer.from(hex(9, 0, 0, 0, 17) + '00000000'.repeat(17), 'hex');
  t.throws(() => decode(authsys_parms, seventeen), XdrError);
});

await t.test('an opaque_auth has at most 400 bytes and may have any flavor', async (t) => {
  const withBody = (length: number): rpc_msg => ({
    ...call,
    body: {
      mtype: 'CALL',
      cbody: {
        rpcvers: 2,
        prog: 1,
        vers: 1,
        proc: 0,
        cred: { flavor: 0xfffffff0, body: Buffer.alloc(length) },
        verf: NULL_AUTH,
      },
    },
  });
  t.same(decode(rpc_msg, encode(rpc_msg, withBody(400))), withBody(400));
  t.throws(() => encode(rpc_msg, withBody(401)), XdrError);
});

await t.test('calls round-trip', async (t) => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  const auth = fc.record({
    flavor: word,
    body: fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes)),
  });
  const body = fc.record({ rpcvers: word, prog: word, vers: word, proc: word, cred: auth, verf: auth });
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(word, body, (xid, cbody) => {
        const bytes = encode(rpc_msg, { xid, body: { mtype: 'CALL', cbody } });
        const again = decode(rpc_msg, bytes);
        return again.xid === xid && encode(rpc_msg, again).equals(bytes);
      }),
    ),
  );
});

await t.test('the start of a message tells a call from anything else', async (t) => {
  const start = (text: string): unknown => decodeMessageStart(new XdrReader(Buffer.from(text, 'hex')));
  t.same(start(hex(7, 0)), { xid: 7, call: true });
  t.same(start(hex(7, 1)), { xid: 7, call: false });
  t.same(start(hex(7, 2)), { xid: 7, call: false });
  t.equal(start(hex(7) + '000000'), undefined);
});
