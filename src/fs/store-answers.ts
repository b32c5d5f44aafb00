/** What LIST and HEAD tell, in the words of this layer. */
import type { ListPage, ObjectHead, ObjectHeaders } from '../store/object-store.js';
import { compareKeys, usableSegment } from './names.js';
import { sortKeyOf, type FileNode, type ListedEntry } from './node.js';

/** S3's largest page. */
export const LIST_KEYS_MAX = 1000;

/** Keys that the mount doesn't show. */
export interface HiddenKeys {
  /** Is told of each key, or prefix of keys, that the mount can't show. Tells the log of it, once. */
  note(key: string, why: string): void;
  /** The object of a file that a client removed and has open. */
  isRemoved(key: string, etag: string): boolean;
}

const UNUSABLE =
  'it has a segment that is no file name: empty, ".", "..", with NUL or of more than 255 bytes';
export const SHADOWED = 'a directory has its name';
const MARKER_WITH_BYTES =
  'it stands for a directory, and has bytes: the mount keeps them and can not show them';

/** A page's usable entries, in order. A file that shares its name with a directory is hidden behind it. */
export function entriesOf(page: ListPage, prefix: string, hidden: HiddenKeys): ListedEntry[] {
  const usable = (name: string, key: string): boolean => {
    if (usableSegment(name)) return true;
    // The directory's own marker is listed with its entries.
    if (key !== prefix) hidden.note(key, UNUSABLE);
    return false;
  };
  const directories = page.prefixes
    .map((key) => ({ key, name: key.slice(prefix.length, -1) }))
    .filter(({ key, name }) => usable(name, key))
    .map(({ name }): ListedEntry => ({ name, kind: 'directory' }));
  const shadowed = directories.length === 0 ? undefined : new Set(directories.map(({ name }) => name));
  const files: ListedEntry[] = [];
  for (const { key, etag, size, lastModifiedMs } of page.objects) {
    const name = key.slice(prefix.length);
    if (hidden.isRemoved(key, etag)) continue;
    if (key === prefix && size > 0) hidden.note(key, MARKER_WITH_BYTES);
    if (shadowed?.has(name) === true) hidden.note(key, SHADOWED);
    else if (usable(name, key)) files.push({ name, kind: 'file', version: { etag, size, lastModifiedMs } });
  }
  return merged(files, directories);
}

/** S3 tells keys in order, and prefixes in order. */
function merged(files: ListedEntry[], directories: readonly ListedEntry[]): ListedEntry[] {
  if (directories.length === 0 && isInOrder(files)) return files;
  const all = [...files, ...directories];
  return inOrder(all);
}

function isInOrder(files: readonly ListedEntry[]): boolean {
  let before = '';
  for (const { name } of files) {
    if (compareKeys(before, name) > 0) return false;
    before = name;
  }
  return true;
}

/** In S3's order. */
export function inOrder(entries: readonly ListedEntry[]): ListedEntry[] {
  return entries
    .map((entry) => ({ entry, key: sortKeyOf(entry) }))
    .sort((a, b) => compareKeys(a.key, b.key))
    .map(({ entry }) => entry);
}

/** Whether nothing is below the prefix. A page that goes on may be empty and still not the last. */
export const isEmptyPage = ({ objects, prefixes, continuationToken }: ListPage): boolean =>
  objects.length === 0 && prefixes.length === 0 && continuationToken === undefined;

/** The sort key of a page's last key or prefix: in S3's order, without the directory's prefix. */
export function lastSortKeyOf({ objects, prefixes }: ListPage, prefix: string): string | undefined {
  const key = objects.at(-1)?.key;
  const directory = prefixes.at(-1);
  const isKeyLast = key !== undefined && (directory === undefined || compareKeys(key, directory) > 0);
  return (isKeyLast ? key : directory)?.slice(prefix.length);
}

/** Whether a new listing shows no change. Files that are being published may or may not be listed, and so may directories that are kept here. */
export function sameEntries(
  known: ReadonlyMap<string, ListedEntry>,
  listed: ReadonlyMap<string, ListedEntry>,
  unpublished: ReadonlyMap<string, FileNode>,
  kept: ReadonlySet<string>,
): boolean {
  const has = (entries: ReadonlyMap<string, ListedEntry>, { name, kind }: ListedEntry): boolean =>
    entries.get(name)?.kind === kind || (kind === 'file' ? unpublished : kept).has(name);
  return (
    [...known.values()].every((entry) => has(listed, entry)) &&
    [...listed.values()].every((entry) => has(known, entry))
  );
}

/** The headers that a rewrite keeps, without what only describes this version. */
export function headersOnly(head: ObjectHead): ObjectHeaders {
  const {
    metadata,
    contentType,
    contentEncoding,
    contentLanguage,
    contentDisposition,
    cacheControl,
    storageClass,
    expires,
    websiteRedirect,
    encryption,
    tagCount,
  } = head;
  return {
    metadata,
    ...(contentType !== undefined && { contentType }),
    ...(contentEncoding !== undefined && { contentEncoding }),
    ...(contentLanguage !== undefined && { contentLanguage }),
    ...(contentDisposition !== undefined && { contentDisposition }),
    ...(cacheControl !== undefined && { cacheControl }),
    ...(storageClass !== undefined && { storageClass }),
    ...(expires !== undefined && { expires }),
    ...(websiteRedirect !== undefined && { websiteRedirect }),
    ...(encryption !== undefined && { encryption }),
    ...(tagCount !== undefined && { tagCount }),
  };
}

/** Content types whose headers are shared, at most. */
const SHARED_MAX = 256;

/** Headers of files. Those that have nothing but a content type share one object a type, since tens of thousands of files are in memory. */
export class SharedHeaders {
  readonly #byType = new Map<string, ObjectHeaders>();

  /** As `headersOnly`. */
  of(head: ObjectHead): ObjectHeaders {
    const headers = headersOnly(head);
    const { contentType, metadata } = headers;
    if (contentType === undefined || Object.keys(headers).length > 2 || Object.keys(metadata).length > 0)
      return headers;
    const shared = this.#byType.get(contentType);
    if (shared !== undefined) return shared;
    if (this.#byType.size < SHARED_MAX) this.#byType.set(contentType, headers);
    return headers;
  }
}
