/** What every operation of one store works with. */
import type { Logger } from '../../telemetry/log.js';
import type { CopyJournal, WriteCondition } from '../object-store.js';
import type { Attempt } from './attempt.js';
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

/** Whether writes may carry conditions: as configured, until the server says it doesn't know them. */
export class ConditionalWrites {
  readonly #log: Logger;
  #enabled: boolean;

  constructor(enabled: boolean, log: Logger) {
    this.#enabled = enabled;
    this.#log = log;
  }

  get enabled(): boolean {
    return this.#enabled;
  }

  /** The condition, or none where conditions are off. */
  applied(condition: WriteCondition | undefined): WriteCondition {
    return this.#enabled ? (condition ?? {}) : {};
  }

  /** The same as the SDK takes it. */
  headers(wanted: WriteCondition | undefined): { IfMatch?: string; IfNoneMatch?: string } {
    const condition = this.applied(wanted);
    return {
      ...(condition.ifMatch === undefined ? {} : { IfMatch: condition.ifMatch }),
      ...(condition.ifNoneMatch === undefined ? {} : { IfNoneMatch: condition.ifNoneMatch }),
    };
  }

  /**
   * Makes a conditional write; when the server answers NotImplemented, makes it again without the condition and lets
   * every later write go without. `attempt` reads `headers` anew each time.
   */
  async fallBack<T>(condition: WriteCondition | undefined, write: () => Promise<T>): Promise<T> {
    const conditional = this.#enabled && condition !== undefined;
    try {
      return await write();
    } catch (error) {
      if (!conditional || toStoreError(error, { operation: '', bucket: '' }).kind !== 'unsupported')
        throw error;
      if (this.#enabled)
        this.#log.warn('the server has no conditional writes: changes by others can be overwritten unseen');
      this.#enabled = false;
      return await write();
    }
  }
}

/** An earlier attempt may have taken effect although its answer never came. */
export function answerMayBeLost(attempt: Attempt): boolean {
  return attempt.previous !== undefined && attempt.previous.kind === 'unavailable';
}
