/** Where the requests of a bucket go and how they are signed, by the SDK's rules: its endpoint without its request. */
import { HeadBucketCommand, type S3Client } from '@aws-sdk/client-s3';
import { isDirectoryBucket } from './directory-bucket.js';
import { fixedAddress } from './directory-endpoint.js';
import type { ResolvedOptions } from './options.js';

export interface Endpoint {
  /** Ends where the bucket's root begins: `https://bucket.s3.eu-west-1.amazonaws.com/`, or with the bucket as its path. */
  readonly url: URL;
  /** `sigv4`, `sigv4-s3express` (directory buckets), `sigv4a` (multi-region access points) or what the SDK may yet learn. */
  readonly scheme: string;
  readonly signingName: string;
  readonly signingRegion: string;
}

/** Finds region and credentials' configuration as a call of the SDK would. Fails with the SDK's error. */
export async function resolveEndpoint(client: S3Client, options: ResolvedOptions): Promise<Endpoint> {
  const { bucket, endpointUrl, forcePathStyle } = options;
  const command = new HeadBucketCommand({ Bucket: bucket });
  let found: { url: URL; properties?: Record<string, unknown> } | undefined;
  command.middlewareStack.add(
    (_next, context) => async () => {
      found = (context as { endpointV2?: typeof found }).endpointV2;
      return { output: { $metadata: {} }, response: {} };
    },
    // The endpoint is found in the step before; credentials and sessions are looked for after this.
    { step: 'build', priority: 'high', name: 'endpointOnly' },
  );
  await client.send(command);
  if (found === undefined) throw new Error('the SDK has found no endpoint');
  const schemes = found.properties?.['authSchemes'] as
    | readonly { readonly name: string; readonly signingName?: string; readonly signingRegion?: string }[]
    | undefined;
  const scheme = schemes?.[0];
  const url = new URL(found.url);
  if (endpointUrl !== undefined && isDirectoryBucket(bucket)) {
    const fixed = fixedAddress(
      { hostname: url.hostname, path: url.pathname },
      found.url,
      bucket,
      forcePathStyle,
    );
    url.hostname = fixed.hostname;
    url.pathname = fixed.path;
  }
  return {
    url,
    scheme: scheme?.name ?? 'sigv4',
    signingName: scheme?.signingName ?? 's3',
    signingRegion: scheme?.signingRegion ?? (await client.config.region()),
  };
}
