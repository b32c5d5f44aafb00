/**
 * Where modes, owners and times that clients set are kept (`--metadata`): in the metadata of objects, or only in the state directory's records of nodes,
 * where the times of directories always are. With `none` the metadata of objects isn't read either, so that a listing tells all there is
 * (docs/decisions/0018-metadata-off-objects.md).
 */
import type { FileType } from './file-system.js';
import { SYMLINK_METADATA, withoutTimes } from './posix-metadata.js';

export type MetadataPlace = 'objects' | 'state' | 'none';

const FROM_OBJECTS_OUT: readonly MetadataPlace[] = ['objects', 'state', 'none'];

/** What holds where exports of one bucket differ: if one of them keeps metadata off the objects, all do. */
export function farthestFromObjects(places: readonly MetadataPlace[]): MetadataPlace {
  const farthest = Math.max(0, ...places.map((place) => FROM_OBJECTS_OUT.indexOf(place)));
  return FROM_OBJECTS_OUT[farthest] ?? 'objects';
}

/**
 * User metadata for an object that is written without our attributes: what it had before, except times, which belonged to the former bytes. A symlink is
 * told from a file by its metadata only, so it gets that.
 */
export function keptMetadata(
  had: Readonly<Record<string, string>>,
  type: FileType,
): Readonly<Record<string, string>> {
  const kept = withoutTimes(had);
  return type === 'symlink' ? { ...kept, ...SYMLINK_METADATA } : kept;
}
