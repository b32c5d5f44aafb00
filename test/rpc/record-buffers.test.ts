import t from 'tap';
import { encodeRecord, RecordAssembler } from '../../protocol/record-marking.js';
import { RecordBuffers } from '../../src/rpc/record-buffers.js';

const KIB = 1024;

await t.test('buffers are bounded, used again, and waited for in line', async (t) => {
  const buffers = new RecordBuffers(100, 2);
  const first = buffers.take();
  const second = buffers.take();
  t.ok(first && second);
  t.equal(buffers.take(), undefined);
  const woken: string[] = [];
  buffers.onRoom(() => woken.push('a'));
  buffers.onRoom(() => woken.push('b'));
  buffers.giveBack(Buffer.alloc(10));
  t.same(woken, [], 'a buffer of somebody else is none of ours');
  buffers.giveBack(first?.subarray(10, 20) ?? Buffer.alloc(0));
  t.same(woken, ['a'], 'by any view of it');
  t.equal(buffers.take(), first);
  buffers.giveBack(second ?? Buffer.alloc(0));
  t.same(woken, ['a', 'b']);
});

await t.test('a large record stops where there is no buffer, and goes on when there is one', async (t) => {
  const buffers = new RecordBuffers(256 * KIB, 1);
  const records: Buffer[] = [];
  const assembler = new RecordAssembler({
    recordBytesMax: 256 * KIB,
    fragmentsMax: 100,
    emptyFragmentsMax: 1,
    reusesChunks: true,
    takeBuffer: () => buffers.take(),
    onRecord: (record) => records.push(record),
  });
  const message = (fill: number): Buffer => Buffer.alloc(200 * KIB, fill);
  const stream = Buffer.concat([
    encodeRecord(Buffer.from('small')),
    encodeRecord(message(1), 30 * KIB),
    encodeRecord(message(2)),
    encodeRecord(Buffer.from('small')),
  ]);
  // As a socket brings it: a few bytes at a time.
  const feed = (from: number): number => {
    for (let at = from; at < stream.length; at += 10 * KIB) {
      const chunk = stream.subarray(at, at + 10 * KIB);
      const taken = assembler.push(chunk);
      if (taken < chunk.length) return at + taken;
    }
    return stream.length;
  };
  const stopped = feed(0);
  t.ok(stopped < stream.length);
  t.equal(records.length, 2);
  t.ok(records[1]?.equals(message(1)));
  t.equal(assembler.push(stream.subarray(stopped, stopped + 10 * KIB)), 0, 'not a byte more');
  buffers.giveBack(records[1] ?? Buffer.alloc(0));
  t.equal(feed(stopped), stream.length);
  t.ok(records[2]?.equals(message(2)));
  t.equal(records[3]?.toString(), 'small');
  t.notOk(assembler.partial);
});
