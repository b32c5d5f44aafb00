/** The embedded S3 server with its directory, buckets and keys, as `store` and `demo` run it. */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startEmbeddedStore } from '../store/embedded/server.js';
import type { FaultPlan } from '../store/faults/plan.js';
import type { Logger } from '../telemetry/log.js';
import { listenFailure } from './ports.js';
import { StartError } from './start-error.js';
import { keptCredentials, type StoreCredentials } from './store-credentials.js';

export interface EmbeddedStoreOptions {
  /** Holds one directory a bucket, and the kept keys. */
  readonly directory: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** Keys to use instead of kept ones: both or none. */
  readonly given?: { readonly [K in keyof StoreCredentials]: string | null };
  /** Buckets to make when they are missing. */
  readonly buckets: readonly string[];
  /** What is to go wrong. */
  readonly faultPlan?: FaultPlan | undefined;
  readonly log: Logger;
}

export interface RunningStore {
  readonly report: {
    readonly endpoint: string;
    readonly accessKeyId: string;
    readonly secretAccessKey: string;
    readonly buckets: readonly string[];
    readonly directory: string;
    readonly pid: number;
  };
  readonly credentials: StoreCredentials;
  close(): Promise<void>;
}

/** Fails with StartError where the directory or the port can't be had. */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<RunningStore> {
  const { directory, host, port, log } = options;
  const credentials = givenCredentials(options.given) ?? (await keptCredentials(directory));
  for (const bucket of options.buckets) await mkdir(join(directory, bucket), { recursive: true });
  const { faultPlan } = options;
  const store = await startEmbeddedStore({ directory, host, port, ...credentials, faultPlan, log }).catch(
    (error: unknown) => {
      throw listenFailure('S3', '--port', host, port, error);
    },
  );
  return {
    report: {
      endpoint: store.endpoint,
      ...credentials,
      buckets: await bucketsIn(directory),
      directory,
      pid: process.pid,
    },
    credentials,
    close: () => store.close(),
  };
}

function givenCredentials(given: EmbeddedStoreOptions['given']): StoreCredentials | undefined {
  const { accessKeyId = null, secretAccessKey = null } = given ?? {};
  if (accessKeyId !== null && secretAccessKey !== null) return { accessKeyId, secretAccessKey };
  if (accessKeyId === null && secretAccessKey === null) return undefined;
  throw new StartError('give both --access-key-id and --secret-access-key, or neither');
}

async function bucketsIn(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}
