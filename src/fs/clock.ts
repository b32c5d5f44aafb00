/** Time as the file system sees it, so that tests can bring their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Runs `task` after `delayMs`; the returned function cancels it. A pending task doesn't keep the process alive. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

/** Nanoseconds since the epoch: the unit of every time in this layer. */
export const toNs = (ms: number): bigint => BigInt(Math.trunc(ms)) * 1_000_000n;
