import fc from '../support/fast-check.js';
import t from 'tap';
import { XdrError, XdrReader, XdrWriter } from '../../protocol/xdr-cursors.js';
import {
  arm,
  array,
  bool,
  bytestring,
  decode,
  encode,
  fixedOpaque,
  i32,
  i64,
  lazy,
  list,
  opaque,
  opaqueSlices,
  optional,
  struct,
  u32,
  u64,
  union,
  utf8,
  xenum,
  xvoid,
  type Codec,
} from '../../protocol/xdr.js';

const color = xenum({ RED: 1, GREEN: 2, NONE: -1 });
const shape = union('color', color, { RED: arm('depth', u32), NONE: arm() }, arm('name', utf8(8)));
const record = struct({ id: u64, flag: bool, tags: array(u32, 4), note: optional(bytestring(5)) });

/** What is written, its bytes in hex. RFC 4506 fixes each. */
const golden: [string, Codec<never>, unknown, string][] = (
  [
    ['void', xvoid, undefined, ''],
    ['u32', u32, 0xdeadbeef, 'deadbeef'],
    ['i32', i32, -2, 'fffffffe'],
    ['u64', u64, 0x0123456789abcdefn, '0123456789abcdef'],
    ['u64 max', u64, 0xffffffffffffffffn, 'ffffffffffffffff'],
    ['i64', i64, -1n, 'ffffffffffffffff'],
    ['true', bool, true, '00000001'],
    ['false', bool, false, '00000000'],
    ['enum', color, 'GREEN', '00000002'],
    ['negative enum', color, 'NONE', 'ffffffff'],
    ['fixed opaque', fixedOpaque(3), Buffer.from('abc'), '61626300'],
    ['opaque, 4 bytes', opaque(9), Buffer.from('abcd'), '0000000461626364'],
    ['opaque, 1 byte', opaque(9), Buffer.from('a'), '0000000161000000'],
    ['opaque, empty', opaque(9), Buffer.alloc(0), '00000000'],
    ['utf8', utf8(9), 'é', '00000002c3a90000'],
    ['utf8 keeps a byte order mark', utf8(9), '\ufeff', '00000003efbbbf00'],
    ['array', array(u32, 3), [1, 2], '000000020000000100000002'],
    ['list', list(u32, 3), [7, 8], '00000001000000070000000100000008' + '00000000'],
    ['optional, there', optional(u32), 5, '0000000100000005'],
    ['optional, absent', optional(u32), undefined, '00000000'],
    ['union arm', shape, { color: 'RED', depth: 3 }, '0000000100000003'],
    ['union void arm', shape, { color: 'NONE' }, 'ffffffff'],
    ['union default arm', shape, { color: 'GREEN', name: 'ab' }, '000000020000000261620000'],
    [
      'struct',
      record,
      { id: 1n, flag: true, tags: [9], note: Buffer.from('hi') },
      '0000000000000001' + '00000001' + '0000000100000009' + '000000010000000268690000',
    ],
  ] satisfies [string, unknown, unknown, string][]
).map(([name, codec, value, hex]) => [name, codec as Codec<never>, value, hex]);

await t.test('golden bytes, both ways', async (t) => {
  for (const [name, codec, value, hex] of golden) {
    t.equal(encode(codec, value as never).toString('hex'), hex, `${name}: encoded`);
    t.same(decode(codec, Buffer.from(hex, 'hex')), value, `${name}: decoded`);
  }
});

await t.test('truncated at every offset, and with bytes behind, nothing decodes', async (t) => {
  for (const [name, codec, , hex] of golden) {
    const bytes = Buffer.from(hex, 'hex');
    for (let length = 0; length < bytes.length; length++) {
      t.throws(() => decode(codec, bytes.subarray(0, length)), XdrError, `${name}, ${length} bytes`);
    }
    t.throws(() => decode(codec, Buffer.concat([bytes, Buffer.alloc(4)])), XdrError, `${name}, more bytes`);
  }
});

