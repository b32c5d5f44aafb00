/** Runs are sent as the codecs of entry3 and entryplus3 send the same entries. */
import t from 'tap';
import { READDIR3resok, READDIRPLUS3resok } from '../../protocol/nfs3/messages.js';
import { encode } from '../../protocol/xdr.js';
import type { EntryRun } from '../../src/fs/file-system.js';
import { COOKIE_VERIFIER } from '../../src/nfs3/directory-reply.js';
import { RunEncoder } from '../../src/nfs3/encoded-run.js';
import fc from '../support/fast-check.js';

const entry = fc.record({
  fileid: fc.bigInt({ min: 16n, max: 2n ** 62n - 1n }),
  name: fc.string({ minLength: 1, maxLength: 60 }).map((text) => Buffer.from(text)),
  handle: fc.uint8Array({ minLength: 36, maxLength: 36 }).map((bytes) => Buffer.from(bytes)),
});

function runOf(
  entries: readonly { readonly fileid: bigint; readonly name: Buffer; readonly handle: Buffer }[],
): EntryRun {
  let end = 0;
  return {
    ids: BigUint64Array.from(entries, ({ fileid }) => fileid),
    names: Buffer.concat(entries.map(({ name }) => name)),
    nameEnds: Uint32Array.from(entries, ({ name }) => (end += name.length)),
    handles: Buffer.concat(entries.map(({ handle }) => handle)),
  };
}

await t.test('pieces of a run between other entries have the bytes of the same entries', async () => {
  const names = new RunEncoder('names');
  const attributes = new RunEncoder('handles');
  const lists = fc.tuple(fc.array(entry, { minLength: 1, maxLength: 20 }), fc.array(entry, { maxLength: 3 }));
  fc.assert(
    fc.property(lists, fc.nat(), fc.nat(), fc.nat(), fc.boolean(), ([inRun, others], a, b, c, eof) => {
      const from = a % (inRun.length + 1);
      const to = from + (b % (inRun.length + 1 - from));
      const before = c % (others.length + 1);
      const all = [...others.slice(0, before), ...inRun.slice(from, to), ...others.slice(before)];
      const run = runOf(inRun);
      const common = { dir_attributes: undefined, cookieverf: COOKIE_VERIFIER };
      const pieceOf = (encoder: RunEncoder) => {
        const { bytes, starts } = encoder.encoded(run);
        return [{ before, bytes: bytes.subarray(starts[from], starts[to]) }];
      };
      const named = (each: typeof others) =>
        each.map(({ fileid, name }) => ({ fileid, name, cookie: fileid }));
      const plus = (each: typeof others) =>
        each.map(({ fileid, name, handle }) => ({
          ...{ fileid, name, cookie: fileid },
          ...{ name_attributes: undefined, name_handle: handle },
        }));
      const expected = encode(READDIR3resok, { ...common, reply: { entries: named(all), eof } });
      const expectedPlus = encode(READDIRPLUS3resok, { ...common, reply: { entries: plus(all), eof } });
      const reply = { entries: named(others), eof, encoded: pieceOf(names) };
      const replyPlus = { entries: plus(others), eof, encoded: pieceOf(attributes) };
      return (
        encode(READDIR3resok, { ...common, reply }).equals(expected) &&
        encode(READDIRPLUS3resok, { ...common, reply: replyPlus }).equals(expectedPlus)
      );
    }),
  );
});
