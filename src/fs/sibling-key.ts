/** Where the loser of a conflict goes: a key beside the file's, within the limits of names and keys. Pure. */
import { KEY_BYTES_MAX, NAME_BYTES_MAX } from './names.js';

/** So many bytes of a file's name are kept at least, where it has as many. */
const NAME_KEPT_BYTES_MIN = 8;

/**
 * The file's key with `suffix` (of at most 200 bytes) behind its name, which is cut where both together would be too long. Where the directory's
 * path leaves no room, it is in the nearest directory above that does.
 */
export function siblingKey(key: string, suffix: string): string {
  const suffixBytes = Buffer.byteLength(suffix);
  let slash = key.lastIndexOf('/');
  const name = Buffer.from(key.slice(slash + 1));
  for (;;) {
    const directory = key.slice(0, slash + 1);
    const room = Math.min(NAME_BYTES_MAX, KEY_BYTES_MAX - Buffer.byteLength(directory)) - suffixBytes;
    if (room >= Math.min(name.length, NAME_KEPT_BYTES_MIN)) return directory + cut(name, room) + suffix;
    slash = key.lastIndexOf('/', slash - 1);
  }
}

/** The first characters of a name in UTF-8 that have at most `bytes`. */
function cut(name: Buffer, bytes: number): string {
  let end = Math.min(bytes, name.length);
  const isWithin = (at: number): boolean => ((name[at] ?? 0) & 0xc0) === 0x80;
  while (end > 0 && isWithin(end)) end -= 1;
  return name.toString('utf8', 0, end);
}
