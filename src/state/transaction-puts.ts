/**
 * The puts of one of LMDB's transactions. Where it fails, of a full disk for one, lmdb rejects the promises of all of them, and one more that
 * it hangs on their errors: any that nobody handled would end the process.
 */
export class TransactionPuts {
  #last: Promise<unknown> | undefined;
  /** Those that differ: puts of one table mostly share a promise. */
  readonly #puts: Promise<unknown>[] = [];

  add(put: Promise<unknown>): void {
    if (put === this.#last) return;
    this.#last = put;
    put.catch(handleCommitError);
    this.#puts.push(put);
  }

  /** Resolves when all of them are committed; rejects where one isn't. */
  async committed(): Promise<void> {
    await Promise.all(this.#puts);
  }
}

/**
 * Whether it is the rejection of a promise of lmdb's own, of which nobody can know: it makes one where a turn's puts begin. Whoever waits for the
 * puts is told by theirs, and puts them again (node-committer.ts).
 */
export function isCommitFailure(reason: unknown): reason is Error {
  return handleCommitError(reason);
}

/** Whoever waits for the puts is told by their own promises. False where it is no error of a commit. */
function handleCommitError(error: unknown): boolean {
  const commitError = error instanceof Error && 'commitError' in error ? error.commitError : undefined;
  if (!(commitError instanceof Promise)) return false;
  commitError.catch(() => undefined);
  return true;
}
