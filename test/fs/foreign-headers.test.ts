/** What another S3 user gave an object and this daemon has no word for stays with it, whatever is done to the file. */
import t from 'tap';
import type { Handle } from '../../src/fs/file-system.js';
import { createS3Store } from '../../src/store/s3/s3-store.js';
import { collectLog } from '../support/collected-log.js';
import { HollowServer } from '../support/hollow-server.js';
import { RequestLog } from '../support/request-log.js';
import { Mounted } from './mounted.js';

const MIB = 1024 * 1024;
const SMALL = 4096;
const LARGE = 20 * MIB;

const FOREIGN = {
  'x-amz-meta-owner': 'team-a',
  'content-type': 'text/csv',
  'content-encoding': 'gzip',
  'content-language': 'de',
  'content-disposition': 'attachment',
  'cache-control': 'max-age=60',
  // No date: S3 keeps it all the same.
  expires: '0',
  'x-amz-storage-class': 'STANDARD_IA',
  'x-amz-website-redirect-location': '/elsewhere',
  'x-amz-server-side-encryption': 'aws:kms',
  'x-amz-server-side-encryption-aws-kms-key-id': 'arn:aws:kms:us-east-1:111122223333:key/k',
  'x-amz-server-side-encryption-bucket-key-enabled': 'true',
  'x-amz-tagging': 'project=a%20b&stage=%C3%A4%2Fx',
};

interface Change {
  readonly name: string;
  readonly size: number;
  readonly run: (m: Mounted, handle: Handle, write: Write) => Promise<unknown>;
  /** The request that makes the object. */
  readonly by: 'PutObject' | 'CompleteMultipartUpload' | 'CopyObject';
  readonly at?: string;
}

type Write = (offset: number, count: number) => Promise<unknown>;

const CHANGES: readonly Change[] = [
  { name: 'a change in place', size: SMALL, run: (_m, _h, write) => write(9, 1), by: 'PutObject' },
  {
    name: 'a change in place of a large object',
    size: LARGE,
    run: (_m, _h, write) => write(9 * MIB, 10),
    by: 'CompleteMultipartUpload',
  },
  { name: 'an append', size: SMALL, run: (_m, _h, write) => write(SMALL, 10), by: 'PutObject' },
  {
    name: 'an append to a large object',
    size: LARGE,
    run: (_m, _h, write) => write(LARGE, 10),
    by: 'CompleteMultipartUpload',
  },
  {
    name: 'a truncation',
    size: SMALL,
    run: (m, handle) => m.fs.setattr(m.context, handle, { size: 10 }),
    by: 'PutObject',
  },
  {
    name: 'a truncation of a large object',
    size: LARGE,
    run: (m, handle) => m.fs.setattr(m.context, handle, { size: 10 * MIB }),
    by: 'CompleteMultipartUpload',
  },
  {
    name: 'a truncation to nothing, and a large object in its place',
    size: LARGE,
    run: async (m, handle, write) => {
      await m.fs.setattr(m.context, handle, { size: 0 });
      for (let at = 0; at < LARGE; at += MIB) await write(at, MIB);
    },
    by: 'CompleteMultipartUpload',
  },
  {
    name: 'chmod',
    size: LARGE,
    run: (m, handle) => m.fs.setattr(m.context, handle, { mode: 0o600 }),
    by: 'CopyObject',
  },
  { name: 'a rename', size: LARGE, run: (m) => m.rename('file', 'new'), by: 'CopyObject', at: 'new' },
];

const BUCKET = 'hollow';

for (const policy of ['publish', 'journal'] as const)
  await t.test('foreign metadata, headers, encryption and tags survive rewrites', async (t) => {
    for (const { name, size, run, by, at = 'file' } of CHANGES)
      await t.test(`${name} (${policy})`, async (t) => {
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
        hollow.putNow('file', size, FOREIGN);
        const m = await Mounted.start({ exports: [{ store, commitPolicy: policy }] });
        t.teardown(() => m.end());
        const handle = await m.at('file');
        const requests = await log.during(async () => {
          await run(m, handle, (offset, count) =>
            m.fs.write(m.context, handle, offset, Buffer.alloc(count, 7), 'unstable'),
          );
          await m.fs.commit(m.context, handle);
          await m.rest(60_000);
        });
        t.match(hollow.headersOf(at), FOREIGN);
        t.equal(hollow.headersOf(at)?.['x-amz-meta-file-owner'], undefined, 'nobody gave it an owner');
        t.equal(requests.filter(({ operation, key }) => operation === by && key === at).length, 1);
        const tagged = requests.filter(({ operation }) => operation === 'GetObjectTagging').length;
        t.equal(
          tagged,
          by === 'CopyObject' ? 0 : 1,
          'tags are asked for once where a copy does not take them along',
        );
      });
  });
