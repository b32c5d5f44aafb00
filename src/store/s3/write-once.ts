/**
 * Writes that take effect once, however many attempts they need. One whose answer was lost may have taken effect, and then its own retry is
 * refused: the condition no longer holds, the upload is completed, the source is renamed. Such a refusal is looked into before it is believed.
 */
import { StoreError, type StoreErrorKind } from '../errors.js';
import type { Attempt } from './attempt.js';
import type { S3Context } from './context.js';
import type { RunOptions } from './requests.js';

export interface Write<T> {
  readonly operation: string;
  readonly key: string;
  readonly signal: AbortSignal | undefined;
  readonly options?: RunOptions;
  readonly send: (attempt: Attempt) => Promise<T>;
  /** How S3 refuses the repetition of one that took effect. */
  readonly refusals: readonly StoreErrorKind[];
  /** The result of one that took effect, where the store proves that; `beganMs`: performance.now() before its first attempt. */
  readonly find: (beganMs: number) => Promise<T | undefined>;
}

/** What `send` resolves to, or what `find` does after a refusal. Errors: those of Requests.run; of `find`. */
export async function writeOnce<T>(context: S3Context, write: Write<T>): Promise<T> {
  const { operation, key, signal, options, send, refusals, find } = write;
  const beganMs = performance.now();
  let isLost = false;
  try {
    return await context.requests.run(
      operation,
      key,
      signal,
      (attempt) => {
        isLost ||= attempt.previous?.kind === 'unavailable';
        return send(attempt);
      },
      options,
    );
  } catch (error) {
    if (!isLost || !(error instanceof StoreError) || !refusals.includes(error.kind)) throw error;
    const found = await find(beganMs);
    if (found === undefined) throw error;
    return found;
  }
}
