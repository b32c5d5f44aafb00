/**
 * Room for WRITEs where memory and spool are full of what isn't published yet: files that rest before they are published, or wait to be tried
 * again, are published now. Uploads that are under way anyway are waited for by the write sessions themselves (write/spiller.ts).
 */
import { unlessAborted } from '../write/unless-aborted.js';
import { FsError } from './errors.js';
import type { Publishing } from './publishing.js';

export class RoomForWrites {
  readonly #publishings: readonly Publishing[];
  /** Shared by all WRITEs that find no room meanwhile. */
  #making: Promise<boolean> | undefined;

  /** `publishings`: of everything that shares the memory and the spool. */
  constructor(publishings: readonly Publishing[]) {
    this.#publishings = publishings;
  }

  /**
   * `write`'s result, which is called again when there is room. Errors: ENOSPC where nothing is left to publish, or the store refuses all of it;
   * EJUKEBOX where it doesn't answer; the reason of `patience` when that is aborted; whatever else `write` rejects with.
   */
  async run(write: () => Promise<void>, patience: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await write();
        return;
      } catch (error) {
        if (!(error instanceof FsError && error.code === 'ENOSPC')) throw error;
        if (!(await unlessAborted(this.#make(), patience))) throw error;
      }
    }
  }

  /** Whether there may be more room now. Errors: EJUKEBOX. */
  #make(): Promise<boolean> {
    this.#making ??= this.#publishSome().finally(() => {
      this.#making = undefined;
    });
    return this.#making;
  }

  /** Resolves at the first publication that succeeds; the others go on. */
  async #publishSome(): Promise<boolean> {
    const publications = this.#publishings.flatMap((publishing) => publishing.publishResting());
    try {
      await Promise.any(publications);
      return true;
    } catch (error) {
      const failures = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
      const later = failures.find((failure) => failure instanceof FsError && failure.code === 'EJUKEBOX');
      if (later instanceof FsError) throw later;
      return false;
    }
  }
}
