/**
 * Whether a file is being streamed, and when publishing it is worth what it costs. A large file is published by having what was published
 * before copied inside S3: whoever does that at every COMMIT of a file that grows pays the square of its size. Pure.
 *
 *   published --- WRITE soon after ---> streaming --- nothing more for a while ---> not streaming
 *
 * A publication is paid for when it copies no more than was written since the one before: all of them together then copy no more than was
 * written. Some that are not paid for are made all the same: nobody knows of a COMMIT whether it is the last.
 */

/** WRITEs that come so soon after a publication go on with what was published. */
const STREAM_GAP_MS = 10_000;
/** Publications not paid for, in a stream that went on after each. */
const UNPAID_MAX = 4;
/** The rest before a stream is published in the background doubles with each that was too early, up to this factor. */
const REST_FACTOR_MAX = 32;

export interface PublicationCost {
  /** Bytes that are copied inside the store. */
  readonly copiedBytes: number;
  /** Bytes written since the publication before. */
  readonly changedBytes: number;
}

export class StreamPace {
  #publishedMs = -Infinity;
  #isStreaming = false;
  #unpaid = 0;
  #restFactor = 1;
  /** The last publication was made because nothing came for a while. */
  #rested = false;

  /** WRITEs go on since a publication. */
  get isStreaming(): boolean {
    return this.#isStreaming;
  }

  /** The first change since the file was published. */
  changed(nowMs: number): void {
    this.#isStreaming = nowMs - this.#publishedMs <= STREAM_GAP_MS * this.#restFactor;
    if (!this.#isStreaming) {
      this.#unpaid = 0;
      this.#restFactor = 1;
    } else if (this.#rested) this.#restFactor = Math.min(this.#restFactor * 2, REST_FACTOR_MAX);
  }

  published(nowMs: number): void {
    this.#publishedMs = nowMs;
    this.#rested = false;
  }

  /** It was published because nothing came for a while. */
  rested(): void {
    this.#rested = true;
  }

  /** A COMMIT after which nothing more comes may publish. */
  mayPublish(cost: PublicationCost): boolean {
    return isPaid(cost) || this.#unpaid < UNPAID_MAX;
  }

  /** A COMMIT is about to publish. */
  spend(cost: PublicationCost): void {
    if (!isPaid(cost)) this.#unpaid += 1;
  }

  /** How long nothing may come before the file is published in the background. */
  restMs(restMs: number): number {
    return restMs * this.#restFactor;
  }
}

const isPaid = ({ copiedBytes, changedBytes }: PublicationCost): boolean => copiedBytes <= changedBytes;
