import type { NodeTable } from '../state/node-table.js';
import type { Logger } from '../telemetry/log.js';
import type { Clock } from './clock.js';
import type { IntentLog } from './intent-log.js';

/** The part of a volume that is used by what is kept in the journal of its files. */
export interface JournaledVolume {
  readonly name: string;
  readonly table: NodeTable;
  readonly intents: IntentLog;
  readonly clock: Clock;
  readonly log: Logger;
}
