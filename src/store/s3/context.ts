/** What every operation of one store works with. */
import type { Logger } from '../../telemetry/log.js';
import type { CopyJournal, WriteCondition } from '../object-store.js';
import type { BodyChecksum } from './checksum.js';
import type { S3Clients } from './client.js';
import { toStoreError } from './error-map.js';
import type { KnownChecksums } from './full-checksum.js';
import type { ObjectCalls } from './object-calls.js';
import type { ResolvedOptions } from './options.js';
import type { Patience } from './patience.js';
import type { Requests } from './requests.js';

export interface S3Context {
  readonly bucket: string;
  readonly options: ResolvedOptions;
  readonly clients: S3Clients;
  /** The frequent calls: by our own transport where it can sign for the bucket. */
  readonly calls: () => Promise<ObjectCalls>;
  readonly requests: Requests;
  /** With GETs. */
  readonly patience: Patience;
  readonly conditions: ConditionalWrites;
  /** The journal of copies that go in parts, where the store was given one. */
  readonly copies: { journal: CopyJournal | undefined };
  /** Computes what is sent with uploads; undefined for none. */
  readonly checksum: BodyChecksum | undefined;
  /** Of objects that were looked at, where what is read is to be checked. */
  readonly known: KnownChecksums | undefined;
  readonly log: Logger;
}

/**
 * Whether writes may carry conditions: as configured, until the server says it doesn't know them. Told by operation: servers that have them for
 * PutObject alone (as S3 itself had, for a year) go on being asked there.
 */
export class ConditionalWrites {
  readonly #log: Logger;
  readonly #enabled: boolean;
  /** Operations that the server knows none with. */
  readonly #without = new Set<string>();

  constructor(enabled: boolean, log: Logger) {
    this.#log = log;
    this.#enabled = enabled;
  }

  /** With every operation, as far as is known. */
  get enabled(): boolean {
    return this.#enabled && this.#without.size === 0;
  }

  /** The condition, or none where conditions are off. */
  applied(operation: string, condition: WriteCondition | undefined): WriteCondition {
    return this.#enabled && !this.#without.has(operation) ? (condition ?? {}) : {};
  }

  /**
   * Makes a conditional write by `write`, which is told the condition to send. When the server answers NotImplemented it is made again without;
   * where that is carried out it was the condition that the server doesn't know, and later writes of this operation go without.
   */
  async fallBack<T>(
    operation: string,
    condition: WriteCondition | undefined,
    write: (condition: WriteCondition) => Promise<T>,
  ): Promise<T> {
    const applied = this.applied(operation, condition);
    try {
      return await write(applied);
    } catch (error) {
      const isUnsupported = toStoreError(error, { operation, bucket: '' }).kind === 'unsupported';
      if (!isUnsupported || Object.keys(applied).length === 0) throw error;
      const written = await write({});
      if (!this.#without.has(operation))
        this.#log.warn(
          { operation },
          'the server has no conditions with this operation: changes by others can be overwritten unseen by it',
        );
      this.#without.add(operation);
      return written;
    }
  }
}

/** A condition as the SDK takes it. */
export function conditionHeaders(condition: WriteCondition): { IfMatch?: string; IfNoneMatch?: string } {
  return {
    ...(condition.ifMatch === undefined ? {} : { IfMatch: condition.ifMatch }),
    ...(condition.ifNoneMatch === undefined ? {} : { IfNoneMatch: condition.ifNoneMatch }),
  };
}
