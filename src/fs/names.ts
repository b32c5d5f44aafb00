/** File names and object keys: which names are allowed, and which keys can be paths (docs/SEMANTICS.md, "Objects and names"). */
import { FsError } from './errors.js';

/** NAME_MAX of every client. */
export const NAME_BYTES_MAX = 255;
/** S3's limit of a key. */
export const KEY_BYTES_MAX = 1024;

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * A name a client sent, as the string that keys are made of. EINVAL for an empty name, one with `/` or NUL, `.` and `..`, or
 * bytes that aren't UTF-8; ENAMETOOLONG beyond 255 bytes. Names are never normalised.
 */
export function parseName(name: Buffer): string {
  if (name.length === 0) throw new FsError('EINVAL', 'a name must not be empty');
  if (name.length > NAME_BYTES_MAX) {
    throw new FsError(
      'ENAMETOOLONG',
      `a name has at most ${NAME_BYTES_MAX} bytes, this one has ${name.length}`,
    );
  }
  let bits = 0;
  for (let at = 0; at < name.length; at++) {
    const byte = name[at] ?? 0;
    if (byte === 0x2f || byte === 0) throw new FsError('EINVAL', 'a name must not contain "/" or NUL');
    bits |= byte;
  }
  // ASCII is Latin-1 as well, which takes no decoder.
  const text = bits < 0x80 ? name.toString('latin1') : decodeUtf8(name);
  if (text === '.' || text === '..')
    throw new FsError('EINVAL', `"${text}" can't be made, removed or renamed`);
  return text;
}

function decodeUtf8(name: Buffer): string {
  try {
    return decoder.decode(name);
  } catch (cause) {
    throw new FsError('EINVAL', 'a name must be UTF-8', { cause });
  }
}

/**
 * Names that clients give to a file that is removed while they have it open: Linux `.nfs`, file id and counter in hexadecimal digits
 * (fs/nfs/unlink.c; 16 digits in all on old 32-bit machines), FreeBSD `.nfs.<ticks>.<pid>4.4` (nfsclient), macOS `.nfs.<number>.<pid>`.
 */
const SILLY_NAME = /^\.nfs(?:[0-9a-f]{24}|[0-9a-f]{16}|\.[0-9a-f]{8}\.[0-9a-f]{4,8}(?:4\.4)?)$/;

export const isSillyName = (name: string): boolean => SILLY_NAME.test(name);

/** True where a segment of a key can be a file's name. Other keys are hidden from the mount and never touched. */
export function usableSegment(segment: string): boolean {
  return (
    segment !== '' &&
    segment !== '.' &&
    segment !== '..' &&
    !segment.includes('\0') &&
    !segment.includes('/') &&
    Buffer.byteLength(segment) <= NAME_BYTES_MAX
  );
}

/** ENAMETOOLONG when S3 can't hold the key. */
export function checkKey(key: string): string {
  const bytes = Buffer.byteLength(key);
  if (bytes > KEY_BYTES_MAX) {
    throw new FsError(
      'ENAMETOOLONG',
      `S3 keys have at most ${KEY_BYTES_MAX} bytes, "${key.slice(0, 64)}..." has ${bytes}`,
    );
  }
  return key;
}

/** S3's order of well-formed keys: UTF-8 bytes, which differs from JavaScript's order of UTF-16 units beyond U+FFFF. */
export function compareKeys(a: string, b: string): number {
  const shared = Math.min(a.length, b.length);
  for (let at = 0; at < shared; at++) {
    const left = a.charCodeAt(at);
    const right = b.charCodeAt(at);
    if (left !== right) return rankOf(left) - rankOf(right);
  }
  return a.length - b.length;
}

/** Surrogates stand for what sorts behind U+E000 to U+FFFF. */
function rankOf(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}
