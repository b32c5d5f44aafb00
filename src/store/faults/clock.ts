/** Time as the fault layer sees it, so that tests can bring their own. */
export interface FaultClock {
  /** Milliseconds that only go forward. */
  nowMs(): number;
  /** Runs `task` after `delayMs`; the returned function cancels it. */
  after(delayMs: number, task: () => void): () => void;
}

export const monotonicClock: FaultClock = {
  nowMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Timers of Node hold 31 bits of milliseconds, and run out at once beyond. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** Resolves after `ms`, or at once when `signal` is aborted. */
export async function pause(clock: FaultClock, ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      cancel?.();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const cancel = ms === Infinity ? undefined : clock.after(Math.min(ms, TIMER_MS_MAX), done);
    signal.addEventListener('abort', done, { once: true });
  });
}
