/** Objects and names, reading, attributes: what design calls promises, between an NFS client and another user of the bucket. */
import t from 'tap';
import { statusOf } from '../support/nfs-client.js';
import {
  Bucket,
  BUCKET,
  mount,
  namesIn,
  patternBytes,
  readPath,
  serve,
  serveBucket,
  writeFile,
  MIB,
} from './fixture.js';
import { countsOf } from '../support/request-log.js';

/** Nothing is believed that S3 said before: what somebody else did is seen at once. */
const ALWAYS_ASK = [`s3://${BUCKET}`, '--metadata-ttl', '0'];

await t.test('key a/b/c is file c in directory a/b, and the other way round', async (t) => {
  const serving = await serve(t);
  const { bucket, nfs, root } = serving;
  await bucket.put('a/b/c', 'from S3');
  t.equal((await readPath(serving, 'a/b/c')).toString(), 'from S3');
  t.same(await namesIn(nfs, await nfs.lookupPath(root, 'a')), ['b']);
  await nfs.mkdir(root, 'x');
  await nfs.mkdir(await nfs.lookupPath(root, 'x'), 'y');
  await writeFile(serving, 'x/y/z', 'from NFS');
  t.equal(await bucket.text('x/y/z'), 'from NFS');
  t.same(await bucket.keys(), ['a/b/c', 'x/', 'x/y/', 'x/y/z']);
});

await t.test('a directory exists while a key lies under it or a marker does', async (t) => {
  const { bucket, nfs, root } = await serve(t, ALWAYS_ASK);
  await bucket.put('implied/file', '');
  await bucket.put('marked/', '');
  t.same((await namesIn(nfs, root)).sort(), ['implied', 'marked']);
  t.equal((await nfs.getattr(await nfs.lookupPath(root, 'marked'))).type, 'NF3DIR');
  await bucket.delete('implied/file');
  await bucket.delete('marked/');
  t.same(await namesIn(nfs, root), []);
  t.equal(await statusOf(nfs.lookup(root, 'implied')), 'NFS3ERR_NOENT');
});

await t.test('removing the last file keeps the directory', async (t) => {
  const { bucket, nfs, root } = await serve(t, ALWAYS_ASK);
  await bucket.put('implied/file', '');
  const directory = await nfs.lookupPath(root, 'implied');
  await nfs.remove(directory, 'file');
  t.same(await namesIn(nfs, directory), []);
  t.same(await bucket.keys(), ['implied/']);
});

await t.test('names are UTF-8 and compared as bytes; others are refused', async (t) => {
  const serving = await serve(t);
  const { bucket, nfs, root } = serving;
  const names = [
    'é',
    'e\u0301',
    'É',
    '日本',
    '😀',
    'a b+c%20&<>"\'',
    '\u0001',
    '\\',
    '*',
    '~',
    '-',
    '\u{ffff}',
  ];
  for (const name of names) await writeFile(serving, name, name);
  t.same((await namesIn(nfs, root)).sort(), [...names].sort());
  t.same((await bucket.keys()).sort(), [...names].sort());
  for (const name of names) t.equal((await readPath(serving, name)).toString(), name);
  t.equal(await statusOf(nfs.create(root, Buffer.from([0xff, 0xfe]))), 'NFS3ERR_INVAL');
  t.equal(await statusOf(nfs.create(root, Buffer.from('a\0b'))), 'NFS3ERR_INVAL');
  t.equal(await statusOf(nfs.create(root, 'a/b')), 'NFS3ERR_INVAL');
  t.equal(await statusOf(nfs.create(root, '')), 'NFS3ERR_INVAL');
  t.equal(await statusOf(nfs.create(root, 'x'.repeat(256))), 'NFS3ERR_NAMETOOLONG');
});

await t.test('keys that can’t be a path are hidden, and never lost', async (t) => {
  const { bucket, nfs, root } = await serve(t);
  const odd = ['a//b', 'both', 'both/inside', `long/${'x'.repeat(256)}`];
  for (const key of [...odd, 'plain']) await bucket.put(key, key);
  t.same((await namesIn(nfs, root)).sort(), ['a', 'both', 'long', 'plain']);
  t.equal((await nfs.lookup(root, 'both')).attributes?.type, 'NF3DIR', 'the directory is shown');
  t.same(await namesIn(nfs, await nfs.lookupPath(root, 'long')), []);
  t.equal(await statusOf(nfs.rmdir(root, 'long')), 'NFS3ERR_NOTEMPTY', 'the hidden key keeps it');
  t.equal(await statusOf(nfs.rmdir(root, 'a')), 'NFS3ERR_NOTEMPTY');
  for (const key of odd) t.equal(await bucket.text(key), key);
});

