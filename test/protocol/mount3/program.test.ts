import fc from '../../support/fast-check.js';
import t from 'tap';
import { exports, fhstatus, mountlist, mountres3, MOUNT1, MOUNT3 } from '../../../protocol/mount3/program.js';
import type { Program } from '../../../protocol/program.js';
import { XdrError } from '../../../protocol/xdr-cursors.js';
import { decode, encode, type Codec } from '../../../protocol/xdr.js';

const hex = (bytes: Buffer): string => bytes.toString('hex');

const procedureNumbers = ({ procedures }: Program): (readonly [string, number])[] =>
  Object.entries(procedures).map(([name, { number }]) => [name, number] as const);

/** No prefix of an encoding decodes. */
function truncations<T>(codec: Codec<T>, bytes: Buffer): void {
  for (let length = 0; length < bytes.length; length++) {
    t.throws(() => decode(codec, bytes.subarray(0, length)), XdrError, `${length} of ${bytes.length} bytes`);
  }
}

void t.test('numbers of the programs and their procedures', async (t) => {
  for (const program of [MOUNT3, MOUNT1]) {
    t.equal(program.number, 100005);
    t.same(procedureNumbers(program), [
      ['NULL', 0],
      ['MNT', 1],
      ['DUMP', 2],
      ['UMNT', 3],
      ['UMNTALL', 4],
      ['EXPORT', 5],
    ]);
  }
  t.equal(MOUNT3.version, 3);
  t.equal(MOUNT1.version, 1);
});

void t.test('golden bytes', async (t) => {
  t.equal(hex(encode(MOUNT3.procedures.MNT.args, Buffer.from('/data'))), '00000005' + '2f64617461000000');
  t.equal(
    hex(
      encode(mountres3, {
        fhs_status: 'MNT3_OK',
        mountinfo: { fhandle: Buffer.from('abcdef', 'hex'), auth_flavors: [1, 0] },
      }),
    ),
    '00000000' + '00000003abcdef00' + '00000002' + '00000001' + '00000000',
  );
  t.equal(hex(encode(mountres3, { fhs_status: 'MNT3ERR_NOTSUPP' })), '00002714');
  t.equal(hex(encode(fhstatus, { status: 'EACCES' })), '0000000d');
  t.equal(
    hex(encode(fhstatus, { status: 'OK', directory: Buffer.alloc(32, 0xaa) })),
    '00000000' + 'aa'.repeat(32),
  );
  t.equal(
    hex(encode(mountlist, [{ ml_hostname: Buffer.from('::1'), ml_directory: Buffer.from('/b') }])),
    '00000001' + '000000033a3a3100' + '000000022f620000' + '00000000',
  );
  t.equal(
    hex(encode(exports, [{ ex_dir: Buffer.from('/b'), ex_groups: [Buffer.from('10.0.0.0/8')] }])),
    '00000001' +
      '000000022f620000' +
      '00000001' +
      '0000000a31302e302e302e302f380000' +
      '00000000' +
      '00000000',
  );
  t.equal(hex(encode(exports, [])), '00000000');
});

void t.test('lists round-trip, and no prefix of one decodes', async () => {
  const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
    fc.uint8Array({ maxLength }).map((array: Uint8Array): Buffer => Buffer.from(array));
  const mounts = fc.array(fc.record({ ml_hostname: bytes(255), ml_directory: bytes(40) }), { maxLength: 4 });
  const exported = fc.array(
    fc.record({ ex_dir: bytes(40), ex_groups: fc.array(bytes(20), { maxLength: 3 }) }),
    { maxLength: 4 },
  );
  fc.assert(
    fc.property(mounts, exported, (mountValue, exportValue) => {
      const mountBytes = encode(mountlist, mountValue);
      t.same(decode(mountlist, mountBytes), mountValue);
      truncations(mountlist, mountBytes);
      const exportBytes = encode(exports, exportValue);
      t.same(decode(exports, exportBytes), exportValue);
      truncations(exports, exportBytes);
    }),
    { numRuns: 20 },
  );
});

void t.test('results round-trip, and no prefix of one decodes', async (t) => {
  const mountinfo = { fhandle: Buffer.alloc(36, 3), auth_flavors: [1, 0] };
  for (const result of [
    { fhs_status: 'MNT3_OK' as const, mountinfo },
    { fhs_status: 'MNT3ERR_NAMETOOLONG' as const },
  ]) {
    const bytes = encode(mountres3, result);
    t.same(decode(mountres3, bytes), result);
    truncations(mountres3, bytes);
  }
});

void t.test('handles and names beyond their bounds are refused on both sides', async (t) => {
  const fhandle = Buffer.alloc(65);
  const tooLong = { fhs_status: 'MNT3_OK' as const, mountinfo: { fhandle, auth_flavors: [] } };
  t.throws(() => encode(mountres3, tooLong), XdrError);
  t.throws(
    () => decode(mountres3, Buffer.concat([Buffer.from('0000000000000041', 'hex'), fhandle])),
    XdrError,
  );
  t.throws(() => encode(fhstatus, { status: 'OK', directory: Buffer.alloc(31) }), XdrError);
  t.throws(() => decode(MOUNT3.procedures.MNT.args, Buffer.from('ffffffff', 'hex')), XdrError);
});