await t.test('a view into a larger buffer decodes by its own bounds', async (t) => {
  const around = Buffer.from('ffffffff00000005ffffffff', 'hex');
  t.equal(decode(u32, around.subarray(4, 8)), 5);
  t.throws(() => decode(u64, around.subarray(4, 8)), XdrError);
  t.equal(decode(u32, new Uint8Array([0, 0, 0, 9])), 9);
});

await t.test('what padding holds is not looked at', async (t) => {
  t.same(decode(opaque(9), Buffer.from('0000000161ffffff', 'hex')), Buffer.from('a'));
});

await t.test('values outside their type are refused', async (t) => {
  const bad = (codec: Codec<never>, hex: string): void => {
    t.throws(() => decode(codec, Buffer.from(hex, 'hex')), XdrError, hex);
  };
  bad(bool as Codec<never>, '00000002');
  bad(color as Codec<never>, '00000003');
  bad(shape as Codec<never>, '00000009');
  bad(union('color', color, { RED: arm() }) as Codec<never>, '00000002');
  bad(utf8(9) as Codec<never>, '00000002c3280000');
  bad(optional(u32) as Codec<never>, '0000000200000001');
  bad(opaque(3) as Codec<never>, '0000000461626364');
  bad(array(u32, 1) as Codec<never>, '000000020000000100000002');
  bad(list(u32, 1) as Codec<never>, '0000000100000001000000010000000200000000');
});

await t.test('values outside their type are not encoded', async (t) => {
  const bad: [Codec<never>, unknown][] = [
    [u32 as Codec<never>, -1],
    [u32 as Codec<never>, 0x100000000],
    [u32 as Codec<never>, 1.5],
    [u32 as Codec<never>, NaN],
    [i32 as Codec<never>, 0x80000000],
    [u64 as Codec<never>, -1n],
    [u64 as Codec<never>, 1n << 64n],
    [i64 as Codec<never>, 1n << 63n],
    [color as Codec<never>, 'BLUE'],
    [fixedOpaque(3) as Codec<never>, Buffer.alloc(4)],
    [opaque(3) as Codec<never>, Buffer.alloc(4)],
    [opaqueSlices(3) as Codec<never>, [Buffer.alloc(2), Buffer.alloc(2)]],
    [utf8(3) as Codec<never>, 'éé'],
    [array(u32, 1) as Codec<never>, [1, 2]],
    [union('color', color, { RED: arm() }) as Codec<never>, { color: 'NONE' }],
  ];
  for (const [codec, value] of bad) t.throws(() => encode(codec, value as never), XdrError, String(value));
});

await t.test('a length bomb is rejected before anything is allocated', async (t) => {
  let items = 0;
  const counted: Codec<number> = {
    decode: (reader) => {
      items++;
      return reader.u32();
    },
    encode: (writer, value) => u32.encode(writer, value),
  };
  const bomb = Buffer.from('ffffffff00000000', 'hex');
  const before = process.memoryUsage().arrayBuffers;
  for (const codec of [opaque(0xffffffff), opaqueSlices(0xffffffff), array(counted, 0xffffffff)]) {
    t.throws(() => decode(codec as Codec<never>, bomb), XdrError);
  }
  t.throws(
    () => decode(array(counted, 0xffffffff, 12), Buffer.from('00000001' + '00000000', 'hex')),
    XdrError,
  );
  t.equal(items, 0, 'no item was read');
  t.ok(process.memoryUsage().arrayBuffers - before < 1024 * 1024);
});

