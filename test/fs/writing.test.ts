import t, { type Test } from 'tap';
import { FsError } from '../../src/fs/errors.js';
import { Mounted, codeOf } from './mounted.js';

async function mounted(test: Test): Promise<Mounted> {
  const m = await Mounted.start();
  test.teardown(() => m.end());
  return m;
}

await t.test('when COMMIT is answered every S3 reader sees the file', async (t) => {
  const m = await mounted(t);
  await m.root();
  const calls = m.store.calls.length;
  await m.write('hello.txt', 'hello');
  t.strictSame(m.bucket(), { 'hello.txt': 'hello' });
  t.equal(m.store.countOf('PutObject'), 1, 'one PUT for a small file');
  t.strictSame(
    m.callsSince(calls).filter((call) => !call.startsWith('HeadObject') && !call.startsWith('List')),
    ['PutObject hello.txt'],
  );
});

await t.test('WRITE with FILE_SYNC is answered only when S3 has the object', async (t) => {
  const m = await mounted(t);
  const { handle } = await m.fs.create(m.context, await m.root(), Buffer.from('f'), {
    how: 'guarded',
    attributes: {},
  });
  const result = await m.fs.write(m.context, handle, 0, Buffer.from('data'), 'fileSync');
  t.equal(result.committed, 'fileSync');
  t.strictSame(m.bucket(), { f: 'data' });
});

await t.test('data that is not published yet is readable through the mount at once', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'unpublished', { commit: false });
  t.strictSame(m.bucket(), {});
  t.equal(await m.read(handle), 'unpublished');
  t.equal((await m.stat('f')).size, 11);
  t.strictSame(await m.list(''), ['f']);
});

await t.test('a created file survives a crash and is published after a rest', async (t) => {
  const m = await mounted(t);
  const { handle } = await m.fs.create(m.context, await m.root(), Buffer.from('empty'), {
    how: 'guarded',
    attributes: { mode: 0o600, uid: 7, gid: 8 },
  });
  t.strictSame(m.bucket(), {}, 'nothing is in the bucket yet');
  await m.crash();
  await m.open();
  t.strictSame(m.bucket(), { empty: '' });
  const attributes = await m.fs.getattr(m.context, handle);
  t.match(attributes, { mode: 0o600, uid: 7, gid: 8, size: 0 }, 'the handle and the attributes survived');
  await m.fs.create(m.context, await m.root(), Buffer.from('other'), { how: 'guarded', attributes: {} });
  await m.rest();
  t.strictSame(Object.keys(m.bucket()), ['empty', 'other']);
});

await t.test('bytes that nobody commits are published when nobody has written for 5 s', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  const publishedMs = new Promise<number>((resolve) => {
    m.store.before = ({ operation }) => {
      if (operation === 'PutObject') resolve(m.clock.nowMs());
    };
  });
  await m.fs.write(m.context, handle, 0, Buffer.from('FI'), 'unstable');
  m.clock.advance(4000);
  await m.fs.write(m.context, handle, 2, Buffer.from('RST'), 'unstable');
  const writtenMs = m.clock.nowMs();
  for (const stepMs of [4999, 1]) {
    m.clock.advance(stepMs);
    t.equal(await m.read(handle), 'FIRST');
  }
  t.equal(await publishedMs, writtenMs + 5000, 'each WRITE puts it off');
});

await t.test('a change by someone else since is never silently lost', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  await m.fs.write(m.context, handle, 0, Buffer.from('loser'), 'unstable');
  m.store.putNow('f', Buffer.from('winner'));
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  const bucket = m.bucket();
  t.equal(bucket['f'], 'winner');
  const sibling = Object.keys(bucket).find((key) => key.startsWith('f.s3nfsd-conflict-'));
  t.equal(bucket[sibling ?? ''], 'loser', 'the loser is kept beside it');
  t.equal(await m.read(handle), 'winner', 'and the file goes on with the winner');
});

await t.test('two new files of one name: the one in S3 first wins', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'ours', { commit: false });
  m.store.putNow('f', Buffer.from('theirs'));
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  t.equal(m.bucket()['f'], 'theirs');
});

await t.test('a burst of calls on one published file becomes one request', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'x');
  const calls = m.store.calls.length;
  await m.fs.setattr(m.context, handle, { mode: 0o600 });
  await m.fs.setattr(m.context, handle, { uid: 5, gid: 6 });
  await m.fs.setattr(m.context, handle, { mtimeNs: 1_234_567_890_123_456_789n, atimeNs: 1n });
  t.strictSame(m.callsSince(calls), [], 'answered from the journal');
  await m.rest();
  t.strictSame(m.callsSince(calls), ['CopyObject f']);
  t.match(m.store.objects.get('f')?.headers.metadata, {
    'file-permissions': '0100600',
    'file-owner': '5',
    'file-group': '6',
    'file-mtime': '1234567890123456789ns',
    'file-atime': '1ns',
  });
});

await t.test('attributes and truncations that were answered survive a crash', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'abcdef');
  await m.fs.setattr(m.context, handle, { mode: 0o400, mtimeNs: 5n });
  await m.fs.setattr(m.context, handle, { size: 3 });
  await m.crash();
  await m.open();
  t.strictSame(m.bucket(), { f: 'abc' });
  t.match(await m.fs.getattr(m.context, handle), { mode: 0o400, size: 3 });
});

