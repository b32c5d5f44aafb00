/** The cost in S3 requests of what is large or many: files of many parts, ranges, long listings, files by the hundred. */
import t from 'tap';
import { published, ROOT, runAction, type Action } from './action.js';
import { MIB, namesIn, patternBytes, readPath, writeFile } from './fixture.js';

const ACTIONS: readonly Action[] = [
  {
    name: 'read of 4 KiB in a file of 4 KiB',
    seed: { small: patternBytes(4096) },
    run: (serving) => readPath(serving, 'small'),
    requests: [ROOT, 'HeadObject small', 'GetObject small if-match'],
  },
  {
    name: 'read of 4 KiB in the middle of 64 MiB',
    seed: { big: patternBytes(64 * MIB) },
    run: async ({ nfs, root }) => nfs.read((await nfs.lookup(root, 'big')).handle, 32 * MIB, 4096),
    requests: [ROOT, 'HeadObject big', 'GetObject big 33554432-33558527 if-match'],
  },
  {
    name: 'read of 32 MiB from beginning to end',
    seed: { big: patternBytes(32 * MIB) },
    run: (serving) => readPath(serving, 'big'),
    requests: [ROOT, 'HeadObject big'],
    gets: { first: 0, last: 32 * MIB - 1, bytesMax: 32 * MIB, countMax: 16 },
  },
  {
    name: 'ls of 2,500 entries',
    files: Array.from({ length: 2500 }, (_, n) => `many/${String(n).padStart(4, '0')}`),
    run: async ({ nfs, root }) => namesIn(nfs, await nfs.lookupPath(root, 'many')),
    requests: [
      ROOT,
      // The page that tells of the directory is the scan's first, and from there on it goes by tokens.
      'ListObjectsV2 many/ delimited',
      'ListObjectsV2 many/ delimited continued',
      'ListObjectsV2 many/ delimited continued',
    ],
  },
  {
    name: 'ls -l of 20 entries',
    files: Array.from({ length: 20 }, (_, n) => `many/${String(n).padStart(2, '0')}`),
    run: async ({ nfs, root }) => {
      const entries = await nfs.readdirplus(await nfs.lookupPath(root, 'many'));
      for (const { name_handle } of entries) if (name_handle !== undefined) await nfs.getattr(name_handle);
    },
    requests: [
      ROOT,
      'ListObjectsV2 many/ delimited',
      ...Array.from({ length: 20 }, (_, n) => `HeadObject many/${String(n).padStart(2, '0')}`),
    ],
  },
  {
    name: 'overwrite in place of 4 KiB in 64 MiB',
    seed: { big: patternBytes(64 * MIB) },
    run: async ({ nfs, root }) =>
      nfs.write((await nfs.lookup(root, 'big')).handle, 20 * MIB, Buffer.alloc(4096), 'FILE_SYNC'),
    requests: [
      ROOT,
      'HeadObject big',
      'CreateMultipartUpload big',
      // Of the part of 8 MiB that is changed, the last 5 MiB, which is the least part, and of those what wasn't written.
      [
        'UploadPartCopy big #1 < big 0-19922943 x-amz-copy-source-if-match',
        'GetObject big 19922944-25165823 if-match',
        'UploadPart big #3',
        'UploadPartCopy big #4 < big 25165824-67108863 x-amz-copy-source-if-match',
      ],
      'CompleteMultipartUpload big if-match',
    ],
  },
  {
    name: 'append of 4 KiB to 64 MiB',
    seed: { big: patternBytes(64 * MIB) },
    run: async ({ nfs, root }) =>
      nfs.write((await nfs.lookup(root, 'big')).handle, 64 * MIB, Buffer.alloc(4096), 'FILE_SYNC'),
    requests: [
      ROOT,
      'HeadObject big',
      'CreateMultipartUpload big',
      ['UploadPart big #9', 'UploadPartCopy big #1 < big 0-67108863 x-amz-copy-source-if-match'],
      'CompleteMultipartUpload big if-match',
    ],
  },
  {
    name: 'create of 40 MiB',
    run: (serving) => writeFile(serving, 'new', patternBytes(40 * MIB)),
    // CREATE was published meanwhile, after its rest.
    or: [
      ROOT,
      [
        'PutObject new if-none-match',
        'CreateMultipartUpload new',
        ...Array.from({ length: 5 }, (_, n) => `UploadPart new #${String(n + 1)}`),
        'CompleteMultipartUpload new if-match',
      ],
    ],
    requests: [
      ROOT,
      'CreateMultipartUpload new',
      [
        'UploadPart new #1',
        'UploadPart new #3',
        'UploadPart new #5',
        'UploadPart new #2',
        'UploadPart new #4',
      ],
      'CompleteMultipartUpload new if-none-match',
    ],
  },
  {
    name: 'truncate of a small file to half',
    run: (serving) =>
      published(serving, 'PutObject', 'top', async () => {
        const { handle } = await serving.nfs.lookup(serving.root, 'top');
        await serving.nfs.setattr(handle, { size: 1 });
      }),
    requests: [ROOT, 'HeadObject top', 'GetObject top if-match', 'PutObject top if-match'],
  },
  {
    name: 'truncate of 64 MiB to 10 MiB',
    seed: { big: patternBytes(64 * MIB) },
    run: async ({ nfs, root }) => {
      const { handle } = await nfs.lookup(root, 'big');
      await nfs.setattr(handle, { size: 10 * MIB });
      await nfs.commit(handle);
    },
    requests: [
      ROOT,
      'HeadObject big',
      'CreateMultipartUpload big',
      'UploadPartCopy big #1 < big 0-10485759 x-amz-copy-source-if-match',
      'CompleteMultipartUpload big if-match',
    ],
  },
  {
    name: 'cp of 100 small files',
    run: async (serving) => {
      for (let n = 0; n < 100; n += 1) await writeFile(serving, `copy${String(n)}`, 'x');
    },
    requests: [ROOT, ...Array.from({ length: 100 }, (_, n) => `PutObject copy${String(n)} if-none-match`)],
  },
];

for (const action of ACTIONS) await runAction(t, action);
