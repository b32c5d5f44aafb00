/**
 * Takes records of removed files and directories out of the state database, a few at a time beside the calls of clients. They are kept for a
 * while: a scan of a directory that stopped at an entry goes on after its name though the entry is gone meanwhile.
 */
import type { Logger } from '../telemetry/log.js';
import type { Clock } from './clock.js';
import type { NodeCache } from './node-cache.js';

/** A scan that was left for longer, at an entry that was removed, begins anew. */
const KEPT_MS = 7 * 24 * 3600 * 1000;
/** Records at once: some milliseconds. */
const BATCH = 500;
const BETWEEN_BATCHES_MS = 20;
const BETWEEN_SEARCHES_MS = 600_000;

/** Begins to collect; the returned function ends it, and resolves when no batch is under way. */
export function collectRemoved(nodes: NodeCache, clock: Clock, log: Logger): () => Promise<void> {
  let ended = false;
  let running: Promise<void> = Promise.resolve();
  const search = async (): Promise<void> => {
    let more = false;
    try {
      more = await nodes.collectRemoved(clock.nowMs() - KEPT_MS, BATCH);
    } catch (error) {
      log.error({ err: error }, 'records of removed files could not be collected');
    }
    if (!ended) plan(more ? BETWEEN_BATCHES_MS : BETWEEN_SEARCHES_MS);
  };
  let cancel = (): void => undefined;
  const plan = (delayMs: number): void => {
    cancel = clock.after(delayMs, () => {
      running = search();
    });
  };
  plan(BETWEEN_BATCHES_MS);
  return () => {
    ended = true;
    cancel();
    return running;
  };
}
