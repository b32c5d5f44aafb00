/** What each action of a client costs in S3 requests: the exact lists, so that a change of them is a decision. */
import t from 'tap';
import { statusOf } from '../support/nfs-client.js';
import { published, ROOT, runAction, type Action } from './action.js';
import { namesIn, readPath, writeFile } from './fixture.js';

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
    requests: [ROOT],
  },
  {
    name: 'lookup of a file',
    run: ({ nfs, root }) => nfs.lookup(root, 'top'),
    requests: [ROOT, 'HeadObject top'],
  },
  {
    name: 'lookup of what is not there',
    run: async ({ nfs, root }) => {
      t.equal(await statusOf(nfs.lookup(root, 'absent')), 'NFS3ERR_NOENT');
      t.equal(await statusOf(nfs.lookup(root, 'absent too')), 'NFS3ERR_NOENT');
    },
    requests: [ROOT],
  },
  {
    name: 'stat by path, and again',
    run: async ({ nfs, root }) => {
      await nfs.getattr(await nfs.lookupPath(root, 'dir/one'));
      await nfs.getattr(await nfs.lookupPath(root, 'dir/one'));
    },
    requests: [ROOT, 'ListObjectsV2 dir/ delimited', 'HeadObject dir/one'],
  },
  {
    name: 'ls',
    run: async ({ nfs, root }) => namesIn(nfs, await nfs.lookupPath(root, 'dir')),
    requests: [ROOT, 'ListObjectsV2 dir/ delimited'],
  },
  {
    name: 'ls by READDIRPLUS',
    run: async ({ nfs, root }) => nfs.readdirplus(await nfs.lookupPath(root, 'dir')),
    requests: [ROOT, 'ListObjectsV2 dir/ delimited'],
  },
  {
    name: 'cat',
    run: (serving) => readPath(serving, 'dir/one'),
    requests: [ROOT, 'ListObjectsV2 dir/ delimited', 'HeadObject dir/one', 'GetObject dir/one if-match'],
  },
  {
    name: 'cat of each file of a directory, in the order of ls',
    files: Array.from({ length: 12 }, (_, index) => `many/${String.fromCharCode(97 + index)}`),
    run: async (serving) => {
      const { nfs, root } = serving;
      const directory = await nfs.lookupPath(root, 'many');
      for (const name of await namesIn(nfs, directory))
        t.equal((await readPath(serving, `many/${name}`)).toString(), `many/${name}`);
    },
    requests: [
      ROOT,
      'ListObjectsV2 many/ delimited',
      // Put there past the server, they have no checksums: their HEADs have told so.
      ...['a', 'b', 'c'].flatMap((name) => [
        `HeadObject many/${name}`,
        `GetObject many/${name} 0-5 if-match`,
      ]),
      Array.from('defghijkl', (name) => `GetObject many/${name} if-match`),
    ],
  },
  {
    name: 'create of 4 KiB',
    run: (serving) => writeFile(serving, 'new', Buffer.alloc(4096)),
    requests: [ROOT, 'PutObject new if-none-match'],
  },
  {
    name: 'touch of a new file',
    run: (serving) =>
      published(serving, 'PutObject', 'new', () => serving.nfs.create(serving.root, 'new', {})),
    requests: [ROOT, 'PutObject new if-none-match'],
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
    requests: [
      ROOT,
      'PutObject copy if-none-match',
      'CopyObject copy < copy if-match x-amz-copy-source-if-match',
    ],
  },
  {
    name: 'mkdir',
    run: ({ nfs, root }) => nfs.mkdir(root, 'made'),
    requests: [ROOT, 'PutObject made/ if-none-match'],
  },
  {
    name: 'mkdir and rmdir',
    run: async ({ nfs, root }) => {
      await nfs.mkdir(root, 'made');
      await nfs.rmdir(root, 'made');
    },
    requests: [ROOT, 'PutObject made/ if-none-match', 'ListObjectsV2 made/', 'DeleteObject made/ if-match'],
  },
  {
    name: 'rename of a file',
    run: ({ nfs, root }) => nfs.rename(root, 'top', root, 'renamed'),
    requests: [
      ROOT,
      'HeadObject top',
      'HeadObject top',
      'CopyObject renamed < top if-none-match x-amz-copy-source-if-match',
      'DeleteObject top if-match',
    ],
  },
  {
    name: 'save by rename over the old file',
    run: async (serving) => {
      await writeFile(serving, 'top~', 'new content');
      await serving.nfs.rename(serving.root, 'top~', serving.root, 'top');
    },
    requests: [
      ROOT,
      'PutObject top~ if-none-match',
      'HeadObject top',
      'HeadObject top~',
      'CopyObject top < top~ if-match x-amz-copy-source-if-match',
      'DeleteObject top~ if-match',
    ],
  },
  {
    name: 'rename of a directory of two files',
    run: ({ nfs, root }) => nfs.rename(root, 'dir', root, 'moved'),
    requests: [
      ROOT,
      'ListObjectsV2 dir/ delimited',
      'ListObjectsV2 dir/',
      'HeadObject dir/one',
      [
        'ListObjectsV2 dir/',
        'HeadObject dir/one',
        'HeadObject dir/two',
        'CopyObject moved/one < dir/one if-none-match x-amz-copy-source-if-match',
        'CopyObject moved/two < dir/two if-none-match x-amz-copy-source-if-match',
      ],
      'ListObjectsV2 dir/',
      'DeleteObjects',
    ],
  },
  {
    name: 'remove',
    run: ({ nfs, root }) => nfs.remove(root, 'top'),
    requests: [ROOT, 'DeleteObject top if-match'],
  },
  {
    name: 'remove of all files of a directory that has no marker',
    run: async ({ nfs, root }) => {
      const directory = await nfs.lookupPath(root, 'dir');
      await nfs.remove(directory, 'one');
      await nfs.remove(directory, 'two');
    },
    requests: [
      ROOT,
      'ListObjectsV2 dir/ delimited',
      'DeleteObject dir/one if-match',
      'ListObjectsV2 dir/',
      'PutObject dir/ if-none-match',
      'DeleteObject dir/two if-match',
    ],
  },
  {
    name: 'symlink and readlink',
    run: async ({ nfs, root }) => nfs.readlink((await nfs.symlink(root, 'link', 'dir/one')).handle),
    requests: [ROOT, 'PutObject link if-none-match', 'GetObject link if-match'],
  },
  {
    name: 'chmod of a file',
    run: (serving) =>
      published(serving, 'CopyObject', 'top', async () => {
        const { handle } = await serving.nfs.lookup(serving.root, 'top');
        await serving.nfs.setattr(handle, { mode: 0o600 });
      }),
    requests: [ROOT, 'HeadObject top', 'CopyObject top < top if-match x-amz-copy-source-if-match'],
  },
  {
    name: 'chmod of a directory',
    run: async ({ nfs, root }) => nfs.setattr((await nfs.lookup(root, 'dir')).handle, { mode: 0o700 }),
    requests: [ROOT, 'ListObjectsV2 dir/ delimited', 'PutObject dir/ if-none-match'],
  },
  {
    name: 'append to a small file',
    run: async ({ nfs, root }) => nfs.write((await nfs.lookup(root, 'top')).handle, 3, Buffer.from('!')),
    requests: [ROOT, 'HeadObject top', 'GetObject top if-match', 'PutObject top if-match'],
  },
  {
    name: 'truncate and write anew',
    run: (serving) => writeFile(serving, 'top', 'new'),
    requests: [ROOT, 'HeadObject top', 'PutObject top if-match'],
  },
];

for (const action of ACTIONS) await runAction(t, action);
