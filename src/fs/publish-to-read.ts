/** What only an unfinished upload has, because memory and spool had no room for it, can't be read before the upload is an object. */
import type { SpoolFullError } from '../write/spool-full.js';
import { FsError } from './errors.js';
import type { FileNode } from './node.js';
import type { Publishing } from './publishing.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/**
 * Publishes a file so that it can be read, after a READ failed with `cause`: afterwards it is to be looked for anew. Errors: EJUKEBOX while the store
 * doesn't take it, after 20 s in any case; what else the store refuses it with; EIO where the file was removed and nothing of it is published. Never
 * ENOSPC, which a READ can't have.
 */
export async function publishToRead(
  { long }: Volume,
  publishing: Publishing,
  node: FileNode,
  cause: SpoolFullError,
): Promise<void> {
  if (node.silly?.withheld === true)
    throw new FsError('EIO', `a removed file can't be read: ${cause.message}`, { cause });
  try {
    await long.within(publishing.publish(node), `READ of file ${node.id}`);
  } catch (error) {
    const failure = toFsError(error);
    // Somebody else's object won, and is read.
    if (node.session === undefined) return;
    if (failure.code !== 'ENOSPC') throw failure;
    throw new FsError('EJUKEBOX', failure.message, { cause: failure });
  }
}
