import fc from '../support/fast-check.js';
import t from 'tap';
import {
  encodeRecord,
  RecordAssembler,
  RecordError,
  recordMark,
  type RecordAssemblerOptions,
} from '../../protocol/record-marking.js';

function assemble(options: Partial<RecordAssemblerOptions> = {}): {
  assembler: RecordAssembler;
  records: Buffer[];
} {
  const records: Buffer[] = [];
  const assembler = new RecordAssembler({
    recordBytesMax: 1_114_112,
    fragmentsMax: 4096,
    emptyFragmentsMax: 4,
    reusesChunks: false,
    onRecord: (record) => void records.push(record),
    ...options,
  });
  return { assembler, records };
}

const mark = (length: number, last: boolean): Buffer => {
  const header = Buffer.alloc(4);
  header.writeUInt32BE(recordMark(length, last));
  return header;
};

await t.test('golden bytes', async (t) => {
  t.equal(recordMark(5), 0x80000005);
  t.equal(recordMark(5, false), 5);
  t.throws(() => recordMark(0x80000000), RangeError);
  t.equal(encodeRecord(Buffer.from('abc')).toString('hex'), '80000003616263');
  t.equal(encodeRecord(Buffer.from('abc'), 2).toString('hex'), '000000026162' + '8000000163');
  t.equal(encodeRecord(Buffer.alloc(0)).toString('hex'), '80000000');
});

await t.test('any records in any fragments come out of any chunks', async (t) => {
  const messages = fc.array(
    fc.record({ bytes: fc.uint8Array({ maxLength: 300 }), fragment: fc.integer({ min: 1, max: 400 }) }),
    { maxLength: 8 },
  );
  t.doesNotThrow(() =>
    fc.assert(
      fc.property(
        messages,
        fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 8 }),
        fc.boolean(),
        (all, sizes, reusesChunks) => {
          const stream = Buffer.concat(
            all.map(({ bytes, fragment }) => encodeRecord(Buffer.from(bytes), fragment)),
          );
          const { assembler, records } = assemble({ reusesChunks });
          const scratch = Buffer.alloc(200);
          for (let at = 0, i = 0; at < stream.length; i++) {
            const part = stream.subarray(at, at + (sizes[i % sizes.length] ?? 1));
            at += part.length;
            if (!reusesChunks) {
              assembler.push(part);
            } else {
              part.copy(scratch);
              assembler.push(scratch.subarray(0, part.length));
              scratch.fill(0xee);
            }
          }
          return (
            !assembler.partial &&
            records.length === all.length &&
            records.every((record, i) => record.equals(all[i]?.bytes ?? Buffer.alloc(0)))
          );
        },
      ),
    ),
  );
});

await t.test('bytes read straight to their place come out the same', async (t) => {
  const messages = [Buffer.alloc(200_000, 'xyz'), Buffer.from('small'), Buffer.alloc(1_000_000, 'abc')];
  const stream = Buffer.concat(messages.map((message) => encodeRecord(message, 300_000)));
  const { assembler, records } = assemble({ reusesChunks: true });
  const scratch = Buffer.alloc(65536);
  let direct = 0;
  for (let at = 0; at < stream.length;) {
    const target = assembler.target();
    const into = target ?? scratch;
    const length = stream.copy(into, 0, at, at + Math.min(into.length, 50_000));
    if (target === undefined) assembler.push(scratch.subarray(0, length));
    else assembler.advance(length);
    if (target !== undefined) direct += length;
    at += length;
  }
  t.equal(records.length, messages.length);
  t.ok(records.every((record, i) => record.equals(messages[i] ?? Buffer.alloc(0))));
  t.ok(direct > 800_000, `${direct} bytes were not copied`);
  t.throws(() => assembler.advance(1), RangeError);
});

await t.test('a record that lies whole in a chunk is a view of it', async (t) => {
  const { assembler, records } = assemble();
  const chunk = encodeRecord(Buffer.from('abcd'));
  assembler.push(chunk);
  t.equal(records[0]?.buffer, chunk.buffer);
});

await t.test('the size is bounded on the sum of the fragments, when the header tells it', async (t) => {
  const exact = assemble({ recordBytesMax: 10 });
  exact.assembler.push(encodeRecord(Buffer.alloc(10), 6));
  t.equal(exact.records.length, 1);
  t.throws(() => exact.assembler.push(mark(11, true)), RecordError);
  const sum = assemble({ recordBytesMax: 10 });
  sum.assembler.push(Buffer.concat([mark(6, false), Buffer.alloc(6)]));
  t.throws(() => sum.assembler.push(mark(5, true)), RecordError);
  t.throws(() => assemble().assembler.push(mark(0x7fffffff, false)), RecordError);
});

await t.test('what a header announces is not allocated on its word', async (t) => {
  const { assembler, records } = assemble();
  const message = Buffer.alloc(1024 * 1024, 1);
  const record = encodeRecord(message);
  assembler.push(record.subarray(0, 4));
  t.equal(assembler.target(), undefined);
  t.equal(assembler.allocatedBytes, 0);
  t.ok(assembler.partial);
  assembler.push(record.subarray(4, 104));
  t.equal(assembler.target(), undefined);
  t.ok(assembler.allocatedBytes <= 1600, `${assembler.allocatedBytes} bytes for 100`);
  assembler.push(record.subarray(104));
  t.same(records, [message]);
  t.equal(assembler.allocatedBytes, 0);
});

await t.test('fragments are counted, empty ones more strictly, and by the record', async (t) => {
  const { assembler, records } = assemble({ emptyFragmentsMax: 2, fragmentsMax: 5 });
  const twoEmpty = Buffer.concat([mark(0, false), mark(0, false), encodeRecord(Buffer.from('a'))]);
  for (let i = 0; i < 10; i++) assembler.push(twoEmpty);
  t.equal(records.length, 10);
  t.throws(
    () => assembler.push(Buffer.concat([mark(0, false), mark(0, false), mark(0, false)])),
    RecordError,
  );
  const many = assemble({ fragmentsMax: 5 });
  t.throws(() => many.assembler.push(encodeRecord(Buffer.alloc(6), 1)), RecordError);
});

await t.test('partial from the first byte of a header to the last of the record', async (t) => {
  const { assembler } = assemble();
  t.notOk(assembler.partial);
  for (const byte of encodeRecord(Buffer.from('ab'), 1).subarray(0, -1)) {
    assembler.push(Buffer.from([byte]));
    t.ok(assembler.partial);
  }
  assembler.push(Buffer.from('b'));
  t.notOk(assembler.partial);
});
