/**
 * Who is to hear of a conflict: every client that wrote what lost. NFSv3 has no open, and a client goes on sending what it holds of the file long
 * after it was told of an error: none of that may be put over the winner's bytes, which its program has never seen.
 *
 *   untold --WRITE, COMMIT: EIO--> told --WRITE, COMMIT: EIO--> told --it begins anew, or a minute passed--> forgotten
 */
import type { FsError } from './errors.js';

/** A client has sent by then what it held when it was told (Linux: 30 s for pages that nobody asks to have written). */
const TOLD_MS = 60_000;

/** As the journal has it. */
export interface ConflictRecord {
  /** What is told. */
  readonly message: string;
  /** When it was met (milliseconds since the epoch). */
  readonly metMs: number;
  /** Addresses; null: who wrote isn't known. */
  readonly untold: readonly string[] | null;
  /** Address and until when it hears it again (milliseconds since the epoch). */
  readonly told: readonly (readonly [client: string, untilMs: number])[];
}

export class ConflictNews {
  readonly error: FsError;
  /** When it was met, in milliseconds since the epoch. */
  readonly metMs: number;
  /** Undefined: who wrote isn't known. The first who asks is told. */
  #untold: Set<string> | undefined;
  /** Until when they hear it again, in milliseconds since the epoch. */
  readonly #told = new Map<string, number>();
  #isChanged = false;

  /** `writers`: addresses of those whose bytes lost; `earlier`: a conflict of the same file that somebody may not have heard of. */
  constructor(error: FsError, writers: Iterable<string>, metMs: number, earlier?: ConflictNews) {
    this.error = error;
    this.metMs = metMs;
    const untold = new Set(writers);
    if (earlier !== undefined) {
      for (const client of earlier.#untold ?? []) untold.add(client);
      for (const [client, untilMs] of earlier.#told) this.#told.set(client, untilMs);
    }
    this.#untold = untold.size === 0 ? undefined : untold;
  }

  /** What the journal has of one; `error` tells its message. */
  static from({ untold, told, metMs }: ConflictRecord, error: FsError): ConflictNews {
    const news = new ConflictNews(error, [], metMs);
    news.#untold = untold === null ? undefined : new Set(untold);
    for (const [client, untilMs] of told) news.#told.set(client, untilMs);
    return news;
  }

  record(): ConflictRecord {
    const { metMs, error } = this;
    const untold = this.#untold === undefined ? null : [...this.#untold];
    return { message: error.message, metMs, untold, told: [...this.#told] };
  }

  /** What a WRITE or COMMIT of a client is answered with; undefined where it may go on. */
  refusal(client: string, nowMs: number): FsError | undefined {
    if (this.#untold === undefined || this.#untold.has(client)) {
      this.#untold ??= new Set();
      this.#untold.delete(client);
      this.#told.set(client, nowMs + TOLD_MS);
      this.#isChanged = true;
      return this.error;
    }
    const untilMs = this.#told.get(client);
    return untilMs !== undefined && nowMs < untilMs ? this.error : undefined;
  }

  /** The client makes the file anew or cuts it: what it writes from now on isn't what lost. */
  begunAnew(client: string): void {
    if (this.#told.delete(client)) this.#isChanged = true;
  }

  /** Whether the journal has less than is known here; it is asked for once. */
  takeChange(): boolean {
    const isChanged = this.#isChanged;
    this.#isChanged = false;
    return isChanged;
  }

  /** Nobody will hear of it again. */
  isOver(nowMs: number): boolean {
    return this.#untold?.size === 0 && [...this.#told.values()].every((untilMs) => untilMs <= nowMs);
  }
}