await t.test('handles and fileids stay the same across rename and overwrite by other S3 users', async (t) => {
  const serving = await serve(t, ALWAYS_ASK);
  const { bucket, nfs, root } = serving;
  const handle = await writeFile(serving, 'name', 'first');
  const before = await nfs.getattr(handle);
  await bucket.put('name', 'second, longer');
  const overwritten = await nfs.getattr(handle);
  t.equal(overwritten.fileid, before.fileid);
  t.equal(Number(overwritten.size), 'second, longer'.length);
  t.notSame(overwritten.ctime, before.ctime);
  await nfs.rename(root, 'name', root, 'other');
  t.equal((await nfs.getattr(handle)).fileid, before.fileid);
  t.same((await nfs.lookup(root, 'other')).handle, handle);
  t.equal((await nfs.readFile(handle)).toString(), 'second, longer');
});

await t.test('a handle is never reused for another file', async (t) => {
  const serving = await serve(t, ALWAYS_ASK);
  const { bucket, nfs, root } = serving;
  const handles = [await writeFile(serving, 'name', 'first')];
  for (const content of ['second', 'third']) {
    await nfs.remove(root, 'name');
    handles.push(await writeFile(serving, 'name', content));
  }
  await bucket.delete('name');
  t.equal(await statusOf(nfs.lookup(root, 'name')), 'NFS3ERR_NOENT');
  await bucket.put('name', 'fourth');
  handles.push((await nfs.lookup(root, 'name')).handle);
  t.equal(new Set(handles.map((handle) => handle.toString('hex'))).size, 4);
  for (const gone of handles.slice(0, 3)) t.equal(await statusOf(nfs.getattr(gone)), 'NFS3ERR_STALE');
});

await t.test('a reader sees one version of an object, never a mix of two', async (t) => {
  const serving = await serve(t, ALWAYS_ASK);
  const { bucket, nfs, root } = serving;
  const size = 4 * MIB;
  await bucket.put('big', Buffer.alloc(size, 'a'));
  const { handle } = await nfs.lookup(root, 'big');
  t.ok((await nfs.read(handle, 0, 65536)).data.equals(Buffer.alloc(65536, 'a')));
  for (const letter of ['b', 'c', 'd']) {
    const reading = nfs.readRange(handle, 0, size, { transferBytes: 131072 });
    await Promise.all([reading, bucket.put('big', Buffer.alloc(size, letter))]);
    for (let at = 0; at < size; at += 131072) {
      const { data } = await nfs.read(handle, at, 131072);
      t.ok(data.equals(Buffer.alloc(data.length, data[0])), 'no READ mixes two versions');
    }
    t.ok((await nfs.readFile(handle)).equals(Buffer.alloc(size, letter)), 'the next READ sees the new one');
  }
});

await t.test('another S3 user’s change is seen within the metadata TTL', async (t) => {
  const serving = await serve(t, [`s3://${BUCKET}`, '--metadata-ttl', '200ms']);
  const { bucket, nfs, root } = serving;
  await bucket.put('file', 'old');
  t.equal((await readPath(serving, 'file')).toString(), 'old');
  const { handle } = await nfs.lookup(root, 'file');
  await bucket.put('file', 'newer');
  const since = performance.now();
  while ((await nfs.readFile(handle)).toString() !== 'newer') {
    if (performance.now() - since > 2000) t.bailout('the new content is not seen after ten times the TTL');
  }
  t.equal((await readPath(serving, 'file')).toString(), 'newer');
});

await t.test('data that isn’t published yet is readable through the mount at once', async (t) => {
  const { bucket, nfs, root } = await serve(t);
  const { handle } = await nfs.create(root, 'file', {});
  await nfs.write(handle, 2, Buffer.from('data'), 'UNSTABLE');
  t.equal((await nfs.readFile(handle)).toString('latin1'), '\0\0data');
  t.equal(Number((await nfs.getattr(handle)).size), 6);
  t.same(await bucket.keys(), []);
  t.same(await namesIn(nfs, root), ['file']);
});

