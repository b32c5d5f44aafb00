import fc from '../../support/fast-check.js';
import t from 'tap';
import { mapping, PORTMAP2 } from '../../../protocol/portmap/program.js';
import { XdrError } from '../../../protocol/xdr-cursors.js';
import { decode, encode } from '../../../protocol/xdr.js';

const u32 = fc.nat(0xffffffff);

void t.test('numbers of the program and its procedures', async (t) => {
  t.same([PORTMAP2.number, PORTMAP2.version], [100000, 2]);
  t.same(
    Object.entries(PORTMAP2.procedures).map(([name, { number }]) => [name, number]),
    [
      ['NULL', 0],
      ['SET', 1],
      ['UNSET', 2],
      ['GETPORT', 3],
      ['DUMP', 4],
      ['CALLIT', 5],
    ],
  );
});

void t.test('golden bytes', async (t) => {
  const nfs = { prog: 100003, vers: 3, prot: 6, port: 2049 };
  t.equal(encode(mapping, nfs).toString('hex'), '000186a3' + '00000003' + '00000006' + '00000801');
  t.equal(
    encode(PORTMAP2.procedures.DUMP.result, [nfs]).toString('hex'),
    '00000001' + '000186a3' + '00000003' + '00000006' + '00000801' + '00000000',
  );
  t.equal(encode(PORTMAP2.procedures.SET.result, true).toString('hex'), '00000001');
});

void t.test('mappings and lists of them round-trip, and no prefix decodes', async (t) => {
  const mappings = fc.array(fc.record({ prog: u32, vers: u32, prot: u32, port: u32 }), { maxLength: 5 });
  fc.assert(
    fc.property(mappings, (value) => {
      const codec = PORTMAP2.procedures.DUMP.result;
      const bytes = encode(codec, value);
      t.same(decode(codec, bytes), value);
      for (let length = 0; length < bytes.length; length++) {
        t.throws(() => decode(codec, bytes.subarray(0, length)), XdrError);
      }
    }),
    { numRuns: 30 },
  );
});
