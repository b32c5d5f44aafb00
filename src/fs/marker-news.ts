/** What a LIST, and a HEAD where it takes one, tell of a directory's marker. */
import type { ListPage, ObjectSummary } from '../store/object-store.js';
import { toNs } from './clock.js';
import type { DirectoryNode } from './node.js';
import { readPosixMetadata, type PosixMetadata } from './posix-metadata.js';
import { headersOnly } from './store-answers.js';
import { rethrowAsFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A directory's marker. A page in order begins with it; one of many without order may leave it to a later one. */
export async function markerIn(
  volume: Volume,
  page: ListPage,
  prefix: string,
): Promise<ObjectSummary | undefined> {
  if (prefix === '') return undefined;
  const listed = page.objects.find((object) => object.key === prefix);
  const { store } = volume;
  if (listed !== undefined || page.continuationToken === undefined || store.capabilities.orderedListing)
    return listed;
  return store.head(prefix).catch(rethrowAsFsError);
}

/** Takes over what a directory's marker carries, `undefined` where there is none. Fails with FsError. */
export async function applyMarker(
  volume: Volume,
  node: DirectoryNode,
  prefix: string,
  marker: ObjectSummary | undefined,
): Promise<void> {
  if (marker === undefined) {
    node.marker = null;
    return;
  }
  const known = node.marker;
  if (known?.etag === marker.etag && known.lastModifiedMs === marker.lastModifiedMs && node.markerHeaders)
    return;
  const { epoch } = node;
  if (volume.metadata === 'none') {
    node.marker = { etag: marker.etag, lastModifiedMs: marker.lastModifiedMs };
    node.markerHeaders = undefined;
    applyTimes(node, {}, marker.lastModifiedMs, known != null && known.etag !== marker.etag);
    return;
  }
  const head = await volume.store.head(prefix).catch(rethrowAsFsError);
  if (head === undefined || node.epoch !== epoch) return;
  const posix = readPosixMetadata(head.metadata);
  const changed = known != null && known.etag !== head.etag;
  node.marker = { etag: head.etag, lastModifiedMs: head.lastModifiedMs };
  node.markerHeaders = headersOnly(head);
  node.markerBytes = head.size;
  if (!volume.keepsAttributesInState('directory')) node.attributesInState = false;
  if (!node.attributesInState) {
    node.mode = posix.mode;
    node.uid = posix.uid;
    node.gid = posix.gid;
  }
  applyTimes(node, posix, head.lastModifiedMs, changed);
}

function applyTimes(
  node: DirectoryNode,
  { mtimeNs, atimeNs }: PosixMetadata,
  lastModifiedMs: number,
  changed: boolean,
): void {
  const lastModifiedNs = toNs(lastModifiedMs);
  const isNew = node.ctimeNs === 0n || node.onlyListedMs !== undefined || changed;
  // Entries that came and went since the marker was written moved the time further than it says.
  if (isNew) node.mtimeNs = mtimeNs ?? lastModifiedNs;
  if (isNew) node.touchCtime(lastModifiedNs);
  if (isNew || !node.attributesInState) node.atimeNs = atimeNs ?? node.mtimeNs;
}
