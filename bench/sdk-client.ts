/**
 * The SDK as it comes: does lists of requests with the default client and drops the bodies. A process of its own: `sdk-client.js ENDPOINT`, tells
 * its parent when it is ready and, for each message (SdkPlan), when it is done.
 */
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import type { SdkPlan, SdkRequest } from './sdk-client-process.js';

const [endpoint = ''] = process.argv.slice(2);
const Bucket = 'bench';
const client = new S3Client({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId: 'BENCHBENCHBENCHBENCH', secretAccessKey: 'bench-secret-bench-secret' },
});

async function send(request: SdkRequest): Promise<void> {
  switch (request.method) {
    case 'GET': {
      const { key: Key, offset, length } = request;
      const Range = `bytes=${offset}-${offset + length - 1}`;
      const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, Range }));
      let got = 0;
      for await (const chunk of Body as Readable) got += (chunk as Buffer).length;
      if (got !== length) throw new Error(`${Key}: expected ${length} bytes, got ${got}`);
      return;
    }
    case 'HEAD':
      await client.send(new HeadObjectCommand({ Bucket, Key: request.key }));
      return;
    case 'PUT': {
      const Body = Buffer.alloc(request.length, 0x5a);
      await client.send(new PutObjectCommand({ Bucket, Key: request.key, Body }));
      return;
    }
    case 'LIST': {
      const query = new URLSearchParams(request.query);
      const of = (name: string): string | undefined => query.get(name) ?? undefined;
      await client.send(
        new ListObjectsV2Command({
          Bucket,
          Prefix: of('prefix'),
          Delimiter: of('delimiter'),
          StartAfter: of('start-after'),
          ContinuationToken: of('continuation-token'),
          MaxKeys: query.has('max-keys') ? Number(of('max-keys')) : undefined,
          EncodingType: 'url',
        }),
      );
    }
  }
}

async function run({ requests, concurrency }: SdkPlan): Promise<void> {
  let next = 0;
  const lanes = Array.from({ length: concurrency }, async () => {
    for (let request = requests[next++]; request !== undefined; request = requests[next++])
      await send(request);
  });
  await Promise.all(lanes);
}

process.on('message', (plan: SdkPlan) => {
  run(plan).then(
    () => process.send?.({ done: true }),
    (error: unknown) => process.send?.({ error: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.({ ready: true });
