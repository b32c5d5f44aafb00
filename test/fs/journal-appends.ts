/** Stands in the way of appends to the journals of this process. */
import type { Test } from 'tap';
import type { Intent } from '../../src/fs/intent-log.js';
import { Journal, type JournalEntry } from '../../src/state/journal.js';

/**
 * Asks `intercept` before each append: what it returns is the append's result, and nothing is appended; undefined lets the append through. Until the
 * test ends, or the function returned is called.
 */
export function interceptAppends(
  t: Test,
  intercept: (intent: Partial<Intent> | undefined) => Promise<void> | undefined,
): () => void {
  const original = Object.getOwnPropertyDescriptor(Journal.prototype, 'append') ?? {};
  const append = original.value as Journal['append'];
  const restore = (): void => void Object.defineProperty(Journal.prototype, 'append', original);
  Object.defineProperty(Journal.prototype, 'append', {
    ...original,
    value: function (this: Journal, entry: JournalEntry): Promise<void> {
      const { intent } = entry as { readonly intent?: Partial<Intent> };
      return intercept(intent) ?? append.call(this, entry);
    },
  });
  t.teardown(restore);
  return restore;
}
