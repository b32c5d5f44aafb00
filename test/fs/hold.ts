/** Stops requests on their way to the store, so that something else can happen in the middle of a call. */
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
 * Makes a call, and lets its request of number `request` (from 1) and all later ones hang: before or after the store has carried them out. Tells whether
 * the call ended or hangs. The store hangs until the caller sets `m.store[when]` to undefined.
 */
export async function callUntilHung(
  m: Mounted,
  when: 'before' | 'after',
  request: number,
  call: () => Promise<unknown>,
): Promise<'over' | 'hung'> {
  let requests = 0;
  return callUntil(m, when, () => ++requests >= request, call);
}

/** As `callUntilHung`, but only requests of one of these operations hang. */
export async function callUntilHungIn(
  m: Mounted,
  when: 'before' | 'after',
  operations: readonly StoreOperation[],
  call: () => Promise<unknown>,
): Promise<'over' | 'hung'> {
  return callUntil(m, when, (operation) => operations.includes(operation), call);
}

/** As `callUntilHung`, but those requests hang that `hangs` says. */
export async function callUntil(
  m: Mounted,
  when: 'before' | 'after',
  hangs: (operation: StoreOperation) => boolean,
  call: () => Promise<unknown>,
): Promise<'over' | 'hung'> {
  const hung = new Promise<'hung'>((resolve) => {
    m.store[when] = ({ operation }) => {
      if (!hangs(operation)) return;
      resolve('hung');
      return new Promise<void>(() => undefined);
    };
  });
  return Promise.race([call().then(() => 'over' as const), hung]);
}