await t.test(
  'mode, owner, times are kept on the object in one documented dialect, exact to the nanosecond',
  async (t) => {
    const serving = await serve(t);
    const { bucket, nfs } = serving;
    const handle = await writeFile(serving, 'file', 'content');
    const copied = bucket.requests.next('CopyObject', 'file');
    const atime = { seconds: 1_111_111_111, nseconds: 123_456_789 };
    const mtime = { seconds: 1_222_222_222, nseconds: 987_654_321 };
    await nfs.setattr(handle, { mode: 0o4751, uid: 1234, gid: 5678, atime, mtime });
    t.match(await nfs.getattr(handle), { mode: 0o4751, uid: 1234, gid: 5678, atime, mtime });
    await copied;
    t.same((await bucket.head('file')).Metadata, {
      'file-permissions': '0104751',
      'file-owner': '1234',
      'file-group': '5678',
      'file-atime': '1111111111123456789ns',
      'file-mtime': '1222222222987654321ns',
    });
    t.equal(await bucket.text('file'), 'content');
  },
);

await t.test('attributes are read in all common dialects', async (t) => {
  const { bucket, nfs, root } = await serve(t);
  await bucket.put('fsx', '', {
    Metadata: {
      'file-permissions': '0100711',
      'file-owner': '7',
      'file-group': '8',
      'file-mtime': '1500000000000000001ns',
    },
  });
  await bucket.put('s3fs', '', { Metadata: { mode: '33252', uid: '9', gid: '10', mtime: '1500000001' } });
  await bucket.put('rclone', '', { Metadata: { mtime: '1500000002.000000003' } });
  await bucket.put('none', '');
  const stat = async (name: string) => nfs.getattr((await nfs.lookup(root, name)).handle);
  t.match(await stat('fsx'), { mode: 0o711, uid: 7, gid: 8, mtime: { seconds: 1_500_000_000, nseconds: 1 } });
  t.match(await stat('s3fs'), {
    mode: 0o744,
    uid: 9,
    gid: 10,
    mtime: { seconds: 1_500_000_001, nseconds: 0 },
  });
  t.match(await stat('rclone'), { mode: 0o644, mtime: { seconds: 1_500_000_002, nseconds: 3 } });
  const { LastModified } = await bucket.head('none');
  t.equal((await stat('none')).mtime.seconds, (LastModified?.getTime() ?? 0) / 1000);
});

await t.test('directories and symlinks carry their attributes, too', async (t) => {
  const { bucket, nfs, root } = await serve(t);
  const { handle: directory } = await nfs.mkdir(root, 'dir', { mode: 0o2775 });
  const mtime = { seconds: 1_000_000_001, nseconds: 2 };
  await nfs.setattr(directory, { mtime, uid: 11 });
  t.match((await bucket.head('dir/')).Metadata, {
    'file-permissions': '042775',
    'file-owner': '11',
    'file-mtime': '1000000001000000002ns',
  });
  const { handle: link, attributes } = await nfs.symlink(root, 'link', 'dir/é');
  t.equal(attributes?.type, 'NF3LNK');
  t.equal((await nfs.readlink(link)).toString(), 'dir/é');
  t.equal(await bucket.text('link'), 'dir/é');
  t.match((await bucket.head('link')).Metadata?.['file-permissions'], /^0120/);
});

await t.test('foreign user metadata and content type survive rewrites', async (t) => {
  const serving = await serve(t);
  const { bucket, nfs, root } = serving;
  const foreign = { Metadata: { colour: 'blue' }, ContentType: 'text/x-poem', CacheControl: 'no-cache' };
  await bucket.put('file', 'roses', foreign);
  const { handle } = await nfs.lookup(root, 'file');
  await nfs.write(handle, 0, Buffer.from('R'));
  t.match(await bucket.head('file'), foreign, 'after a WRITE');
  const copied = bucket.requests.next('CopyObject', 'file');
  await nfs.setattr(handle, { mode: 0o600 });
  await copied;
  t.match(await bucket.head('file'), foreign, 'after chmod');
  await nfs.rename(root, 'file', root, 'poem');
  t.match(await bucket.head('poem'), foreign, 'after rename');
  await writeFile(serving, 'poem', 'violets');
  t.match(await bucket.head('poem'), foreign, 'after truncate and write');
});

