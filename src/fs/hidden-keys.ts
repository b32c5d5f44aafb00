/** Tells the log of keys that the mount doesn't show, each once. They are never touched, so nothing else would tell of them. */
import { LRUCache } from 'lru-cache';
import type { Logger } from '../telemetry/log.js';
import type { HiddenKeys } from './store-answers.js';

/** Keys that are remembered as told; of one that was forgotten the log is told again. */
const REMEMBERED_MAX = 4096;

/** `bucket` names the bucket in the log. */
export function noteHidden(log: Logger, bucket: string): HiddenKeys['note'] {
  const told = new LRUCache<string, true>({ max: REMEMBERED_MAX });
  return (key, why) => {
    if (told.get(key) === true) return;
    told.set(key, true);
    log.warn({ bucket, key, why }, 'the mount does not show this key; rename it by an S3 tool to see it');
  };
}
