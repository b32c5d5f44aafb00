/** The S3 stores behind the exports: one for each bucket at each endpoint with each set of credentials. */
import { readFileSync } from 'node:fs';
import { ConfigError } from '../../config/config-error.js';
import type { ExportOptions } from '../../config/exports.js';
import type { ObjectStore } from '../store/object-store.js';
import type { S3StoreOptions } from '../store/s3/options.js';
import { createS3Store } from '../store/s3/s3-store.js';
import type { Logger } from '../telemetry/log.js';
import { failureLine, probeFailure, StartError } from './start-error.js';
import type { StoreCredentials } from './store-credentials.js';

export interface StoresOptions {
  readonly maxRequests: number;
  /** In place of the SDK's chain. */
  readonly credentials?: StoreCredentials;
  readonly log: Logger;
}

interface KnownStore {
  readonly store: ObjectStore;
  /** How it is reached, for comparison. */
  readonly access: string;
  readonly source: string;
}

export class Stores {
  readonly #options: StoresOptions;
  readonly #stores = new Map<string, KnownStore>();

  constructor(options: StoresOptions) {
    this.#options = options;
  }

  /** The store of an export, made at the first call; exports of one bucket share it. */
  storeOf(entry: ExportOptions): ObjectStore {
    const { source } = entry;
    const name = volumeNameOf(entry);
    const asked = storeOptions(entry);
    const access = JSON.stringify(asked);
    const known = this.#stores.get(name);
    if (known !== undefined) {
      if (known.access === access) return known.store;
      throw new ConfigError(
        `option exports: ${source} and ${known.source} are one bucket and must have the same region, profile and request options`,
      );
    }
    const { credentials, maxRequests, log } = this.#options;
    const store = createS3Store({
      ...asked,
      maxRequests,
      log,
      ...(credentials === undefined ? {} : { credentials }),
    });
    this.#stores.set(name, { store, access, source });
    return store;
  }

  /** Asks for each export once, all at a time. Fails with StartError: which bucket, where, and what is wrong. */
  async probe(exports: readonly ExportOptions[]): Promise<void> {
    await Promise.all(
      exports.map(async (entry) => {
        const { source, endpointUrl, prefix } = entry;
        try {
          // Below its own prefix: that may be all that the credentials allow.
          await this.storeOf(entry).probe(prefix);
        } catch (error) {
          throw probeFailure(source, endpointUrl, error);
        }
      }),
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#stores.values()].map(({ store }) => store.close()));
  }
}

/** Names a bucket among all there are, over restarts. AWS's buckets have one namespace over all regions. */
export function volumeNameOf({ endpointUrl, bucket }: ExportOptions): string {
  return `${endpointUrl ?? 'aws'}/${bucket}`;
}

/** What an export says of its store, in the store's words. Fails with StartError where the certificates can't be read. */
function storeOptions(entry: ExportOptions): Omit<S3StoreOptions, 'log'> {
  const { bucket, endpointUrl, region, profile, forcePathStyle, expectedBucketOwner, caBundle } = entry;
  return {
    bucket,
    noSignRequest: entry.noSignRequest,
    requesterPays: entry.requestPayer,
    useDualstackEndpoint: entry.dualStack,
    uploadChecksums: entry.uploadChecksums,
    verifyReads: entry.verifyReads,
    ...(endpointUrl === undefined ? {} : { endpointUrl }),
    ...(region === undefined ? {} : { region }),
    ...(profile === undefined ? {} : { profile }),
    ...(forcePathStyle === undefined ? {} : { forcePathStyle }),
    ...(expectedBucketOwner === undefined ? {} : { expectedBucketOwner }),
    ...(caBundle === undefined ? {} : { certificateAuthorities: readCertificates(caBundle) }),
  };
}

function readCertificates(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new StartError(`cannot read the certificates of --ca-bundle ${path}: ${failureLine(error)}`, {
      cause: error,
    });
  }
}
