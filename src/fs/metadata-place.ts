/**
 * Where modes, owners and times that clients set are kept: on the objects, or in the state directory's records of nodes alone, as the times of
 * directories always are. With `none` objects aren't asked for any either, so that a listing tells all there is (decision 0018).
 */
import type { FileType } from './file-system.js';
import { SYMLINK_METADATA, withoutTimes } from './posix-metadata.js';

export type MetadataPlace = 'objects' | 'state' | 'none';

const FROM_OBJECTS_OUT: readonly MetadataPlace[] = ['objects', 'state', 'none'];

/** What holds where exports of one bucket say different things: objects that one of them keeps clean stay so. */
export function farthestFromObjects(places: readonly MetadataPlace[]): MetadataPlace {
  const farthest = Math.max(0, ...places.map((place) => FROM_OBJECTS_OUT.indexOf(place)));
  return FROM_OBJECTS_OUT[farthest] ?? 'objects';
}

/**
 * User metadata of an object that carries no attributes of ours: what it had, but for times, which are those of its former bytes. A symlink is one by
 * its metadata alone: that is the exception.
 */
export function keptMetadata(
  had: Readonly<Record<string, string>>,
  type: FileType,
): Readonly<Record<string, string>> {
  const kept = withoutTimes(had);
  return type === 'symlink' ? { ...kept, ...SYMLINK_METADATA } : kept;
}
