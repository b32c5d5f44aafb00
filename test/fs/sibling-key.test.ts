/** Losers of conflicts whose file has a long name or a long key. */
import fc from '../support/fast-check.js';
import t from 'tap';
import { siblingKey } from '../../src/fs/sibling-key.js';
import { codeOf } from './mounted.js';
import { mounted } from './small-parts.js';

const SUFFIX = '.s3nfsd-conflict-20261121T211500Z-3w5e11264sgsf-2';

/** `bytes` of directories and a name of `nameBytes`, all of the same character. */
function longKey(character: string, bytes: number, nameBytes: number): string {
  const width = Buffer.byteLength(character);
  const text = (length: number): string =>
    character.repeat(Math.floor(length / width)) + 'x'.repeat(length % width);
  const names: string[] = [];
  for (let left = bytes - nameBytes; left > 0;) {
    // A name that leaves a single byte behind it would leave no room for the next one's.
    const length = Math.min(left - 1 === 201 ? 199 : 200, left - 1);
    names.push(text(length));
    left -= length + 1;
  }
  return [...names, text(nameBytes)].join('/');
}

await t.test('a sibling is within the limits of names and keys, beside the file or above it', (t) => {
  const names = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 80 })
    .map((s) => s.replaceAll(/[/\0]/g, '_'));
  fc.assert(
    fc.property(fc.array(names, { minLength: 1, maxLength: 12 }), (path) => {
      fc.pre(path.every((name) => Buffer.byteLength(name) <= 255));
      const key = path.join('/');
      fc.pre(Buffer.byteLength(key) <= 1024);
      const sibling = siblingKey(key, SUFFIX);
      const directory = sibling.slice(0, sibling.lastIndexOf('/') + 1);
      return (
        Buffer.byteLength(sibling) <= 1024 &&
        Buffer.byteLength(sibling.slice(directory.length)) <= 255 &&
        Buffer.from(sibling).toString() === sibling &&
        key.startsWith(directory) &&
        sibling.endsWith(SUFFIX)
      );
    }),
  );
  t.equal(siblingKey('d/f', SUFFIX), `d/f${SUFFIX}`);
  t.equal(siblingKey(`d/${'ä'.repeat(127)}`, SUFFIX), `d/${'ä'.repeat(103)}${SUFFIX}`);
  t.end();
});

await t.test('the loser of a conflict at a key of up to 1,024 bytes is kept', async (t) => {
  for (const bytes of [1000, 1016, 1023, 1024]) {
    for (const [character, nameBytes] of [
      ['a', 1],
      ['b', 200],
      ['ü', 190],
      ['語', 255],
      ['😀', 100],
    ] as const) {
      const m = await mounted(t, {});
      const key = longKey(character, bytes, nameBytes);
      t.equal(Buffer.byteLength(key), bytes);
      m.store.before = (call) => {
        if (call.operation !== 'ListObjectsV2' && Buffer.byteLength(call.key ?? '') > 1024)
          throw new Error(`KeyTooLongError: ${call.operation}`);
      };
      m.store.putNow(key, Buffer.from('before'));
      const handle = await m.at(key);
      await m.fs.write(m.context, handle, 0, Buffer.from('the loser'), 'unstable');
      m.store.putNow(key, Buffer.from('winner'));
      t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
      const kept = Object.entries(m.bucket()).filter(([, body]) => body === 'the loser');
      t.equal(kept.length, 1);
      const [[path = ''] = []] = kept;
      t.match(path, /\.s3nfsd-conflict-/);
      t.equal(await m.read(path), 'the loser', 'it can be read through the mount');
    }
  }
});
