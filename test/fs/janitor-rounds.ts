/** Time that passes for the janitor: it makes a round an hour, and each goes to the disk. */
import { setImmediate } from 'node:timers/promises';
import { JANITOR_RULES_DEFAULT } from '../../src/fs/janitor.js';
import type { Mounted } from './mounted.js';

const { intervalMs } = JANITOR_RULES_DEFAULT;

/** Resolves when the janitor waits for its next round, however slow the disk is: time that passes before makes none. */
async function idle(m: Mounted): Promise<void> {
  while (!m.clock.delays.includes(intervalMs)) await setImmediate();
}

/** So much time, an hour at least, and a round at its end; and one more an hour later. */
export async function pass(m: Mounted, ms: number): Promise<void> {
  for (const step of [ms, intervalMs]) {
    await idle(m);
    m.clock.advance(step);
    await idle(m);
  }
}
