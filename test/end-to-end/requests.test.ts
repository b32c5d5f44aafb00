/** What each action of a client costs in S3 requests: the exact lists, so that a change of them is a decision. */
import t from 'tap';
import { statusOf } from '../support/nfs-client.js';
import { BUCKET, namesIn, readPath, requestLine, serve, writeFile, type Serving } from './fixture.js';

/** There before each action, written by another S3 user; the daemon has seen nothing of it. */
const SEED = ['dir/one', 'dir/two', 'top'];
const LIST = 'ListObjectsV2';

interface Action {
  readonly name: string;
  readonly run: (serving: Serving) => Promise<unknown>;
  readonly requests: readonly string[];
  /** Requests that run at the same time end in any order. */
  readonly anyOrder?: true;
}

/** Runs `change` and waits for the request that publishes it after a rest. */
async function published(
  { bucket }: Serving,
  operation: string,
  key: string,
  change: () => Promise<unknown>,
): Promise<void> {
  const seen = bucket.finished(operation, key);
  await change();
  await seen;
}

const ACTIONS: readonly Action[] = [
  { name: 'nothing', run: ({ nfs }) => nfs.ping(), requests: [] },
  {
    name: 'stat of the root, FSINFO, PATHCONF and FSSTAT as at a mount',
    run: async ({ nfs, root }) => {
      await nfs.getattr(root);
      await nfs.fsinfo(root);
      await nfs.pathconf(root);
      await nfs.fsstat(root);
    },
    requests: [LIST],
  },
  {
    name: 'lookup of a file',
    run: ({ nfs, root }) => nfs.lookup(root, 'top'),
    requests: [LIST, 'HeadObject top'],
  },
  {
    name: 'lookup of what is not there',
    run: async ({ nfs, root }) => {
      t.equal(await statusOf(nfs.lookup(root, 'absent')), 'NFS3ERR_NOENT');
      t.equal(await statusOf(nfs.lookup(root, 'absent too')), 'NFS3ERR_NOENT');
    },
    requests: [LIST],
  },
  {
    name: 'stat by path, and again',
    run: async ({ nfs, root }) => {
      await nfs.getattr(await nfs.lookupPath(root, 'dir/one'));
      await nfs.getattr(await nfs.lookupPath(root, 'dir/one'));
    },
    requests: [LIST, LIST, 'HeadObject dir/one'],
  },
  {
    name: 'ls',
    run: async ({ nfs, root }) => namesIn(nfs, await nfs.lookupPath(root, 'dir')),
    requests: [LIST, LIST],
  },
  {
    name: 'ls by READDIRPLUS',
    run: async ({ nfs, root }) => nfs.readdirplus(await nfs.lookupPath(root, 'dir')),
    requests: [LIST, LIST],
  },
  {
    name: 'cat',
    run: (serving) => readPath(serving, 'dir/one'),
    requests: [LIST, LIST, 'HeadObject dir/one', 'GetObject dir/one'],
  },
  {
    name: 'create of 4 KiB',
    run: (serving) => writeFile(serving, 'new', Buffer.alloc(4096)),
    requests: [LIST, 'PutObject new'],
  },
  {
    name: 'touch of a new file',
    run: (serving) =>
      published(serving, 'PutObject', 'new', () => serving.nfs.create(serving.root, 'new', {})),
    requests: [LIST, 'PutObject new'],
  },
  {
    // SETATTR of mode, times and owner follow the data, as cp -a and tar do it: they become one copy onto itself.
    name: 'cp -a of 4 KiB',
    run: async (serving) => {
      const { nfs, root } = serving;
      const { handle } = await nfs.createExclusive(root, 'copy', Buffer.from('verifier'));
      await nfs.setattr(handle, { mode: 0o600 });
      await nfs.write(handle, 0, Buffer.alloc(4096), 'FILE_SYNC');
      await published(serving, 'CopyObject', 'copy', async () => {
        const mtime = { seconds: 1_000_000_000, nseconds: 4 };
        await Promise.all([
          nfs.setattr(handle, { atime: mtime, mtime }),
          nfs.setattr(handle, { uid: 5, gid: 6 }),
          nfs.setattr(handle, { mode: 0o640 }),
        ]);
      });
    },
    requests: [LIST, 'PutObject copy', 'CopyObject copy'],
  },
  {
    name: 'mkdir',
    run: ({ nfs, root }) => nfs.mkdir(root, 'made'),
    requests: [LIST, 'PutObject made/'],
  },
  {
    name: 'mkdir and rmdir',
    run: async ({ nfs, root }) => {
      await nfs.mkdir(root, 'made');
      await nfs.rmdir(root, 'made');
    },
    requests: [LIST, 'PutObject made/', LIST, 'DeleteObject made/'],
  },
  {
    name: 'rename of a file',
    run: ({ nfs, root }) => nfs.rename(root, 'top', root, 'renamed'),
    requests: [LIST, 'HeadObject top', 'HeadObject top', 'CopyObject renamed', 'DeleteObject top'],
  },
  {
    name: 'save by rename over the old file',
    run: async (serving) => {
      await writeFile(serving, 'top~', 'new content');
      await serving.nfs.rename(serving.root, 'top~', serving.root, 'top');
    },
    requests: [
      LIST,
      'PutObject top~',
      'HeadObject top',
      'HeadObject top~',
      'CopyObject top',
      'DeleteObject top~',
    ],
  },
  {
    name: 'rename of a directory of two files',
    run: ({ nfs, root }) => nfs.rename(root, 'dir', root, 'moved'),
    // The last LIST: only what is still the version that was copied is deleted.
    requests: [
      LIST,
      LIST,
      LIST,
      LIST,
      'HeadObject dir/one',
      'CopyObject moved/one',
      'HeadObject dir/two',
      'CopyObject moved/two',
      'DeleteObjects',
    ],
    anyOrder: true,
  },
  {
    name: 'remove',
    run: ({ nfs, root }) => nfs.remove(root, 'top'),
    requests: [LIST, 'HeadObject top', 'DeleteObject top'],
  },
  {
    name: 'remove of all files of a directory that has no marker',
    run: async ({ nfs, root }) => {
      const directory = await nfs.lookupPath(root, 'dir');
      await nfs.remove(directory, 'one');
      await nfs.remove(directory, 'two');
    },
    requests: [
      LIST,
      LIST,
      'HeadObject dir/one',
      'DeleteObject dir/one',
      'HeadObject dir/two',
      'DeleteObject dir/two',
      LIST,
      'PutObject dir/',
    ],
  },
  {
    name: 'symlink and readlink',
    run: async ({ nfs, root }) => nfs.readlink((await nfs.symlink(root, 'link', 'dir/one')).handle),
    requests: [LIST, 'PutObject link', 'GetObject link'],
  },
  {
    name: 'chmod of a file',
    run: (serving) =>
      published(serving, 'CopyObject', 'top', async () => {
        const { handle } = await serving.nfs.lookup(serving.root, 'top');
        await serving.nfs.setattr(handle, { mode: 0o600 });
      }),
    requests: [LIST, 'HeadObject top', 'CopyObject top'],
  },
  {
    name: 'chmod of a directory',
    run: async ({ nfs, root }) => nfs.setattr((await nfs.lookup(root, 'dir')).handle, { mode: 0o700 }),
    requests: [LIST, LIST, 'PutObject dir/'],
  },
  {
    name: 'append to a small file',
    run: async ({ nfs, root }) => nfs.write((await nfs.lookup(root, 'top')).handle, 3, Buffer.from('!')),
    requests: [LIST, 'HeadObject top', 'GetObject top', 'PutObject top'],
  },
  {
    name: 'truncate and write anew',
    run: (serving) => writeFile(serving, 'top', 'new'),
    requests: [LIST, 'HeadObject top', 'PutObject top'],
  },
];

for (const { name, run, requests, anyOrder } of ACTIONS) {
  await t.test(name, async (t) => {
    // Whatever the machine is doing meanwhile: nothing is asked for twice because it took long.
    const serving = await serve(t, [`s3://${BUCKET}`, '--metadata-ttl', '1h']);
    for (const key of SEED) await serving.bucket.put(key, key);
    const made = (await serving.bucket.requestsOf(() => run(serving))).map(requestLine);
    if (anyOrder) t.same(made.sort(), [...requests].sort());
    else t.same(made, requests);
  });
}
