/** Publications that S3 answers with 409, and uploads that it lost: what is committed is not given up for them. */
import t from 'tap';
import { StoreError } from '../../src/store/errors.js';
import { codeOf } from './mounted.js';
import { JOURNAL, PART, SMALL_PARTS, mounted, pattern, writeAll } from './small-parts.js';

await t.test(
  '409 while nobody changed the object: the publication is repeated, and is no conflict',
  async (t) => {
    for (const bytes of [100, 4 * PART]) {
      const m = await mounted(t, SMALL_PARTS);
      const handle = await m.write('f', 'first');
      // No stream.
      m.clock.advance(60_000);
      const data = pattern(bytes);
      let answers = 2;
      m.store.before = ({ operation }) => {
        if (!/PutObject|Complete/.test(operation) || answers-- <= 0) return;
        const about = { operation, bucket: 'bucket', code: 'ConditionalRequestConflict', httpStatus: 409 };
        throw new StoreError('precondition-failed', 'conflict', about);
      };
      await writeAll(m, handle, 0, data);
      await m.fs.commit(m.context, handle);
      t.same(Object.keys(m.bucket()), ['f']);
      t.ok(m.store.objects.get('f')?.body.equals(data));
    }
  },
);

await t.test(
  '409 for an upload that is the only copy of committed parts: it is completed again',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const data = pattern(6 * PART + 100);
    const handle = await m.write('f', '', { commit: false });
    await writeAll(m, handle, 0, data);
    await m.fs.commit(m.context, handle);
    await m.crash();
    let answers = 2;
    m.store.before = ({ operation }) => {
      if (operation !== 'CompleteMultipartUpload' || answers-- <= 0) return;
      const about = { operation, bucket: 'bucket', code: 'ConditionalRequestConflict', httpStatus: 409 };
      throw new StoreError('precondition-failed', 'conflict', about);
    };
    await m.open();
    t.ok(m.store.objects.get('f')?.body.equals(data));
    t.equal(m.store.uploads.size, 0);
  },
);

await t.test(
  'committed parts that S3 lost with their upload: COMMIT gets EIO, the log names key and bytes',
  async (t) => {
    const m = await mounted(t, JOURNAL);
    const data = pattern(6 * PART + 100);
    const handle = await m.write('f', '', { commit: false });
    await writeAll(m, handle, 0, data);
    await m.fs.commit(m.context, handle);
    await m.crash();
    m.store.uploads.clear();
    await m.open();
    t.match(
      m.logged.filter(({ level }) => level === 50).map(({ err }) => (err as Error).message),
      [/bytes 0 to 16384 of "f" are lost: .* remove or truncate the file, or write it anew/],
    );
    await m.fs.setattr(m.context, handle, { size: 0 }).catch(() => undefined);
    await m.fs.write(m.context, handle, 0, Buffer.from('anew'), 'unstable');
    t.equal(await codeOf(m.fs.commit(m.context, handle)), 'none');
    await m.rest(60_000);
    t.equal(m.bucket()['f'], 'anew');
  },
);

await t.test('an upload that has another part than was sent: every part is sent again', async (t) => {
  const m = await mounted(t, SMALL_PARTS);
  const data = pattern(4 * PART);
  const handle = await m.write('f', '', { commit: false });
  await writeAll(m, handle, 0, data);
  m.store.before = ({ operation, uploadId = '' }) => {
    if (operation !== 'CompleteMultipartUpload') return;
    m.store.before = undefined;
    // One that was given up, and sent once more, arrives late.
    m.store.uploads.get(uploadId)?.parts.set(1, { body: Buffer.alloc(PART), etag: '"late"' });
  };
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'none');
  t.ok(m.store.objects.get('f')?.body.equals(data));
  t.equal(m.store.uploads.size, 0);
});

await t.test(
  'a publication that S3 refuses as invalid leaves a file that can be written and removed',
  async (t) => {
    const m = await mounted(t, SMALL_PARTS);
    const handle = await m.write('f', 'first');
    m.store.before = ({ operation }) => {
      if (operation !== 'PutObject') return;
      const about = { operation, bucket: 'bucket', code: 'InvalidArgument', httpStatus: 400 };
      throw new StoreError('invalid', 'refused', about);
    };
    await m.fs.write(m.context, handle, 0, Buffer.from('again'), 'unstable');
    t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
    t.equal(await codeOf(m.fs.write(m.context, handle, 5, Buffer.from(' and more'), 'unstable')), 'none');
    t.equal(await codeOf(m.fs.setattr(m.context, handle, { size: 3 })), 'none');
    t.equal(await codeOf(m.remove('f')), 'none');
    t.same(m.bucket(), {});
  },
);
