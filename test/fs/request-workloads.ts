/**
 * What clients do to files, the S3 requests that each takes at least, and how one is run: the file system over the S3 client that the daemon
 * has, over a server that keeps sizes alone, so that all are run in full size. Time is a fake clock's: a burst of calls is a burst on any
 * machine.
 */
import pLimit from 'p-limit';
import type { Test } from 'tap';
import type { CommitRules } from '../../src/fs/volume.js';
import type { Handle } from '../../src/fs/file-system.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { collectLog } from '../support/collected-log.js';
import { HollowServer } from '../support/hollow-server.js';
import { RequestLog, type LoggedRequest } from '../support/request-log.js';
import { Mounted } from './mounted.js';

export type Policy = CommitRules['policy'];

const KIB = 1024;
export const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const BUCKET = 'hollow';

/** Requests by operation. */
export type Requests = Readonly<Record<string, number>>;

export interface Workload {
  readonly name: string;
  /** Objects that are there before, by key, and their bytes. */
  readonly before?: Readonly<Record<string, number>>;
  readonly run: (m: Mounted) => Promise<void>;
  /** The least that S3 lets it cost. */
  readonly least: Readonly<Record<Policy, Requests>>;
  /** Why it can't be less. */
  readonly why: string;
  /** Sizes of the objects afterwards. */
  readonly after: Readonly<Record<string, number>>;
  /** Bytes through the daemon, both ways, at most. */
  readonly bytesMax: number;
}

/** So many bytes of any content: nobody keeps them. */
const bytes = (count: number): Buffer => Buffer.alloc(count, 7);

/** CREATE, WRITEs and a COMMIT, as `cp` and `close` do it. */
async function create(m: Mounted, name: string, count: number): Promise<Handle> {
  const root = await m.root();
  const attributes = { mode: 0o644 };
  const { handle } = await m.fs.create(m.context, root, Buffer.from(name), { how: 'guarded', attributes });
  await write(m, handle, 0, count);
  return handle;
}

async function write(m: Mounted, handle: Handle, offset: number, count: number): Promise<void> {
  for (let done = 0; done < count; done += MIB)
    await m.fs.write(m.context, handle, offset + done, bytes(Math.min(MIB, count - done)), 'unstable');
  await m.fs.commit(m.context, handle);
}

/** As `cp -a` makes a file: owner, mode and times come when it is closed. */
async function copyOf(m: Mounted, name: string): Promise<void> {
  const handle = await create(m, name, 4 * KIB);
  await m.fs.setattr(m.context, handle, { atimeNs: 1n, mtimeNs: 2n });
  await m.fs.setattr(m.context, handle, { uid: 5, gid: 6 });
  await m.fs.setattr(m.context, handle, { mode: 0o640 });
}

/** WRITE and COMMIT of 80 bytes, so often. */
async function lines(m: Mounted, handle: Handle, from: number, count: number): Promise<void> {
  for (let line = 0; line < count; line += 1) await write(m, handle, from + 80 * line, 80);
}

const same = (requests: Requests): Workload['least'] => ({ publish: requests, journal: requests });
const HEAD = { HeadObject: 1 };
const PUT = { PutObject: 1 };
const MULTIPART = { CreateMultipartUpload: 1, CompleteMultipartUpload: 1 };
const WHOLE = 'an object appears by one request';

