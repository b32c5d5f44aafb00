import { StoreError, type StoreErrorKind } from '../../src/store/errors.js';

/** The kind of StoreError a promise rejects with; throws when it resolves or rejects with anything else. */
export async function storeErrorKind(promise: Promise<unknown>): Promise<StoreErrorKind> {
  let value: unknown;
  try {
    value = await promise;
  } catch (error) {
    if (error instanceof StoreError) return error.kind;
    throw error;
  }
  throw new Error(`expected a StoreError, got ${String(value)}`);
}