await t.test('ctime changes at every change; directory times move when children change', async (t) => {
  const serving = await serve(t);
  const { nfs, root } = serving;
  const { handle } = await nfs.create(root, 'file', {});
  const ctimes = new Set<string>();
  const note = async (object: Buffer) => {
    const { ctime } = await nfs.getattr(object);
    ctimes.add(`${ctime.seconds}.${ctime.nseconds}`);
  };
  await note(handle);
  for (let round = 0; round < 5; round++) {
    await nfs.write(handle, round, Buffer.from('x'), 'UNSTABLE');
    await note(handle);
    await nfs.setattr(handle, { mode: 0o600 + round });
    await note(handle);
  }
  t.equal(ctimes.size, 11);
  ctimes.clear();
  await note(root);
  await nfs.mkdir(root, 'dir');
  await note(root);
  await nfs.rename(root, 'file', root, 'renamed');
  await note(root);
  await nfs.remove(root, 'renamed');
  await note(root);
  await nfs.rmdir(root, 'dir');
  await note(root);
  t.equal(ctimes.size, 5);
});

await t.test(
  'READDIRPLUS of 3,000 entries: each once, with attributes and handles, and no HEAD',
  async (t) => {
    const names = Array.from({ length: 3000 }, (_, index) => `file-${String(index).padStart(5, '0')}`);
    const bucket = await Bucket.start(
      t,
      names.map((name) => `many/${name}`),
    );
    const { nfs, root } = await serveBucket(t, bucket, [`s3://${BUCKET}`, '--metadata-ttl', '1h']);
    const directory = await nfs.lookupPath(root, 'many');
    let entries: Awaited<ReturnType<typeof nfs.readdirplus>> = [];
    const requests = await bucket.requestsOf(async () => {
      entries = await nfs.readdirplus(directory, 32 * 1024, 4096);
    });
    t.same(
      entries
        .map(({ name }) => name.toString())
        .filter((name) => !name.startsWith('.'))
        .sort(),
      names,
    );
    // The first page of three came with the LOOKUP of the directory.
    t.same(countsOf(requests), { ListObjectsV2: 2 });
    for (const { name_handle, fileid } of entries.slice(2, 12)) {
      t.ok(name_handle);
      if (name_handle !== undefined) t.equal((await nfs.getattr(name_handle)).fileid, fileid);
    }
  },
);

await t.test('READDIR survives entries coming and going and a restart in between', async (t) => {
  const serving = await serve(t, ALWAYS_ASK);
  const { bucket, nfs, root, daemon } = serving;
  for (let index = 0; index < 60; index++) await bucket.put(`dir/f${index}`, '');
  const directory = await nfs.lookupPath(root, 'dir');
  const cookieverf = Buffer.alloc(8);
  const page = { dir: directory, cookieverf, count: 1024 };
  const first = await nfs.call('READDIR', { ...page, cookie: 0n });
  const seen = first.reply.entries.map(({ name }) => name.toString());
  t.notOk(first.reply.eof);
  const last = first.reply.entries.at(-1);
  await nfs.remove(directory, last?.name ?? '');
  await bucket.put('dir/came', '');
  await daemon.stop();
  const again = await serveBucket(t, bucket, ALWAYS_ASK);
  for (let cookie = last?.cookie ?? 0n, eof = false; !eof;) {
    const next = await again.nfs.call('READDIR', { ...page, cookieverf: first.cookieverf, cookie });
    seen.push(...next.reply.entries.map(({ name }) => name.toString()));
    cookie = next.reply.entries.at(-1)?.cookie ?? cookie;
    eof = next.reply.eof;
  }
  const files = seen.filter((name) => /^f\d+$/.test(name));
  t.equal(files.length, 60, 'every entry that was there all the time, and the removed one');
  t.equal(new Set(files).size, 60, 'once');
});

await t.test('fsid and fileid are the same for every client and after a restart', async (t) => {
  const serving = await serve(t, [`s3://${BUCKET}`, `s3://${BUCKET}/sub/`]);
  const { bucket, daemon } = serving;
  await bucket.put('sub/other', '');
  await writeFile(serving, 'sub/file', patternBytes(10));
  const paths = ['/data', '/data/sub'];
  const look = async (report: typeof daemon.report) => {
    const stats = [];
    for (const path of paths) {
      const client = await mount(t, report, { path });
      const { fsid, fileid } = await client.nfs.getattr(client.root);
      stats.push({ fsid, fileid });
    }
    return stats;
  };
  const before = await look(daemon.report);
  t.not(before[0]?.fsid, before[1]?.fsid, 'an fsid per export');
  await daemon.stop();
  const again = await serveBucket(t, bucket, [`s3://${BUCKET}`, `s3://${BUCKET}/sub/`]);
  t.same(await look(again.daemon.report), before);
});
