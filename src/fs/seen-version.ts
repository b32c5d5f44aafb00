/** Takes over what the store says of a file, and leaves what the state directory alone knows of it. */
import { toNs } from './clock.js';
import type { FileNode, PublishedVersion } from './node.js';
import type { PosixMetadata } from './posix-metadata.js';
import type { Volume } from './volume.js';

/** Linux's PATH_MAX. What is longer is no symlink's target, whatever its metadata says: as a file its bytes can be had. */
const TARGET_BYTES_MAX = 4096;

/** A version as HEAD and LIST tell it. */
export interface SeenVersion {
  readonly etag: string;
  readonly size: number;
  readonly lastModifiedMs: number;
}

/** `version` as a SeenVersion; undefined where its LastModified isn't known, as after a publication. */
export function seenOf(version: PublishedVersion | undefined): SeenVersion | undefined {
  const lastModifiedMs = version?.lastModifiedMs;
  return version === undefined || lastModifiedMs === undefined ? undefined : { ...version, lastModifiedMs };
}

/**
 * Applies a version to its node. `posix`: what the object's metadata tells. `askedMs`: when the store was asked (milliseconds since the epoch), since an
 * answer is as old as its request.
 */
export function applySeen(
  volume: Volume,
  node: FileNode,
  seen: SeenVersion,
  posix: PosixMetadata,
  askedMs: number,
): void {
  const { etag, size, lastModifiedMs } = seen;
  const before = visibleState(node);
  const known = node.version;
  if (volume.metadata === 'objects') node.attributesInState = false;
  const isInState = node.attributesInState;
  // A streamed upload carries no times: those of its writes are known here as long as the object is that version. A copy of it, as the rename of a
  // directory makes, has the same bytes.
  const sameVersion =
    known?.etag === etag && (isInState || (known.lastModifiedMs ?? lastModifiedMs) === lastModifiedMs);
  const modifiedNs = toNs(lastModifiedMs);
  const otherwiseNs = sameVersion ? node.mtimeNs : modifiedNs;
  node.version = { etag, size, lastModifiedMs };
  node.listed = undefined;
  const isLink = posix.type === 'symlink' && (posix.symlinkTarget !== undefined || size <= TARGET_BYTES_MAX);
  node.type = isLink ? 'symlink' : 'file';
  node.symlinkTarget = posix.symlinkTarget;
  node.size = posix.symlinkTarget === undefined ? size : Buffer.byteLength(posix.symlinkTarget);
  if (!isInState) {
    node.mode = posix.mode;
    node.uid = posix.uid;
    node.gid = posix.gid;
  }
  if (!isInState || !sameVersion) {
    node.mtimeNs = posix.mtimeNs ?? otherwiseNs;
    node.atimeNs = posix.atimeNs ?? node.mtimeNs;
  }
  if (known === undefined || visibleState(node) !== before) node.touchCtime(modifiedNs);
  node.validatedMs = askedMs;
}

/** What a client could see of a change. The ETag stands for the bytes. */
const visibleState = (node: FileNode): string =>
  [node.version?.etag, node.size, node.type, node.mode, node.uid, node.gid, node.mtimeNs].join('|');
