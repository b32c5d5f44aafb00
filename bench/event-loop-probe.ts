/**
 * Loaded into the daemon by `--import`, by the benchmarks only: at each message of its parent it tells how late the event loop has been since the
 * last one, as { p99Ms, maxMs }.
 */
// First, as in main.ts: what comes before it would let the young generation grow to 16 MiB, and what that has it keeps.
import '../src/heap.js';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** A timer of so many milliseconds is watched: what it takes longer is the delay. */
const RESOLUTION_MS = 10;

const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delays.enable();
const beyond = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
process.on('message', () => {
  process.send?.({ p99Ms: beyond(delays.percentile(99)), maxMs: beyond(delays.max) });
  delays.reset();
});
process.channel?.unref();