await t.test('foreign user metadata, content type and storage class survive rewrites', async (t) => {
  const m = await mounted(t);
  m.store.putNow('f', Buffer.from('abc'), {
    metadata: { owner: 'team-a', 'file-mtime': '77ns', mode: '33188' },
    contentType: 'text/csv',
    storageClass: 'STANDARD_IA',
  });
  const handle = await m.at('f');
  await m.fs.write(m.context, handle, 1, Buffer.from('X'), 'fileSync');
  const object = m.store.objects.get('f');
  t.equal(object?.body.toString(), 'aXc');
  t.match(object?.headers, {
    contentType: 'text/csv',
    storageClass: 'STANDARD_IA',
    metadata: { owner: 'team-a' },
  });
  t.notOk(object?.headers.metadata['mode'], 'another dialect does not contradict ours');
});

await t.test('truncation either way, append and overwrite in place', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', '0123456789');
  await m.fs.setattr(m.context, handle, { size: 4 });
  await m.fs.setattr(m.context, handle, { size: 6 });
  await m.fs.write(m.context, handle, 6, Buffer.from('end'), 'unstable');
  await m.fs.commit(m.context, handle);
  t.equal(m.bucket()['f'], '0123\0\0end');
});

await t.test('the verifier stays over a clean restart and changes when unstable data was lost', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'x');
  const first = await m.fs.commit(m.context, handle);
  await m.stop();
  await m.open();
  t.same((await m.fs.commit(m.context, handle)).verifier, first.verifier);
  await m.fs.write(m.context, handle, 0, Buffer.from('lost'), 'unstable');
  await m.crash();
  await m.open();
  t.notSame((await m.fs.commit(m.context, handle)).verifier, first.verifier);
  t.equal(await m.read(handle), 'x');
});

await t.test("the store's refusal reaches COMMIT, and the data stays", async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'data', { commit: false });
  m.store.before = (call) => {
    if (call.operation === 'PutObject') throw new FsError('EACCES', 'refused');
  };
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EACCES');
  t.equal(await m.read(handle), 'data');
  m.store.before = undefined;
  await m.fs.commit(m.context, handle);
  t.equal(m.bucket()['f'], 'data');
});

await t.test('a removed file leaves nothing behind', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', Buffer.alloc(100_000), { commit: false });
  await m.remove('f');
  t.strictSame(m.bucket(), {});
  t.equal(await codeOf(() => m.fs.getattr(m.context, handle)), 'ESTALE');
  await m.rest(60_000);
  t.strictSame(m.bucket(), {});
  t.equal(m.budget.usedBytes, 0);
});

await t.test('a streamed file keeps its times without a copy of the object', async (t) => {
  const m = await mounted(t);
  const { handle } = await m.fs.create(m.context, await m.root(), Buffer.from('big'), {
    how: 'guarded',
    attributes: {},
  });
  const chunk = Buffer.alloc(1024 * 1024, 'b');
  for (let i = 0; i < 20; i++) await m.fs.write(m.context, handle, i * chunk.length, chunk, 'unstable');
  m.clock.advance(1500);
  await m.fs.commit(m.context, handle);
  t.strictSame(
    m.store.calls
      .filter(({ key }) => key === 'big')
      .map(({ operation }) => operation)
      .filter((name) => name !== 'HeadObject')
      .sort(),
    ['CompleteMultipartUpload', 'CreateMultipartUpload', 'UploadPart', 'UploadPart', 'UploadPart'],
  );
  const { mtimeNs, ctimeNs } = await m.fs.getattr(m.context, handle);
  m.clock.advance(10_000);
  t.match(await m.fs.getattr(m.context, handle), { mtimeNs, ctimeNs, size: 20 * chunk.length });
  await m.stop();
  await m.open();
  t.match(await m.fs.getattr(m.context, handle), { mtimeNs, ctimeNs }, 'over a restart too');
});

await t.test('parts of an object that somebody replaced meanwhile are refused aloud', async (t) => {
  const m = await mounted(t);
  m.store.putNow('f', Buffer.alloc(100, 'o'));
  const handle = await m.at('f');
  await m.fs.write(m.context, handle, 10, Buffer.from('mine'), 'unstable');
  m.store.putNow('f', Buffer.from('winner'));
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  t.equal(m.bucket()['f'], 'winner');
  t.equal(await m.read(handle), 'winner');
});

await t.test('what a failed COMMIT left is tried again without another call', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'data', { commit: false });
  m.store.before = (call) => {
    if (call.operation === 'PutObject') throw new FsError('EACCES', 'refused');
  };
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EACCES');
  m.store.before = undefined;
  const published = new Promise<void>((resolve) => {
    m.store.after = (call) => {
      if (call.operation === 'PutObject') resolve();
    };
  });
  m.clock.advance(10_000);
  await published;
  t.equal(m.bucket()['f'], 'data');
});

await t.test('a conflict that the background met is told by the next COMMIT', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  await m.fs.write(m.context, handle, 0, Buffer.from('loser'), 'unstable');
  m.store.putNow('f', Buffer.from('winner'));
  await m.rest(6000);
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  t.ok(
    Object.entries(m.bucket()).some(
      ([key, body]) => key.startsWith('f.s3nfsd-conflict-') && body === 'loser',
    ),
  );
});

await t.test('a conflict that a synchronous WRITE met is told by the COMMIT behind it, too', async (t) => {
  const m = await mounted(t);
  const handle = await m.write('f', 'first');
  m.store.putNow('f', Buffer.from('winner'));
  t.equal(await codeOf(m.fs.write(m.context, handle, 0, Buffer.from('loser'), 'fileSync')), 'EIO');
  t.equal(await codeOf(m.fs.commit(m.context, handle)), 'EIO');
  await m.write('f', 'written anew');
  t.equal(m.bucket()['f'], 'written anew');
});
