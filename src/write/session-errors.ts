/** What a write session fails with by itself. */
import { StoreError } from '../store/errors.js';

/** `max` and `size` in bytes. */
export function tooLarge(bucket: string, max: number, size: number): StoreError {
  const about = { operation: 'UploadPart', bucket };
  return new StoreError('too-large', `expected a file of at most ${max} bytes, got ${size}`, about);
}

export function sessionAborted(bucket: string, cause: unknown): StoreError {
  const about = { operation: 'PutObject', bucket };
  return new StoreError('aborted', 'the write session was discarded or its publication aborted', about, {
    cause,
  });
}