export const WORKLOADS: readonly Workload[] = [
  {
    name: 'create 4 KiB',
    run: async (m) => void (await create(m, 'new', 4 * KIB)),
    least: same(PUT),
    why: WHOLE,
    after: { new: 4 * KIB },
    bytesMax: 4 * KIB,
  },
  {
    name: '`cp -a` of 1,000 files of 4 KiB',
    run: async (m) => {
      // Many at a time share their syncs.
      const atOnce = pLimit(32);
      const copies = Array.from({ length: 1000 }, (_, n) => atOnce(() => copyOf(m, `f${String(n)}`)));
      await Promise.all(copies);
    },
    least: { publish: { PutObject: 1000, CopyObject: 1000 }, journal: { PutObject: 1000 } },
    why: 'under `publish` the bytes are to be in S3 when close() returns, which is before owner, mode and times come: a copy onto itself sets them',
    after: Object.fromEntries(Array.from({ length: 1000 }, (_, n) => [`f${String(n)}`, 4 * KIB])),
    bytesMax: 4000 * KIB,
  },
  {
    name: 'create 64 MiB',
    run: async (m) => void (await create(m, 'new', 64 * MIB)),
    least: same({ ...MULTIPART, UploadPart: 8 }),
    why: 'parts of 8 MiB, which go out while data comes',
    after: { new: 64 * MIB },
    bytesMax: 64 * MIB,
  },
  {
    name: 'append 1 MiB to 10 GiB',
    before: { big: 10 * GIB },
    run: async (m) => write(m, await m.at('big'), 10 * GIB, MIB),
    least: same({ ...HEAD, ...MULTIPART, UploadPartCopy: 20, UploadPart: 1 }),
    why: 'HEAD tells what a rewrite keeps; S3 copies what is there, in ranges of 512 MiB at the same time',
    after: { big: 10 * GIB + MIB },
    bytesMax: MIB,
  },
  {
    name: 'append 1 MiB to 10 GiB + 12,345 bytes',
    before: { big: 10 * GIB + 12_345 },
    run: async (m) => write(m, await m.at('big'), 10 * GIB + 12_345, MIB),
    least: same({ ...HEAD, ...MULTIPART, UploadPartCopy: 20, UploadPart: 1 }),
    why: 'the same, wherever the file ends: its last range is longer',
    after: { big: 10 * GIB + 12_345 + MIB },
    bytesMax: MIB,
  },
  {
    name: 'append 10 MiB to 20 MiB + 1 byte',
    before: { big: 20 * MIB + 1 },
    run: async (m) => write(m, await m.at('big'), 20 * MIB + 1, 10 * MIB),
    least: same({ ...HEAD, GetObject: 1, ...MULTIPART, UploadPartCopy: 1, UploadPart: 2 }),
    why: 'parts but the last have 5 MiB or more, so that some of what is there may have to come back',
    after: { big: 30 * MIB + 1 },
    bytesMax: 16 * MIB,
  },
  {
    name: '4 KiB in place in 1 GiB',
    before: { big: GIB },
    run: async (m) => write(m, await m.at('big'), 600 * MIB, 4 * KIB),
    least: same({ ...HEAD, GetObject: 1, ...MULTIPART, UploadPartCopy: 3, UploadPart: 1 }),
    why: '5 MiB around the change come and go, the least part; S3 copies what is before and behind it, in ranges of 512 MiB',
    after: { big: GIB },
    bytesMax: 10 * MIB,
  },
  {
    name: '4 KiB over the end of 1 GiB − 1 MiB',
    before: { big: GIB - MIB },
    run: async (m) => write(m, await m.at('big'), GIB - MIB - 2 * KIB, 4 * KIB),
    least: same({ ...HEAD, ...MULTIPART, UploadPartCopy: 2, UploadPart: 1 }),
    why: 'the last part may be as short as what is written',
    after: { big: GIB - MIB + 2 * KIB },
    bytesMax: 4 * KIB,
  },
  {
    name: 'truncate 1 GiB to 600 MiB + 1 byte',
    before: { big: GIB },
    run: async (m) => {
      const handle = await m.at('big');
      await m.fs.setattr(m.context, handle, { size: 600 * MIB + 1 });
      await m.fs.commit(m.context, handle);
    },
    least: same({ ...HEAD, ...MULTIPART, UploadPartCopy: 2 }),
    why: 'CopyObject takes whole objects only',
    after: { big: 600 * MIB + 1 },
    bytesMax: 0,
  },
  {
    name: 'truncate 4 KiB to 1 KiB',
    before: { small: 4 * KIB },
    run: async (m) => m.fs.setattr(m.context, await m.at('small'), { size: KIB }).then(() => undefined),
    least: same({ ...HEAD, GetObject: 1, ...PUT }),
    why: 'what stays comes and goes; inside S3 it would be three requests as well',
    after: { small: KIB },
    bytesMax: 5 * KIB,
  },
  {
    name: 'truncate to nothing and write 4 KiB anew',
    before: { big: GIB },
    run: async (m) => {
      const handle = await m.at('big');
      await m.fs.setattr(m.context, handle, { size: 0 });
      await write(m, handle, 0, 4 * KIB);
    },
    least: same({ ...HEAD, ...PUT }),
    why: WHOLE,
    after: { big: 4 * KIB },
    bytesMax: 4 * KIB,
  },
  {
    name: 'save by rename: 4 KiB to a new file, over the old one',
    before: { text: 4 * KIB },
    run: async (m) => {
      await m.at('text');
      await create(m, 'text~', 4 * KIB + 1);
      await m.rename('text~', 'text');
    },
    least: {
      publish: { ...HEAD, ...PUT, CopyObject: 1, DeleteObject: 1 },
      journal: { ...HEAD, ...PUT },
    },
    why: 'the editor looks at the old file; under `publish` its close() comes before the rename, which is a copy and a removal',
    after: { text: 4 * KIB + 1 },
    bytesMax: 8 * KIB + 2,
  },
  {
    name: 'log of 4 KiB: 100 lines, fsync after each',
    before: { log: 4 * KIB },
    run: async (m) => lines(m, await m.at('log'), 4 * KIB, 100),
    least: {
      publish: { ...HEAD, GetObject: 1, PutObject: 100 },
      journal: { ...HEAD, GetObject: 1, ...PUT },
    },
    why: 'under `publish` each fsync of a small file is an object; what is there before is fetched once',
    after: { log: 4 * KIB + 8000 },
    bytesMax: 820 * KIB,
  },
  {
    name: 'chmod of 1 GiB',
    before: { big: GIB },
    run: async (m) => void (await m.fs.setattr(m.context, await m.at('big'), { mode: 0o600 })),
    least: same({ ...HEAD, CopyObject: 1 }),
    why: 'metadata is set by a copy onto itself',
    after: { big: GIB },
    bytesMax: 0,
  },
];