await t.test('round trips', async (t) => {
  const bytes = (maxLength: number): fc.Arbitrary<Buffer> =>
    fc.uint8Array({ maxLength }).map((array) => Buffer.from(array));
  const trip = <T>(name: string, codec: Codec<T>, arbitrary: fc.Arbitrary<T>): void => {
    t.doesNotThrow(
      () =>
        fc.assert(
          fc.property(arbitrary, (value) => {
            const encoded = encode(codec, value);
            if (encoded.length % 4 !== 0) throw new Error(`${encoded.length} bytes are no multiple of 4`);
            const again = encode(codec, decode(codec, encoded));
            return again.equals(encoded);
          }),
        ),
      name,
    );
  };
  trip('u32', u32, fc.integer({ min: 0, max: 0xffffffff }));
  trip('i32', i32, fc.integer());
  trip('u64', u64, fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }));
  trip('i64', i64, fc.bigInt({ min: -(1n << 63n), max: (1n << 63n) - 1n }));
  trip('opaque around the size passed by reference', opaque(5000), bytes(5000));
  trip('slices', opaqueSlices(20_000), fc.array(bytes(5000), { maxLength: 4 }));
  trip('utf8', utf8(4000), fc.string({ unit: 'binary', maxLength: 1000 }));
  trip('list of opaques', list(opaque(3000), 10), fc.array(bytes(3000), { maxLength: 10 }));
  trip(
    'struct',
    record,
    fc.record({
      id: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
      flag: fc.boolean(),
      tags: fc.array(fc.integer({ min: 0, max: 0xffffffff }), { maxLength: 4 }),
      note: fc.option(bytes(5), { nil: undefined }),
    }),
  );
});

await t.test('decoded values equal the encoded ones', async (t) => {
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 6 }),
        fc.bigInt(0n, 99n),
        (parts, n) => {
          const codec = struct({ n: u64, parts: array(opaque(3000), 6) });
          const value = decode(codec, encode(codec, { n, parts: parts.map((part) => Buffer.from(part)) }));
          return value.n === n && value.parts.every((part, i) => part.equals(parts[i] ?? Buffer.alloc(0)));
        },
      ),
    ),
  );
});

await t.test('random bytes decode or fail with XdrError', async (t) => {
  const codecs = golden.map(([, codec]) => codec);
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), fc.constantFrom(...codecs), (bytes, codec) => {
        try {
          decode(codec, bytes);
        } catch (error) {
          if (!(error instanceof XdrError)) throw error;
        }
      }),
      { numRuns: 2000 },
    ),
  );
});

await t.test('large opaques are referenced, small ones copied', async (t) => {
  const large = Buffer.alloc(4096, 1);
  const small = Buffer.alloc(16, 2);
  const writer = new XdrWriter();
  opaque(8192).encode(writer, large);
  opaque(8192).encode(writer, small);
  const chunks = writer.finish();
  t.equal(writer.length, 4 + 4096 + 4 + 16);
  t.ok(chunks.some((chunk) => chunk.buffer === large.buffer && chunk.length === large.length));
  small.fill(9);
  t.same(Buffer.concat(chunks).subarray(-16), Buffer.alloc(16, 2));
});

await t.test('decoded opaques are views into the record', async (t) => {
  const record = encode(opaque(8), Buffer.from('abcd'));
  const view = decode(opaque(8), record);
  record.write('z', 4);
  t.equal(view.toString(), 'zbcd');
});

await t.test('a recursive type through lazy', async (t) => {
  interface Node {
    readonly value: number;
    readonly next: Node | undefined;
  }
  const node: Codec<Node> = struct({ value: u32, next: optional(lazy(() => node)) });
  const value = { value: 1, next: { value: 2, next: undefined } };
  t.same(decode(node, encode(node, value)), value);
});

await t.test('a reader tells what remains and insists on the end', async (t) => {
  const reader = new XdrReader(Buffer.alloc(12));
  reader.u64();
  t.equal(reader.remaining, 4);
  t.throws(() => reader.end(), XdrError);
  t.throws(() => reader.u64(), XdrError, 'a failed read moves nothing');
  t.equal(reader.remaining, 4);
  reader.u32();
  reader.end();
});
