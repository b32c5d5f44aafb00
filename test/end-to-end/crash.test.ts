/**
 * The daemon is killed (SIGKILL) at the moment its reply has arrived, and started again with the same state directory: what was
 * answered is there. One life of the daemon after the other; each checks what the one before promised.
 */
import t, { type Test } from 'tap';
import { statusOf } from '../support/nfs-client.js';
import { Bucket, mount, namesIn, patternBytes, serveChild, MIB, type Mounted } from './fixture.js';

// Twenty lives of the daemon, one after the other: no measure of anything, on a busy machine.
t.setTimeout(300_000);

/** What a promise left behind, looked at after the crash through the mount and in the bucket. */
type Check = (mounted: Mounted) => Promise<unknown>;

interface Promised {
  readonly name: string;
  /** Ends with the reply that makes the promise. */
  readonly before: (mounted: Mounted) => Promise<Check>;
}

const promises = (t: Test, bucket: Bucket): readonly Promised[] => [
  {
    name: 'COMMIT',
    before: async ({ nfs, root }) => {
      const data = patternBytes(3 * MIB + 5);
      const { handle } = await nfs.create(root, 'committed', { mode: 0o604 });
      await nfs.writeFile(handle, data);
      return async (after) => {
        t.ok((await after.nfs.readFile(handle)).equals(data));
        t.equal((await after.nfs.getattr(handle)).mode, 0o604);
        t.ok((await bucket.get('committed')).equals(data));
      };
    },
  },
  {
    name: 'COMMIT of a file of several parts',
    before: async ({ nfs, root }) => {
      const data = patternBytes(20 * MIB, 2);
      const { handle } = await nfs.create(root, 'large', {});
      await nfs.writeFile(handle, data);
      return async (after) => {
        t.ok((await after.nfs.readFile(handle)).equals(data));
        t.ok((await bucket.get('large')).equals(data));
      };
    },
  },
  {
    name: 'WRITE with FILE_SYNC',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.create(root, 'synced', {});
      await nfs.write(handle, 0, Buffer.from('synced'), 'FILE_SYNC');
      return async (after) => {
        t.equal((await after.nfs.readFile(handle)).toString(), 'synced');
        t.equal(await bucket.text('synced'), 'synced');
      };
    },
  },
  {
    name: 'WRITE with DATA_SYNC into an object',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'synced');
      await nfs.write(handle, 6, Buffer.from(' again'), 'DATA_SYNC');
      return async () => t.equal(await bucket.text('synced'), 'synced again');
    },
  },
  {
    name: 'CREATE',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.create(root, 'created', { mode: 0o640, uid: 12 }, 'GUARDED');
      return async (after) => {
        t.match(await after.nfs.getattr(handle), { type: 'NF3REG', mode: 0o640, uid: 12, size: 0n });
        t.same((await after.nfs.lookup(after.root, 'created')).handle, handle);
        t.equal((await bucket.get('created')).length, 0);
      };
    },
  },
  {
    name: 'CREATE EXCLUSIVE: the same verifier is a retransmission, another finds the file',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.createExclusive(root, 'exclusive', Buffer.from('verify 1'));
      return async (after) => {
        const again = await after.nfs.createExclusive(after.root, 'exclusive', Buffer.from('verify 1'));
        t.same(again.handle, handle);
        const other = after.nfs.createExclusive(after.root, 'exclusive', Buffer.from('verify 2'));
        t.equal(await statusOf(other), 'NFS3ERR_EXIST');
      };
    },
  },
  {
    name: 'MKDIR and a file in it',
    before: async ({ nfs, root }) => {
      const { handle: directory } = await nfs.mkdir(root, 'made', { mode: 0o711 });
      const { handle } = await nfs.create(directory, 'file', {});
      return async (after) => {
        t.equal((await after.nfs.getattr(directory)).mode, 0o711);
        t.same((await after.nfs.lookup(directory, 'file')).handle, handle);
        t.same(await bucket.keys('made/'), ['made/', 'made/file']);
      };
    },
  },
  {
    name: 'SYMLINK',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.symlink(root, 'link', 'made/file');
      return async (after) => t.equal((await after.nfs.readlink(handle)).toString(), 'made/file');
    },
  },
  {
    name: 'SETATTR',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'committed');
      const changes = { mode: 0o755, uid: 77, gid: 78, mtime: { seconds: 1_000_000_000, nseconds: 7 } };
      await nfs.setattr(handle, changes);
      return async (after) => {
        t.match(await after.nfs.getattr(handle), changes);
        t.match((await bucket.head('committed')).Metadata, {
          'file-permissions': '0100755',
          'file-owner': '77',
          'file-mtime': '1000000000000000007ns',
        });
        t.ok((await bucket.get('committed')).equals(patternBytes(3 * MIB + 5)), 'the bytes are as they were');
      };
    },
  },
  {
    name: 'SETATTR of the size',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'committed');
      await nfs.setattr(handle, { size: 1000 });
      return async (after) => {
        t.ok((await after.nfs.readFile(handle)).equals(patternBytes(3 * MIB + 5).subarray(0, 1000)));
        t.equal((await bucket.get('committed')).length, 1000);
      };
    },
  },
  {
    name: 'SETATTR of the size of a new file, larger',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.create(root, 'sparse', {});
      await nfs.setattr(handle, { size: 5000 });
      return async (after) => {
        t.ok((await after.nfs.readFile(handle)).equals(Buffer.alloc(5000)));
      };
    },
  },
  {
    name: 'RENAME of a file, over another',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'synced');
      const { handle: replaced } = await nfs.lookup(root, 'created');
      await nfs.rename(root, 'synced', root, 'created');
      return async (after) => {
        t.same((await after.nfs.lookup(after.root, 'created')).handle, handle);
        t.equal(await statusOf(after.nfs.lookup(after.root, 'synced')), 'NFS3ERR_NOENT');
        t.equal(await statusOf(after.nfs.getattr(replaced)), 'NFS3ERR_STALE');
        t.equal(await bucket.text('created'), 'synced again');
        t.same(await bucket.keys('synced'), []);
      };
    },
  },
  {
    name: 'RENAME of a file that was never published',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.create(root, 'brand new', { mode: 0o600 });
      await nfs.rename(root, 'brand new', root, 'newer');
      return async (after) => {
        t.same((await after.nfs.lookup(after.root, 'newer')).handle, handle);
        t.equal((await after.nfs.getattr(handle)).mode, 0o600);
        t.same(await bucket.keys('brand'), []);
      };
    },
  },
  {
    name: 'RENAME of a directory',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'made');
      const file = await nfs.lookupPath(root, 'made/file');
      await nfs.rename(root, 'made', root, 'moved');
      return async (after) => {
        t.same((await after.nfs.lookup(after.root, 'moved')).handle, handle);
        t.same(await after.nfs.lookupPath(after.root, 'moved/file'), file);
        t.same(await bucket.keys('m'), ['moved/', 'moved/file']);
      };
    },
  },
  {
    name: 'REMOVE, of an object and of a file that was never published',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'newer');
      const { handle: brief } = await nfs.create(root, 'brief', {});
      await nfs.remove(root, 'newer');
      await nfs.remove(root, 'brief');
      return async (after) => {
        for (const gone of [handle, brief]) t.equal(await statusOf(after.nfs.getattr(gone)), 'NFS3ERR_STALE');
        t.same(await bucket.keys('newer'), []);
        t.same(await bucket.keys('brief'), []);
      };
    },
  },
  {
    name: 'WRITE without COMMIT: asked for again by the verifier, never half there',
    before: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'created');
      const { verf } = await nfs.write(handle, 0, Buffer.from('SYNCED'), 'UNSTABLE');
      const { handle: large } = await nfs.create(root, 'half', {});
      for (let at = 0; at < 20; at++) await nfs.write(large, at * MIB, patternBytes(MIB, at + 1), 'UNSTABLE');
      return async (after) => {
        t.notSame((await after.nfs.commit(handle)).verf, verf);
        t.equal((await after.nfs.readFile(handle)).toString(), 'synced again');
        t.equal((await after.nfs.getattr(large)).size, 0n, 'CREATE was promised, the data was not');
        await after.nfs.write(handle, 0, Buffer.from('SYNCED'), 'FILE_SYNC');
        t.equal(await bucket.text('created'), 'SYNCED again');
      };
    },
  },
];

