/** A directory bucket at an embedded server, and a client for it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3';
import type { EmbeddedStore, FinishedRequest } from '../../../src/store/embedded/server.js';
import { clientOf, startServer, temporaryDirectory, type Teardown } from './support.js';

export const DIRECTORY_BUCKET = 'data--use1-az4--x-s3';

export interface DirectoryFixture {
  readonly directory: string;
  readonly store: EmbeddedStore;
  readonly client: S3Client;
  readonly finished: FinishedRequest[];
}

export async function directoryFixture(
  t: Teardown,
  config: Partial<S3ClientConfig> = {},
): Promise<DirectoryFixture> {
  const directory = temporaryDirectory(t);
  mkdirSync(join(directory, DIRECTORY_BUCKET));
  const finished: FinishedRequest[] = [];
  const store = await startServer(directory, (request) => finished.push(request));
  t.teardown(() => store.close());
  return { directory, store, client: clientOf(t, store.endpoint, config), finished };
}
