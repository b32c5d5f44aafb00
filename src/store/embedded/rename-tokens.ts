/** Renames that were made under a client token: one that is asked for again has happened already. */
import { S3Error } from './errors.js';

/** A rename as the journal keeps it. */
export interface MadeRename {
  readonly token: string;
  /** A digest of names and conditions. */
  readonly request: string;
  readonly atMs: number;
}

/** A client that still tries after an hour has given up on its answer long ago; S3 names no time. */
const KEPT_MS = 60 * 60 * 1000;
const TOKENS_MAX = 10_000;

export class RenameTokens {
  /** In the order in which they were made. */
  readonly #made = new Map<string, MadeRename>();

  add(made: MadeRename): void {
    this.#made.set(made.token, made);
    for (const [token, { atMs }] of this.#made) {
      if (this.#made.size <= TOKENS_MAX && made.atMs - atMs < KEPT_MS) break;
      this.#made.delete(token);
    }
  }

  /** Whether this very request was carried out. Fails with IdempotencyParameterMismatch where another was, under the same token. */
  has(token: string, request: string): boolean {
    const made = this.#made.get(token);
    if (made !== undefined && made.request !== request) throw new S3Error('IdempotencyParameterMismatch');
    return made !== undefined;
  }

  all(): Iterable<MadeRename> {
    return this.#made.values();
  }
}