await t.test('after kill -9 and restart everything that was answered is there', async (t) => {
  const bucket = await Bucket.start(t);
  const foreignUpload = await bucket.beginUpload('foreign');
  let checkLast: Check = () => Promise.resolve();
  for (const { name, before } of promises(t, bucket)) {
    const { child, report } = await serveChild(t, bucket);
    const mounted = await mount(t, report);
    await checkLast(mounted);
    t.comment(name);
    checkLast = await before(mounted);
    await child.end('SIGKILL');
  }
  const { child, report } = await serveChild(t, bucket);
  const mounted = await mount(t, report);
  await checkLast(mounted);
  t.same((await namesIn(mounted.nfs, mounted.root)).sort(), [
    'committed',
    'created',
    'exclusive',
    'half',
    'large',
    'link',
    'moved',
    'sparse',
  ]);
  t.same(
    await bucket.uploads(),
    [foreignUpload],
    'uploads of this daemon are ended, those of others are not touched',
  );
  const ended = await child.end('SIGTERM');
  t.equal(ended.code, 0, ended.stderr.join('\n'));
});

await t.test('policy journal: after kill -9 and restart everything that was answered is there', async (t) => {
  const bucket = await Bucket.start(t);
  const args = ['s3://data', '--commit-policy', 'journal', '--journal-rest', '1h'];
  const small = patternBytes(5000, 3);
  const large = patternBytes(20 * MIB + 7, 4);
  const first = await serveChild(t, bucket, args);
  const { nfs, root } = await mount(t, first.report);
  const files = {
    small: (await nfs.create(root, 'small', { mode: 0o604 })).handle,
    large: (await nfs.create(root, 'large', {})).handle,
  };
  await nfs.write(files.small, 0, small, 'FILE_SYNC');
  await nfs.writeFile(files.large, large);
  t.same(await bucket.keys(''), [], 'nothing is in the bucket yet');
  await first.child.end('SIGKILL');
  const second = await serveChild(t, bucket, args);
  t.ok((await bucket.get('small')).equals(small), 'published before the daemon serves');
  t.ok((await bucket.get('large')).equals(large));
  const after = await mount(t, second.report);
  t.ok((await after.nfs.readFile(files.large)).equals(large));
  t.equal((await after.nfs.getattr(files.small)).mode, 0o604);
  t.same(await bucket.uploads(), []);
  // SIGTERM publishes what is pending.
  await after.nfs.write(files.small, 0, Buffer.from('again'), 'FILE_SYNC');
  t.ok((await bucket.get('small')).equals(small));
  t.equal((await second.child.end('SIGTERM')).code, 0);
  t.equal((await bucket.get('small')).subarray(0, 5).toString(), 'again');
});

await t.test('the write verifier stays over a drain and changes with a crash', async (t) => {
  const bucket = await Bucket.start(t, ['large']);
  const verifierOf = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const { child, report } = await serveChild(t, bucket);
    const { nfs, root } = await mount(t, report);
    const { handle } = await nfs.lookup(root, 'large');
    const { verf } = await nfs.commit(handle);
    const second = await nfs.write((await nfs.create(root, 'other', {})).handle, 0, Buffer.from('x'));
    t.same(second.verf, verf, 'one verifier for all files');
    await child.end(signal);
    return verf.toString('hex');
  };
  const first = await verifierOf('SIGTERM');
  t.equal(await verifierOf('SIGKILL'), first);
  t.not(await verifierOf('SIGTERM'), first);
});
