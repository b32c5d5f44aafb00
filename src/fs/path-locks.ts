/**
 * Who may change what at the same time, by key. A claim names all it needs at once and gets all of it or waits, so no two
 * claims wait for each other; claims that exclude each other are served in the order they came.
 *
 *   touches  bytes or attributes of the file at a key change; any number at a time
 *   changes  the entry at a key comes, goes, or gets another name: alone at its key
 *   moves    everything below a prefix gets other keys or goes away: alone with all of it
 */
import { reasonOf } from '../write/unless-aborted.js';

export interface Claim {
  readonly touches?: readonly string[];
  readonly changes?: readonly string[];
  /** With their trailing slash. */
  readonly moves?: readonly string[];
}

interface Waiter {
  readonly claim: Claim;
  readonly enter: () => void;
}

export class PathLocks {
  /** WRITEs come by the hundred and exclude nobody among themselves: they are kept apart, to be passed over. */
  readonly #touching = new Set<Claim>();
  readonly #changing = new Set<Claim>();
  readonly #waiting: Waiter[] = [];

  /**
   * Runs `task` with what `claimOf` names. Keys change while one waits: the claim is named again when it is granted, and taken anew
   * until it holds. What `claimOf` throws is passed on. When `patience` is aborted before the task began, it never does: rejects with
   * its reason.
   */
  async run<T>(claimOf: () => Claim, task: () => Promise<T>, patience?: AbortSignal): Promise<T> {
    for (;;) {
      patience?.throwIfAborted();
      const claim = claimOf();
      await this.#take(claim, patience);
      try {
        if (same(claim, claimOf())) return await task();
      } finally {
        this.#leave(claim);
      }
    }
  }

  async #take(claim: Claim, patience: AbortSignal | undefined): Promise<void> {
    if (this.#admits(claim, this.#waiting.length)) {
      this.#enter(claim);
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        if (patience !== undefined) reject(reasonOf(patience));
        // Whoever stood behind this claim may go now.
        this.#admitWaiting();
      };
      const waiter: Waiter = {
        claim,
        enter: () => {
          patience?.removeEventListener('abort', leave);
          resolve();
        },
      };
      patience?.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiter);
    });
  }

  /** Nothing held, and nobody of the first `waiters` in line, excludes the claim. */
  #admits(claim: Claim, waiters: number): boolean {
    for (const held of this.#changing) if (exclude(held, claim)) return false;
    if (!onlyTouches(claim)) for (const held of this.#touching) if (exclude(held, claim)) return false;
    for (let at = 0; at < waiters; at++) {
      const waiting = this.#waiting[at];
      if (waiting !== undefined && exclude(waiting.claim, claim)) return false;
    }
    return true;
  }

  #enter(claim: Claim): void {
    (onlyTouches(claim) ? this.#touching : this.#changing).add(claim);
  }

  #leave(claim: Claim): void {
    this.#touching.delete(claim);
    this.#changing.delete(claim);
    this.#admitWaiting();
  }

  #admitWaiting(): void {
    for (let at = 0; at < this.#waiting.length;) {
      const waiter = this.#waiting[at];
      if (waiter === undefined || !this.#admits(waiter.claim, at)) {
        at++;
        continue;
      }
      this.#waiting.splice(at, 1);
      this.#enter(waiter.claim);
      waiter.enter();
    }
  }
}

const NONE: readonly string[] = [];

const onlyTouches = ({ changes = NONE, moves = NONE }: Claim): boolean =>
  changes.length === 0 && moves.length === 0;

function exclude(a: Claim, b: Claim): boolean {
  const [aTouches, aChanges, aMoves] = [a.touches ?? NONE, a.changes ?? NONE, a.moves ?? NONE];
  const [bTouches, bChanges, bMoves] = [b.touches ?? NONE, b.changes ?? NONE, b.moves ?? NONE];
  return (
    aChanges.some((key) => bChanges.includes(key) || bTouches.includes(key)) ||
    bChanges.some((key) => aTouches.includes(key)) ||
    aMoves.some(
      (prefix) =>
        bChanges.some((key) => key.startsWith(prefix)) ||
        bTouches.some((key) => key.startsWith(prefix)) ||
        bMoves.some((other) => other.startsWith(prefix) || prefix.startsWith(other)),
    ) ||
    bMoves.some(
      (prefix) =>
        aChanges.some((key) => key.startsWith(prefix)) || aTouches.some((key) => key.startsWith(prefix)),
    )
  );
}

const sameKeys = (a: readonly string[] = NONE, b: readonly string[] = NONE): boolean =>
  a.length === b.length && a.every((key, at) => key === b[at]);

const same = (a: Claim, b: Claim): boolean =>
  sameKeys(a.touches, b.touches) && sameKeys(a.changes, b.changes) && sameKeys(a.moves, b.moves);
