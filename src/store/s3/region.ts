/** Which region to sign for: given, else environment or profile, else asked of S3, else `us-east-1` (servers of one's own). */
import { HeadBucketCommand, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { isDirectoryBucket, regionOfZone } from './directory-bucket.js';
import type { ResolvedOptions } from './options.js';
import { signing } from './signing.js';

const DEFAULT_REGION = 'us-east-1';

/** The region once it is found; a failure is not remembered, so that the next call asks again. */
export class Region {
  readonly #find: () => Promise<string>;
  #found: Promise<string> | undefined;

  constructor(options: ResolvedOptions, requestHandler: NonNullable<S3ClientConfig['requestHandler']>) {
    this.#find = () => findRegion(options, requestHandler);
  }

  async get(): Promise<string> {
    this.#found ??= this.#find().catch((error: unknown) => {
      this.#found = undefined;
      throw error;
    });
    return this.#found;
  }

  /** S3 has said where the bucket is. */
  correct(region: string): void {
    this.#found = Promise.resolve(region);
  }
}

async function findRegion(
  options: ResolvedOptions,
  requestHandler: NonNullable<S3ClientConfig['requestHandler']>,
): Promise<string> {
  if (options.region !== undefined) return options.region;
  const configured = await configuredRegion(options.profile);
  if (configured !== undefined) return configured;
  if (options.endpointUrl !== undefined) return DEFAULT_REGION;
  // The host name of a directory bucket has its region in it: where there is none to be asked, the zone's name tells it.
  if (isDirectoryBucket(options.bucket)) return regionOfZone(options.bucket) ?? DEFAULT_REGION;
  return discoveredRegion(options, requestHandler);
}

/** The SDK's own look at AWS_REGION and the configuration files; it rejects when neither names a region. */
async function configuredRegion(profile: string | undefined): Promise<string | undefined> {
  const client = new S3Client(profile === undefined ? {} : { profile });
  try {
    return await client.config.region();
  } catch {
    return undefined;
  } finally {
    client.destroy();
  }
}

/** HeadBucket names the bucket's region in a header, whatever the answer's status is. */
async function discoveredRegion(
  options: ResolvedOptions,
  requestHandler: NonNullable<S3ClientConfig['requestHandler']>,
): Promise<string> {
  const client = new S3Client({
    region: DEFAULT_REGION,
    maxAttempts: 2,
    requestHandler,
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...signing(options),
  });
  try {
    const output = await client.send(new HeadBucketCommand({ Bucket: options.bucket }));
    return output.BucketRegion ?? DEFAULT_REGION;
  } catch (error) {
    const { $response } = error as { $response?: { headers?: Record<string, string> } };
    const named = $response?.headers?.['x-amz-bucket-region'];
    if (named !== undefined) return named;
    // S3 answered without a region: the call this is for will say what is wrong.
    if ($response !== undefined) return DEFAULT_REGION;
    throw error;
  }
}
