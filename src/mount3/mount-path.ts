/** The path of a MNT call as the file system takes it. */
import { MNTPATHLEN } from '../../protocol/mount3/program.js';
import { FsError } from '../fs/errors.js';

/**
 * `/a/b` for what clients send: slashes at the end or doubled don't count, nor does a missing first one. FsError ENAMETOOLONG above 1024 bytes
 * (MNTPATHLEN), EINVAL for what isn't UTF-8 and for NUL, `.` and `..`.
 */
export function mountPath(bytes: Uint8Array): string {
  if (bytes.length > MNTPATHLEN) {
    throw new FsError('ENAMETOOLONG', `a path to mount has at most ${MNTPATHLEN} bytes, got ${bytes.length}`);
  }
  const segments = decodeUtf8(bytes)
    .split('/')
    .filter((segment) => segment !== '');
  if (segments.some((segment) => segment === '.' || segment === '..' || segment.includes('\0'))) {
    throw new FsError('EINVAL', 'a path to mount has no NUL, "." or ".."');
  }
  return `/${segments.join('/')}`;
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FsError('EINVAL', 'a path to mount is UTF-8', { cause });
  }
}
