/**
 * Lists a directory by one LIST after another, as a floor: `lister.js ENDPOINT sdk|direct`, by the SDK with its defaults, or by the daemon's own
 * transport and parser. Tells its parent when it is ready, and for each prefix that it is sent the number of LISTs and entries.
 */
import { ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { pino } from 'pino';
import { createS3Store } from '../src/store/s3/s3-store.js';

const [endpoint = '', by = ''] = process.argv.slice(2);
const bucket = 'bench';
const credentials = { accessKeyId: 'BENCHBENCHBENCHBENCH', secretAccessKey: 'bench-secret-bench-secret' };

type Page = { readonly entries: number; readonly token: string | undefined };

function lister(): (prefix: string, token: string | undefined) => Promise<Page> {
  if (by === 'sdk') {
    const client = new S3Client({ endpoint, region: 'us-east-1', forcePathStyle: true, credentials });
    return async (Prefix, ContinuationToken) => {
      const page = await client.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix,
          Delimiter: '/',
          ContinuationToken,
          EncodingType: 'url',
        }),
      );
      const { Contents = [], CommonPrefixes = [], NextContinuationToken: token } = page;
      return { entries: Contents.length + CommonPrefixes.length, token };
    };
  }
  const log = pino({ level: 'silent' });
  const store = createS3Store({
    ...{ bucket, credentials, log, region: 'us-east-1', endpointUrl: endpoint, forcePathStyle: true },
  });
  return async (prefix, token) => {
    const page = await store.list({
      prefix,
      delimiter: '/',
      maxKeys: 1000,
      ...(token !== undefined && { continuationToken: token }),
    });
    return { entries: page.objects.length + page.prefixes.length, token: page.continuationToken };
  };
}

const list = lister();

async function listAll(prefix: string): Promise<{ readonly lists: number; readonly entries: number }> {
  let lists = 0;
  let entries = 0;
  let token: string | undefined;
  do {
    const page = await list(prefix, token);
    lists++;
    entries += page.entries;
    token = page.token;
  } while (token !== undefined);
  return { lists, entries };
}

process.on('message', (prefix: string) => {
  listAll(prefix).then(
    (done) => process.send?.(done),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
