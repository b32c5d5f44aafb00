/** Stops a request on its way to the store, so that something else can happen in the middle of a call. */
import type { StoreOperation } from '../support/memory-store.js';
import type { Mounted } from './mounted.js';

/** Holds the next request of a kind before it reaches the store. */
export function hold(m: Mounted, operation: StoreOperation): { reached: Promise<void>; open: () => void } {
  let arrive = (): void => undefined;
  let open = (): void => undefined;
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  const opened = new Promise<void>((resolve) => (open = resolve));
  m.store.before = (call) => {
    if (call.operation !== operation) return;
    m.store.before = undefined;
    arrive();
    return opened;
  };
  return { reached, open };
}

/**
 * Makes a call of which the request with this number, and all after it, never end: before or after the store carries them out. Whether the call was
 * over by then. The store is as before once `m.store[when]` is undefined.
 */
export async function callUntilHung(
  m: Mounted,
  when: 'before' | 'after',
  request: number,
  call: () => Promise<unknown>,
): Promise<'over' | 'hung'> {
  let requests = 0;
  const hung = new Promise<'hung'>((resolve) => {
    m.store[when] = () => {
      if (++requests < request) return;
      resolve('hung');
      return new Promise<void>(() => undefined);
    };
  });
  return Promise.race([call().then(() => 'over' as const), hung]);
}
