/**
 * What becomes of a file that somebody else replaced while it was changed here (docs/decisions/0007-conflicts.md). Their object stays at the key. The
 * bytes written here are the loser:
 *
 *   whole file, room to publish it    -> sibling object `<key>.s3nfsd-conflict-<time>-<id>`
 *   whole file, no room in the spool  -> left in the unfinished upload and the journal
 *   parts of the replaced object      -> lost: there is no whole file to keep
 *   attributes alone                  -> dropped, with a warning
 */
import { StoreError } from '../store/errors.js';
import type { ObjectHeaders } from '../store/object-store.js';
import { SpoolFullError } from '../write/spool-full.js';
import { FsError } from './errors.js';
import { changeRef, createRef, keepLoser, noteSibling } from './journaling.js';
import { NEVER_MS, type FileNode } from './node.js';
import { siblingKey } from './sibling-key.js';
import { isReplaced, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Names of siblings that others take meanwhile. */
const ATTEMPTS_MAX = 5;

/** A free key beside the file's, for the bytes written here. */
async function freeSibling({ clock, store }: Volume, node: FileNode, key: string): Promise<string> {
  const stamp = new Date(clock.nowMs()).toISOString().replace(/[-:]|\.\d+/g, '');
  const suffix = `.s3nfsd-conflict-${stamp}-${node.id.toString(36)}`;
  // The stamp has seconds: a file may lose twice within one.
  for (let at = 1; ; at++) {
    const sibling = siblingKey(key, at === 1 ? suffix : `${suffix}-${at}`);
    if ((await store.head(sibling)) === undefined) return sibling;
  }
}

/** Where the bytes written here are, after a conflict. */
type Loser =
  | { readonly place: 'sibling'; readonly key: string }
  | { readonly place: 'upload' }
  | { readonly place: 'lost' }
  | { readonly place: 'no bytes' };

/** What is to be published at `key`, and the error that told of the other object. */
interface Conflict {
  readonly key: string;
  readonly headers: ObjectHeaders;
  readonly cause: unknown;
}

/**
 * Gives way to somebody else's object at the key of a file, and keeps what was written here beside it. The file is theirs afterwards. Errors: EIO
 * where bytes were written here, also where they were kept; the store's errors as FsError, and then everything is as it was.
 */
export async function resolveConflict(volume: Volume, node: FileNode, conflict: Conflict): Promise<void> {
  const { key, cause } = conflict;
  const what = `"${key}" in ${volume.name} was changed by somebody else while it was changed here; their object stays`;
  const loser = await keepBytesAndNews(volume, node, conflict, what);
  const { session } = node;
  takeTheirs(volume, node, conflict.key);
  if (loser.place === 'sibling') showSibling(volume, node, conflict.key, loser.key);
  if (loser.place !== 'upload') await session?.discard();
  if (loser.place === 'no bytes') {
    volume.log.warn({ err: cause }, `${what}; a change of attributes was dropped`);
    return;
  }
  const message = `${what}; ${whereabouts(loser, key)}`;
  volume.log.error({ err: cause, ...(loser.place === 'sibling' && { kept: loser.key }) }, message);
  const error = new FsError('EIO', message, { cause });
  await volume.conflicts.add(node, error);
  throw error;
}

/** Those whose bytes lose are to hear of it even if this process ends before the next line: the journal is told first. */
async function keepBytesAndNews(
  volume: Volume,
  node: FileNode,
  conflict: Conflict,
  what: string,
): Promise<Loser> {
  if (node.session?.dirty !== true) return { place: 'no bytes' };
  const takeBack = await volume.conflicts.foresee(node, what);
  try {
    const loser = await keepBytes(volume, node, conflict);
    if (loser.place === 'no bytes') takeBack();
    return loser;
  } catch (error) {
    takeBack();
    throw error;
  }
}

async function keepBytes(volume: Volume, node: FileNode, { key, headers }: Conflict): Promise<Loser> {
  for (let attempt = 1; node.session?.dirty === true; attempt++) {
    try {
      const sibling = await freeSibling(volume, node, key);
      const { etag } = await node.session.publish({ key: sibling, headers, condition: { ifNoneMatch: '*' } });
      if (volume.losersHaveAge) noteSibling(volume, sibling, etag);
      return { place: 'sibling', key: sibling };
    } catch (error) {
      if (error instanceof SpoolFullError && (await keepLoser(volume, node))) return { place: 'upload' };
      // Another daemon with the same ids keeps its loser there, of the same second.
      if (isOfSibling(error) && attempt < ATTEMPTS_MAX) continue;
      if (isOfSibling(error))
        throw toFsError(error, { 'precondition-failed': 'EJUKEBOX', 'not-found': 'EJUKEBOX' });
      // Unchanged parts are copied from the object that is gone.
      if (isReplaced(error)) return { place: 'lost' };
      throw toFsError(error);
    }
  }
  return { place: 'no bytes' };
}

/** What failed is the making of the sibling: it says nothing of the object that the bytes were written over. */
const isOfSibling = (error: unknown): boolean =>
  error instanceof StoreError &&
  isReplaced(error) &&
  (error.code === 'NoSuchUpload' || /^(PutObject|CompleteMultipartUpload)$/.test(error.operation));

/** Drops what is known and unpublished of the file: the next look asks the store for the other object. */
function takeTheirs(volume: Volume, node: FileNode, key: string): void {
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
}

/** What was listed of the directory that the sibling is in tells nothing of it. */
function showSibling(volume: Volume, node: FileNode, key: string, sibling: string): void {
  let directory = volume.parentOf(node);
  for (let up = key.split('/').length - sibling.split('/').length; up > 0; up -= 1)
    directory = volume.parentOf(directory);
  directory.forgetListing();
}

function whereabouts(loser: Exclude<Loser, { readonly place: 'no bytes' }>, key: string): string {
  switch (loser.place) {
    case 'sibling':
      return `the bytes written here are in "${loser.key}"`;
    case 'upload':
      return `the bytes written here are in an unfinished upload, and published when the daemon is started while "${key}" is free`;
    case 'lost':
      return 'the parts changed here could not be kept';
  }
}