export interface Seen {
  readonly requests: Requests;
  readonly count: number;
  /** Bytes of objects between daemon and S3, both ways. */
  readonly bytes: number;
  readonly log: readonly LoggedRequest[];
}

/** Runs a workload, and all that follows from it when the file is left alone; the first look at the root isn't counted. */
export async function runWorkload(
  t: Pick<Test, 'teardown' | 'same' | 'equal'>,
  workload: Workload,
  policy: Policy,
): Promise<Seen> {
  const log = new RequestLog();
  const hollow = await HollowServer.start(BUCKET, log.hooks);
  t.teardown(() => hollow.close());
  const store = createS3Store({
    bucket: BUCKET,
    region: 'us-east-1',
    endpointUrl: hollow.endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: 'AKIAHOLLOW', secretAccessKey: 'hollow' },
    log: collectLog().log,
  });
  t.teardown(() => store.close());
  for (const [key, size] of Object.entries(workload.before ?? {})) hollow.putNow(key, size);
  const m = await Mounted.start({ exports: [{ store, commitPolicy: policy, metadataTtlMs: 3_600_000 }] });
  t.teardown(() => m.end());
  await m.fs.readdir(m.context, await m.root(), 0n, 10);
  const requests = await log.during(async () => {
    await workload.run(m);
    await m.rest(60_000);
  });
  t.same(Object.fromEntries(hollow.keys.map((key) => [key, hollow.sizeOf(key)])), workload.after);
  t.equal(hollow.unfinishedUploads, 0, 'no upload is left behind');
  return { ...summed(requests), log: requests };
}

function summed(requests: readonly LoggedRequest[]): Omit<Seen, 'log'> {
  const counts: Record<string, number> = {};
  let total = 0;
  for (const { operation, bytesIn, bytesOut } of requests) {
    counts[operation] = (counts[operation] ?? 0) + 1;
    if (/^(PutObject|UploadPart|GetObject)$/.test(operation)) total += bytesIn + bytesOut;
  }
  return { requests: counts, count: requests.length, bytes: total };
}

/** `**10**: 1 CompleteMultipartUpload, 1 CreateMultipartUpload, 8 UploadPart` */
export function told(requests: Requests): string {
  const each = Object.entries(requests)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([operation, count]) => `${String(count)} ${operation}`);
  return [`**${String(countOf(requests))}**`, ...(each.length === 0 ? [] : [each.join(', ')])].join(': ');
}

/** The workload's row in the table of docs/requests.md. */
export function rowOf({ name, least, why }: Workload, seen: Readonly<Record<Policy, Seen>>): string {
  const both = (of: (policy: Policy) => string): string =>
    of('publish') === of('journal') ? of('publish') : `${of('publish')} / ${of('journal')}`;
  const cells = [
    name,
    both((policy) => told(least[policy])),
    why,
    told(seen.publish.requests),
    told(seen.journal.requests),
    both((policy) => seen[policy].bytes.toLocaleString('en-US')),
  ];
  return `| ${cells.join(' | ')} |`;
}

export function countOf(requests: Requests): number {
  return Object.values(requests).reduce((sum, count) => sum + count, 0);
}
