/** Requests that reach the in-memory store or don't, and whose answer nobody gets. */
import { StoreError } from '../../src/store/errors.js';
import type { StoreOperation } from '../support/memory-store.js';
import type { Mounted } from './mounted.js';

/** What a request fails with that was not answered: it may have had its effect. */
export function unanswered(operation: StoreOperation): StoreError {
  return new StoreError('unavailable', 'not answered', { operation, bucket: 'bucket' });
}

/** The next request of a kind takes effect and is not answered. */
export function loseAnswer(m: Mounted, operation: StoreOperation): void {
  m.store.after = (call) => {
    if (call.operation !== operation) return;
    m.store.after = undefined;
    throw unanswered(operation);
  };
}
