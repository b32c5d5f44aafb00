/** Calls on names, as clients send them, and the S3 requests that each takes at least. The root was listed before, nothing else was looked at. */
import type { Mounted } from './mounted.js';
import type { Requests, Workload } from './request-workloads.js';

const same = (requests: Requests): Workload['least'] => ({ publish: requests, journal: requests });
const FILE = { f: 4096 };
const DIRECTORY = { 'd/': 0 };
const HEAD = { HeadObject: 1 };
const LIST = { ListObjectsV2: 1 };
const FILES = Object.fromEntries(Array.from({ length: 900 }, (_, n) => [`d/${String(n + 100)}`, 10]));
const SILLY = '.nfs00000000000000a100000001';
const ATTRIBUTES = 'attributes are in the metadata of the object, which no listing tells';
const IN_TWO = 'S3 has no rename: a copy and a removal. HEAD tells what the copy is to keep';

const nameOf = (name: string): Buffer => Buffer.from(name);

/** LOOKUP of a name that isn't there. */
async function lookUpAbsent(m: Mounted, name: string): Promise<void> {
  await m.at(name).then(
    () => Promise.reject(new Error(`${name} is there`)),
    () => undefined,
  );
}

async function list(m: Mounted, path: string): Promise<void> {
  await m.list(path, 100);
}

export const NAME_WORKLOADS: readonly Workload[] = [
  {
    name: 'LOOKUP of a file in a directory that was listed',
    before: FILE,
    run: async (m) => void (await m.at('f')),
    least: same(HEAD),
    why: ATTRIBUTES,
    after: FILE,
    bytesMax: 0,
  },
  {
    name: 'LOOKUP of a name that isn’t there, in a directory that was listed',
    run: async (m) => lookUpAbsent(m, 'absent'),
    least: same({}),
    why: 'the listing tells',
    after: {},
    bytesMax: 0,
  },
  {
    name: '`stat d/f`, of a directory that nobody looked at',
    before: { 'd/f': 4096 },
    run: async (m) => void (await m.stat('d/f')),
    least: same({ ...LIST, ...HEAD }),
    why: 'whether there is a directory only LIST tells; it tells of the file, too, but not its attributes',
    after: { 'd/f': 4096 },
    bytesMax: 0,
  },
  {
    name: '`stat d/f` a thousand times',
    before: { 'd/f': 4096 },
    run: async (m) => {
      for (let n = 0; n < 1000; n += 1) await m.stat('d/f');
    },
    least: same({ ...LIST, ...HEAD }),
    why: 'within the time to live nothing is asked again',
    after: { 'd/f': 4096 },
    bytesMax: 0,
  },
  {
    name: '`ls` of 900 files',
    before: FILES,
    run: async (m) => list(m, 'd'),
    least: same(LIST),
    why: 'a page of LIST has 1,000 keys',
    after: FILES,
    bytesMax: 0,
  },
  {
    name: '`touch`: CREATE of an empty file',
    run: async (m) =>
      void (await m.fs.create(m.context, await m.root(), nameOf('new'), { how: 'guarded', attributes: {} })),
    least: same({ PutObject: 1 }),
    why: 'the object',
    after: { new: 0 },
    bytesMax: 0,
  },
  {
    name: 'MKDIR',
    run: async (m) => void (await m.mkdir('d')),
    least: same({ PutObject: 1 }),
    why: 'the marker',
    after: DIRECTORY,
    bytesMax: 0,
  },
  {
    name: 'RENAME of a file',
    before: FILE,
    run: async (m) => m.rename('f', 'g'),
    least: same({ ...HEAD, CopyObject: 1, DeleteObject: 1 }),
    why: IN_TWO,
    after: { g: 4096 },
    bytesMax: 0,
  },
  {
    name: 'RENAME of a file over another',
    before: { ...FILE, g: 10 },
    run: async (m) => m.rename('f', 'g'),
    least: same({ HeadObject: 2, CopyObject: 1, DeleteObject: 1 }),
    why: `${IN_TWO}; mode and owner of both decide`,
    after: { g: 4096 },
    bytesMax: 0,
  },
  {
    name: 'REMOVE of a file that others lie beside',
    before: { ...FILE, g: 10 },
    run: async (m) => m.remove('f'),
    least: same({ DeleteObject: 1 }),
    why: 'the ETag that was listed is the condition; only in a sticky directory the file’s owner decides, who isn’t listed',
    after: { g: 10 },
    bytesMax: 0,
  },
  {
    name: 'REMOVE of the last file of a directory without a marker',
    before: { 'd/f': 4096 },
    run: async (m) => m.remove('d/f'),
    least: same({ ...LIST, DeleteObject: 1, PutObject: 1 }),
    why: 'the directory stays: the marker',
    after: DIRECTORY,
    bytesMax: 0,
  },
  {
    name: 'REMOVE of a file that the client has open: RENAME to `.nfs…`, READs go on, REMOVE',
    before: FILE,
    run: async (m) => {
      await m.rename('f', SILLY);
      await m.remove(SILLY);
    },
    least: same({ ...HEAD, DeleteObject: 1 }),
    why: 'the name is no object (docs/decisions/0036-silly-names.md)',
    after: {},
    bytesMax: 0,
  },
  {
    name: 'RMDIR',
    before: DIRECTORY,
    run: async (m) => void (await m.fs.rmdir(m.context, await m.root(), nameOf('d'))),
    least: same({ ...HEAD, ListObjectsV2: 2, DeleteObject: 1 }),
    why: 'LIST and HEAD tell that it is there, and its mode; another LIST, that it is empty at last',
    after: {},
    bytesMax: 0,
  },
  {
    name: '`chmod` of a file',
    before: FILE,
    run: async (m) => void (await m.fs.setattr(m.context, await m.at('f'), { mode: 0o600 })),
    least: same({ ...HEAD, CopyObject: 1 }),
    why: 'metadata is set by a copy onto itself',
    after: FILE,
    bytesMax: 0,
  },
  {
    name: '`chmod` of a directory',
    before: DIRECTORY,
    run: async (m) => void (await m.fs.setattr(m.context, await m.at('d'), { mode: 0o700 })),
    least: same({ ...LIST, ...HEAD, PutObject: 1 }),
    why: 'its marker is empty: written anew',
    after: DIRECTORY,
    bytesMax: 0,
  },
  {
    name: 'SYMLINK',
    run: async (m) =>
      void (await m.fs.symlink(m.context, await m.root(), nameOf('l'), nameOf('to/there'), {})),
    least: same({ PutObject: 1 }),
    why: 'the target is the body',
    after: { l: 8 },
    bytesMax: 8,
  },
  {
    name: 'READLINK, a thousand times',
    run: async (m) => {
      await m.fs.symlink(m.context, await m.root(), nameOf('l'), nameOf('to/there'), {});
      for (let n = 0; n < 1000; n += 1) await m.fs.readlink(m.context, await m.at('l'));
    },
    least: same({ PutObject: 1, GetObject: 1 }),
    why: 'one PUT makes it; one GET reads it',
    after: { l: 8 },
    bytesMax: 16,
  },
];
