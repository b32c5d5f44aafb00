/** A directory bucket served: the daemon as it is wired, at the embedded server, with another S3 user beside it. */
import t from 'tap';
import { statusOf } from '../support/nfs-client.js';
import {
  Bucket,
  mount,
  namesIn,
  patternBytes,
  readPath,
  serveBucket,
  serveChild,
  writeFile,
  MIB,
} from './fixture.js';

const BUCKET = 'data--use1-az4--x-s3';
const ALWAYS_ASK = [`s3://${BUCKET}`, '--metadata-ttl', '0'];

await t.test(
  'files are written, read, listed, renamed and removed, and are there after a restart',
  async (t) => {
    const bucket = await Bucket.start(t, [], BUCKET);
    const serving = await serveBucket(t, bucket, ALWAYS_ASK);
    const { nfs, root, daemon } = serving;
    const large = patternBytes(20 * MIB, 7);
    await nfs.mkdir(root, 'dir');
    await writeFile(serving, 'dir/small', 'hello');
    await writeFile(serving, 'dir/large', large);
    t.equal(await bucket.text('dir/small'), 'hello');
    t.ok((await bucket.get('dir/large')).equals(large), 'in parts');
    t.ok((await readPath(serving, 'dir/large')).equals(large));

    await bucket.put('dir/theirs', 'from S3');
    const directory = await nfs.lookupPath(root, 'dir');
    t.same(await namesIn(nfs, directory), ['large', 'small', 'theirs'], 'in order');
    t.equal((await readPath(serving, 'dir/theirs')).toString(), 'from S3');

    const renaming = await bucket.requestsOf(async () => nfs.rename(directory, 'small', root, 'renamed'));
    t.ok(renaming.some(({ operation, key }) => operation === 'RenameObject' && key === 'renamed'));
    t.notOk(
      renaming.some(({ operation }) => operation === 'CopyObject'),
      'nothing is copied',
    );
    t.equal((await readPath(serving, 'renamed')).toString(), 'hello');
    t.equal(await statusOf(nfs.lookup(directory, 'small')), 'NFS3ERR_NOENT');

    await nfs.rename(root, 'dir', root, 'moved');
    t.same((await bucket.keys()).sort(), ['moved/', 'moved/large', 'moved/theirs', 'renamed']);
    await nfs.remove(await nfs.lookupPath(root, 'moved'), 'theirs');
    await nfs.remove(root, 'renamed');
    t.same((await bucket.keys()).sort(), ['moved/', 'moved/large']);
    t.same(await namesIn(nfs, root), ['moved']);
    t.equal(await statusOf(nfs.rmdir(root, 'moved')), 'NFS3ERR_NOTEMPTY');

    await nfs.close();
    await daemon.stop();
    const again = await serveBucket(t, bucket, ALWAYS_ASK);
    t.ok((await readPath(again, 'moved/large')).equals(large));
    await again.nfs.remove(await again.nfs.lookupPath(again.root, 'moved'), 'large');
    await again.nfs.rmdir(again.root, 'moved');
    t.same(await bucket.keys(), []);
    t.same(await namesIn(again.nfs, again.root), []);
  },
);

await t.test(
  'a large file is changed in the middle: its other parts are copied inside the store',
  async (t) => {
    const bucket = await Bucket.start(t, [], BUCKET);
    const serving = await serveBucket(t, bucket, [...ALWAYS_ASK, '--part-size', '5MiB']);
    const content = patternBytes(24 * MIB, 3);
    const handle = await writeFile(serving, 'file', content);
    const change = patternBytes(MIB, 9);
    change.copy(content, 12 * MIB);
    const requests = await bucket.requestsOf(async () => {
      await serving.nfs.write(handle, 12 * MIB, change, 'FILE_SYNC');
    });
    t.ok((await bucket.get('file')).equals(content));
    const count = (operation: string): number => requests.filter((it) => it.operation === operation).length;
    t.equal(count('UploadPartCopy'), 4, 'each by itself: part numbers have no gaps');
    t.equal(count('UploadPart'), 1);
  },
);

await t.test('a directory of more than a page is listed whole and in order, page by page', async (t) => {
  const names = Array.from({ length: 1300 }, (_, n) => `f${String(n).padStart(4, '0')}`);
  const files = [...names.map((name) => `d/${name}`), 'd/sub/below', 'e'];
  const bucket = await Bucket.start(t, files, BUCKET);
  const { nfs, root } = await serveBucket(t, bucket, ALWAYS_ASK);
  t.same(await namesIn(nfs, root), ['d', 'e']);
  const directory = await nfs.lookupPath(root, 'd');
  t.same(await namesIn(nfs, directory), [...names, 'sub']);
  await nfs.remove(directory, 'f0700');
  await bucket.put('d/f0700x', 'new');
  const expected = names.map((name) => (name === 'f0700' ? 'f0700x' : name));
  t.same(await namesIn(nfs, directory), [...expected, 'sub']);
});

await t.test('an upload of somebody else makes no directory', async (t) => {
  const bucket = await Bucket.start(t, ['file'], BUCKET);
  const { nfs, root } = await serveBucket(t, bucket, ALWAYS_ASK);
  await bucket.beginUpload('only/upload');
  t.equal(await statusOf(nfs.lookup(root, 'only')), 'NFS3ERR_NOENT');
  await nfs.mkdir(root, 'only');
  t.same(await namesIn(nfs, root), ['file', 'only']);
  t.same(await namesIn(nfs, await nfs.lookupPath(root, 'only')), []);
  await nfs.rmdir(root, 'only');
  t.equal((await bucket.uploads()).length, 1, 'it is left alone');
});

await t.test('what was committed is there after kill -9 of the daemon', async (t) => {
  const bucket = await Bucket.start(t, [], BUCKET);
  const { child, report } = await serveChild(t, bucket, ALWAYS_ASK);
  const first = await mount(t, report);
  await first.nfs.mkdir(first.root, 'd');
  for (let n = 0; n < 5; n++) await writeFile(first, `d/f${String(n)}`, `content ${String(n)}`);
  await first.nfs.rename(first.root, 'd', first.root, 'e');
  await child.end('SIGKILL');
  const serving = await serveBucket(t, bucket, ALWAYS_ASK);
  const directory = await serving.nfs.lookupPath(serving.root, 'e');
  t.same(await namesIn(serving.nfs, directory), ['f0', 'f1', 'f2', 'f3', 'f4']);
  t.equal((await readPath(serving, 'e/f3')).toString(), 'content 3');
});
