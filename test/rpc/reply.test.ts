import fc from '../support/fast-check.js';
import t from 'tap';
import { encodeRecord } from '../../protocol/record-marking.js';
import { XdrError, XdrWriter } from '../../protocol/xdr-cursors.js';
import { ReplyEncoder, gatherChunks } from '../../src/rpc/reply.js';

await t.test('replies of one encoder have the bytes that a writer for each would give', async () => {
  const piece = fc.uint8Array({ maxLength: 6000 });
  fc.assert(
    fc.property(fc.array(fc.array(piece, { maxLength: 5 }), { maxLength: 30 }), (messages) => {
      const encoder = new ReplyEncoder();
      const replies = messages.map((pieces) =>
        encoder.encode((writer) => pieces.forEach((each) => writer.bytes(each))),
      );
      const expected = messages.map((pieces) => {
        const writer = new XdrWriter();
        pieces.forEach((each) => writer.bytes(each));
        return encodeRecord(Buffer.concat(writer.finish()));
      });
      const each = replies.every(
        ({ chunks, length }, at) =>
          length === expected[at]?.length && Buffer.concat([...chunks]).equals(expected[at]),
      );
      return each && Buffer.concat(gatherChunks(replies)).equals(Buffer.concat(expected));
    }),
    { numRuns: 200 },
  );
});

await t.test('a reply that fails while it is encoded leaves nothing behind', async (t) => {
  const encoder = new ReplyEncoder();
  const before = encoder.encode((writer) => writer.u32(1));
  for (const written of [4, 3000, 20_000]) {
    t.throws(
      () =>
        encoder.encode((writer) => {
          for (let at = 0; at < written; at += 4) writer.u32(0xffff_ffff);
          writer.raw(Buffer.alloc(5000, 9));
          throw new XdrError('a defect');
        }),
      XdrError,
    );
  }
  const after = encoder.encode((writer) => writer.u32(2));
  t.equal(Buffer.concat(gatherChunks([before, after])).toString('hex'), '80000004000000018000000400000002');
});

await t.test('small replies that were encoded in turn leave as one chunk, without a copy', async (t) => {
  const encoder = new ReplyEncoder();
  const replies = [1, 2, 3].map((value) => encoder.encode((writer) => writer.u32(value)));
  const [chunk, ...others] = gatherChunks(replies);
  t.equal(others.length, 0);
  t.equal(chunk?.buffer, replies[0]?.chunks[0]?.buffer);
  t.equal(chunk?.length, 24);
});
