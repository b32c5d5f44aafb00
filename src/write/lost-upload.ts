/** The store has an upload no more whose parts are nowhere else: what they held is lost. The message says of which file, and what to do. */
export class LostUploadError extends Error {
  override readonly name = 'LostUploadError';
}
