/** Memory and spool are full, or data is only in an unfinished upload: the message tells which. */
export class SpoolFullError extends Error {
  override readonly name = 'SpoolFullError';
}
