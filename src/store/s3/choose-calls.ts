/** Who makes the frequent calls of a store: our own transport, unless told otherwise or the bucket wants signatures it can't make. */
import type { S3Clients } from './client.js';
import { DirectCalls } from './direct-calls.js';
import { isDirectoryBucket } from './directory-bucket.js';
import { Transport } from './http/transport.js';
import type { ObjectCalls } from './object-calls.js';
import type { ResolvedOptions } from './options.js';
import { SdkCalls } from './sdk-calls.js';

export class ChosenCalls {
  readonly #sdk: SdkCalls;
  readonly #transport: Transport | undefined;
  readonly #isDirectory: boolean;
  #chosen: Promise<ObjectCalls> | undefined;

  constructor(bucket: string, options: ResolvedOptions, clients: S3Clients) {
    this.#isDirectory = isDirectoryBucket(bucket);
    this.#sdk = new SdkCalls(bucket, clients);
    if (options.transport === 'direct') this.#transport = new Transport({ options, clients });
  }

  /** Fails as the search for region or endpoint does; the next call looks again. */
  async get(): Promise<ObjectCalls> {
    this.#chosen ??= this.#choose().catch((error: unknown) => {
      this.#chosen = undefined;
      throw error;
    });
    return this.#chosen;
  }

  close(): void {
    this.#transport?.close();
  }

  async #choose(): Promise<ObjectCalls> {
    const transport = this.#transport;
    if (transport === undefined || !(await transport.serves())) return this.#sdk;
    // In directory buckets CopyObject is signed with the account's keys and not under a session.
    return new DirectCalls(transport, this.#isDirectory ? this.#sdk : undefined);
  }
}
