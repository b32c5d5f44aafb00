/**
 * Directories whose content follows from their name: `numbers-1000000` has 1,000,000 numbered files; `hashes-200000` has 200,000 files named by MD5;
 * `tree-100-1000` has 100 directories of 1,000 files each. A further word makes another directory of the same kind, such as `hashes-200000-second`. Pure.
 */
import { createHash } from 'node:crypto';

/** Names of a directory of `count` files, by what they are made of. All ASCII: JavaScript's order is that of their bytes. */
const NAMES: Readonly<Record<string, (at: number) => string>> = {
  numbers: (at) => `file-${String(at).padStart(7, '0')}`,
  hashes: (at) => createHash('md5').update(String(at)).digest('hex'),
};

const SHAPE = /^(numbers|hashes)-(\d+)(?:-[a-z0-9]+)?$/;
const TREE = /^tree-(\d+)-(\d+)(?:-[a-z0-9]+)?$/;
/** Bytes of each file. */
export const WIDE_FILE_BYTES = 1;
const MODIFIED = '2026-01-01T00:00:00.000Z';

/** The ETag of the file of that number, in hexadecimal. */
export const etagOf = (at: number): string => at.toString(16).padStart(32, '0');

export interface WideDirectory {
  /** Sorted. */
  readonly names: readonly string[];
  /** Entries of a LIST as XML, one after the other, and where each begins; one more for the end. */
  readonly xml: Buffer;
  readonly starts: Float64Array;
}

/** The directory with this prefix (with its slash); undefined where its name doesn't tell what is in it. */
export function wideDirectory(prefix: string): WideDirectory | undefined {
  const name = prefix.slice(0, -1).split('/').at(-1) ?? '';
  const [, kind = '', count] = SHAPE.exec(name) ?? [];
  const nameOf = NAMES[kind];
  if (nameOf !== undefined) {
    const names = Array.from({ length: Number(count) }, (_, at) => nameOf(at)).sort();
    return directoryOf(names, (each, at) => contentsOf(prefix + each, at));
  }
  const [, directories, files = ''] = TREE.exec(name) ?? [];
  if (directories === undefined) return undefined;
  const numbered = (_: unknown, at: number): string => `numbers-${files}-d${String(at).padStart(4, '0')}`;
  return directoriesAt(prefix, Array.from({ length: Number(directories) }, numbered));
}

/** A directory of directories. */
export function directoriesAt(prefix: string, directories: readonly string[]): WideDirectory {
  const names = directories.map((each) => `${each}/`).sort();
  return directoryOf(
    names,
    (each) => `<CommonPrefixes><Prefix>${encodeURIComponent(prefix + each)}</Prefix></CommonPrefixes>`,
  );
}

/** Index of the first name behind `after`. */
export function firstBehind(names: readonly string[], after: string): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((names[middle] ?? '') <= after) low = middle + 1;
    else high = middle;
  }
  return low;
}

function contentsOf(key: string, at: number): string {
  return (
    `<Contents><Key>${encodeURIComponent(key)}</Key><LastModified>${MODIFIED}</LastModified>` +
    `<ETag>&quot;${etagOf(at)}&quot;</ETag><Size>${WIDE_FILE_BYTES}</Size><StorageClass>STANDARD</StorageClass></Contents>`
  );
}

function directoryOf(names: readonly string[], xmlOf: (name: string, at: number) => string): WideDirectory {
  const starts = new Float64Array(names.length + 1);
  const pieces: Buffer[] = [];
  let bytes = 0;
  for (let first = 0; first < names.length; first += 1000) {
    let piece = '';
    for (const [at, name] of names.slice(first, first + 1000).entries()) {
      starts[first + at] = bytes + piece.length;
      piece += xmlOf(name, first + at);
    }
    pieces.push(Buffer.from(piece, 'latin1'));
    bytes += piece.length;
  }
  starts[names.length] = bytes;
  return { names, xml: Buffer.concat(pieces, bytes), starts };
}
