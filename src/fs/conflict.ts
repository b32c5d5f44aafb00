/** What becomes of a file that somebody else replaced while it was changed here (docs/decisions/0007-conflicts.md). */
import type { ObjectHeaders } from '../store/object-store.js';
import { SpoolFullError } from '../write/spool-full.js';
import { FsError } from './errors.js';
import { changeRef, createRef, keepLoser, noteSibling } from './journaling.js';
import { NEVER_MS, type FileNode } from './node.js';
import { isReplaced, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A key beside the file's for what was written here, that nothing is at. */
async function siblingKey({ clock, store }: Volume, node: FileNode, key: string): Promise<string> {
  const stamp = new Date(clock.nowMs()).toISOString().replace(/[-:]|\.\d+/g, '');
  const first = `${key}.s3nfsd-conflict-${stamp}-${node.id.toString(36)}`;
  // A file may lose twice within a second.
  for (let at = 1; ; at++) {
    const sibling = at === 1 ? first : `${first}-${at}`;
    if ((await store.head(sibling)) === undefined) return sibling;
  }
}

/**
 * Somebody else's object is at the key: it stays, and what was written here is kept beside it. EIO where bytes were; the store's errors as
 * FsError, and then everything is as it was.
 */
export async function conflict(
  volume: Volume,
  node: FileNode,
  { key, headers, cause }: { readonly key: string; readonly headers: ObjectHeaders; readonly cause: unknown },
): Promise<void> {
  let kept: string | undefined;
  let lost = false;
  let inUpload = false;
  if (node.session?.dirty === true) {
    try {
      kept = await siblingKey(volume, node, key);
      const { etag } = await node.session.publish({ key: kept, headers });
      if (volume.losersHaveAge) noteSibling(volume, kept, etag);
    } catch (error) {
      kept = undefined;
      if (error instanceof SpoolFullError) {
        inUpload = await keepLoser(volume, node);
        if (!inUpload) throw toFsError(error);
      } else if (isReplaced(error)) {
        // What was changed here were parts of the object that is gone: there is no whole file to keep.
        lost = true;
      } else throw toFsError(error);
    }
  }
  const { session } = node;
  node.session = undefined;
  node.created = false;
  node.attributesDirty = false;
  node.version = undefined;
  node.headers = undefined;
  node.validatedMs = NEVER_MS;
  node.touchCtime(volume.nowNs);
  volume.intents.end(createRef(node));
  volume.intents.end(changeRef(node));
  const parent = volume.parentOf(node);
  parent.unpublishedFiles.delete(volume.nameOf(node));
  parent.forgetListing();
  volume.readers.forget(key);
  volume.nodes.trackBusy(node);
  if (!inUpload) await session?.discard();
  const what = `"${key}" in ${volume.name} was changed by somebody else while it was changed here; their object stays`;
  if (lost) {
    volume.log.error({ err: cause }, `${what}; the parts changed here could not be kept`);
    node.conflict = new FsError('EIO', `${what}; the parts changed here could not be kept`, { cause });
    throw node.conflict;
  }
  if (inUpload) {
    const where = `the bytes written here are in an unfinished upload, and published when the daemon is started while "${key}" is free`;
    volume.log.error({ err: cause }, `${what}; ${where}`);
    node.conflict = new FsError('EIO', `${what}; ${where}`, { cause });
    throw node.conflict;
  }
  if (kept === undefined) {
    volume.log.warn({ err: cause }, `${what}; a change of attributes was dropped`);
    return;
  }
  volume.log.error({ err: cause, kept }, `${what}; the bytes written here are in "${kept}"`);
  node.conflict = new FsError('EIO', `${what}; the bytes written here are in "${kept}"`, { cause });
  throw node.conflict;
}
