/** The state directory, open: node table, journal and durable spool, with what caches them. */
import type { MemoryBudget } from '../memory/memory-budget.js';
import { Journal } from '../state/journal.js';
import { NodeTable } from '../state/node-table.js';
import { SpoolSegments, type SpooledPiece } from '../write/spool-segments.js';
import type { Clock } from './clock.js';
import type { FileSystemParts } from './file-system-parts.js';
import { IntentLog } from './intent-log.js';
import { NodeCache } from './node-cache.js';

/** One node, and one record of the node table, is kept in memory for so many bytes of the budget; but so many at least and at most. */
const BUDGET_BYTES_PER_NODE = 20 * 1024;
const NODES_MIN = 4096;
const NODES_MAX = 50_000;

export interface OpenedState {
  readonly table: NodeTable;
  readonly nodes: NodeCache;
  readonly intents: IntentLog;
  readonly segments: SpoolSegments;
  close(): Promise<void>;
}

/** Fails when the journal can't be read. */
export async function openState(
  { state, budget, spool, log }: FileSystemParts,
  secret: Buffer,
  clock: Clock,
): Promise<OpenedState> {
  const nodesMax = nodesFor(budget);
  const table = NodeTable.open(state.path, {
    secret,
    nowMs: () => clock.nowMs(),
    cachedNodesMax: nodesMax,
  });
  const { journal, entries } = await Journal.open(state.journalPath);
  const intents = new IntentLog(journal, entries, (error) =>
    log.error({ err: error }, 'the journal could not be written'),
  );
  await spool.begin();
  const segments = await SpoolSegments.open(spool, log, piecesOf(intents));
  return {
    table,
    nodes: new NodeCache(table, nodesMax),
    intents,
    segments,
    close: async () => {
      await segments.close();
      await journal.close();
      await table.close();
    },
  };
}

/**
 * What is known of files lies beside the memory limit, with its room for the collector: where the limit is small, less of it is kept. 11,000 files with
 * 256 MiB.
 */
function nodesFor({ limitBytes }: MemoryBudget): number {
  return Math.max(NODES_MIN, Math.min(NODES_MAX, Math.floor(limitBytes / BUDGET_BYTES_PER_NODE)));
}

/** What of the spool the journal names. */
function piecesOf(intents: IntentLog): SpooledPiece[] {
  return [...intents.live().values()].flatMap((intent) =>
    intent.kind === 'written' ? intent.record.extents.map(({ piece }) => piece) : [],
  );
}
