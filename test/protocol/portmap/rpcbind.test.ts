import fc from '../../support/fast-check.js';
import t from 'tap';
import {
  netbuf,
  rpcb,
  rpcb_entry_list,
  rpcb_stat_byvers,
  RPCBIND3,
  RPCBIND4,
  rpcblist,
} from '../../../protocol/portmap/rpcbind.js';
import type { Program } from '../../../protocol/program.js';
import { XdrError } from '../../../protocol/xdr-cursors.js';
import { decode, encode, type Codec } from '../../../protocol/xdr.js';

const u32 = fc.nat(0xffffffff);
const i32 = fc.integer({ min: -0x80000000, max: 0x7fffffff });
const word = fc.string({ maxLength: 12 });

const numbersOf = ({ procedures }: Program): unknown =>
  Object.entries(procedures).map(([name, { number }]) => [name, number]);

void t.test('numbers of the programs and their procedures', async (t) => {
  t.same([RPCBIND3.number, RPCBIND3.version, RPCBIND4.version], [100000, 3, 4]);
  const common = [
    ['NULL', 0],
    ['SET', 1],
    ['UNSET', 2],
    ['GETADDR', 3],
    ['DUMP', 4],
  ];
  const conversions = [
    ['GETTIME', 6],
    ['UADDR2TADDR', 7],
    ['TADDR2UADDR', 8],
  ];
  t.same(numbersOf(RPCBIND3), [...common, ['CALLIT', 5], ...conversions]);
  t.same(numbersOf(RPCBIND4), [
    ...common,
    ['BCAST', 5],
    ...conversions,
    ['GETVERSADDR', 9],
    ['INDIRECT', 10],
    ['GETADDRLIST', 11],
    ['GETSTAT', 12],
  ]);
});

const nfs: rpcb = {
  r_prog: 100003,
  r_vers: 3,
  r_netid: 'tcp6',
  r_addr: '::.8.1',
  r_owner: 'superuser',
};
const NFS_HEX =
  '000186a3' +
  '00000003' +
  '00000004' +
  '74637036' +
  '00000006' +
  '3a3a2e382e310000' +
  '00000009' +
  '737570657275736572000000';

void t.test('golden bytes', async (t) => {
  t.equal(encode(rpcb, nfs).toString('hex'), NFS_HEX);
  t.equal(encode(rpcblist, [nfs]).toString('hex'), `00000001${NFS_HEX}00000000`);
  t.equal(
    encode(netbuf, { maxlen: 16, buf: Buffer.from([2, 0]) }).toString('hex'),
    '000000100000000202000000',
  );
  const entry = {
    r_maddr: '::1.8.1',
    r_nc_netid: 'tcp6',
    r_nc_semantics: 3,
    r_nc_protofmly: 'inet6',
    r_nc_proto: 'tcp',
  };
  t.equal(
    encode(rpcb_entry_list, [entry]).toString('hex'),
    '00000001' +
      '000000073a3a312e382e3100' +
      '0000000474637036' +
      '00000003' +
      '00000005696e657436000000' +
      '0000000374637000' +
      '00000000',
  );
  const none = { info: Array<number>(13).fill(0), setinfo: 0, unsetinfo: 0, addrinfo: [], rmtinfo: [] };
  t.equal(encode(rpcb_stat_byvers, [none, none, none]).length, 3 * (13 + 2 + 2) * 4);
  t.throws(() => encode(rpcb_stat_byvers, [none, none]), XdrError);
});

const aRpcb = fc.record({ r_prog: u32, r_vers: u32, r_netid: word, r_addr: word, r_owner: word });
const anEntry = fc.record({
  r_maddr: word,
  r_nc_netid: word,
  r_nc_semantics: u32,
  r_nc_protofmly: word,
  r_nc_proto: word,
});
const aStat = fc.record({
  info: fc.array(i32, { minLength: 13, maxLength: 13 }),
  setinfo: i32,
  unsetinfo: i32,
  addrinfo: fc.array(fc.record({ prog: u32, vers: u32, success: i32, failure: i32, netid: word }), {
    maxLength: 2,
  }),
  rmtinfo: fc.array(
    fc.record({ prog: u32, vers: u32, proc: u32, success: i32, failure: i32, indirect: i32, netid: word }),
    { maxLength: 2 },
  ),
});
const bytes = fc.uint8Array({ maxLength: 30 }).map((array) => Buffer.from(array));
const { args, result } = RPCBIND4.procedures.INDIRECT;

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- codecs of any type, each with values of its own
const cases: readonly [string, Codec<any>, fc.Arbitrary<unknown>][] = [
  ['rpcb', rpcb, aRpcb],
  ['rpcblist', rpcblist, fc.array(aRpcb, { maxLength: 3 })],
  ['netbuf', netbuf, fc.record({ maxlen: u32, buf: bytes })],
  ['rpcb_entry_list', rpcb_entry_list, fc.array(anEntry, { maxLength: 3 })],
  ['rpcb_stat_byvers', rpcb_stat_byvers, fc.array(aStat, { minLength: 3, maxLength: 3 })],
  ['rpcb_rmtcallargs', args, fc.record({ prog: u32, vers: u32, proc: u32, args: bytes })],
  ['rpcb_rmtcallres', result, fc.record({ addr: word, results: bytes })],
];

for (const [name, codec, values] of cases) {
  void t.test(`${name} round-trips, and no prefix decodes`, async (t) => {
    fc.assert(
      fc.property(values, (value) => {
        const encoded = encode(codec, value);
        const decoded: unknown = decode(codec, encoded);
        t.same(decoded, value);
        for (let length = 0; length < encoded.length; length++) {
          t.throws(() => void decode(codec, encoded.subarray(0, length)), XdrError);
        }
      }),
      { numRuns: 20 },
    );
  });
}

void t.test('texts out of bounds, and what is not UTF-8, are refused', async (t) => {
  const long = 'a'.repeat(257);
  t.throws(() => encode(rpcb, { ...nfs, r_addr: long }), XdrError);
  t.throws(() => encode(rpcb, { ...nfs, r_netid: 'a'.repeat(65) }), XdrError);
  const broken = Buffer.from(NFS_HEX.replace('74637036', 'ff637036'), 'hex');
  t.throws(() => decode(rpcb, broken), XdrError);
});
