/**
 * The objects of a bucket: their records, and their keys in order, kept in line with the plain files that are really there. What is looked
 * at is compared with its file; what is listed, with its directories.
 */
import { createHash } from 'node:crypto';
import type { KeyOrder } from './hashed-order.js';
import { isPast, listPage, type Listing, type ListingQuery } from './listing.js';
import type { PlainFile, PlainFiles } from './plain-files.js';
import type { ObjectRecord, StoredHeaders } from './records.js';
import { SortedKeys } from './sorted-keys.js';
import { compareUtf8 } from './utf8-order.js';

/**
 * Each listing looks at so many directories for changes by hand. Where there are more, several listings share a look at all, and the next
 * begins no sooner than a second after it did.
 */
const RESCAN_DIRECTORIES = 1000;
const RESCAN_INTERVAL_MS = 1000;

/** A file that came by hand. The ETag has the form of a multipart one, which promises no MD5 of the bytes. */
function handMade(file: PlainFile, headers: StoredHeaders): ObjectRecord {
  const seed = `${file.inode} ${file.mtimeNs} ${file.size}`;
  return {
    size: file.size,
    mtimeNs: file.mtimeNs,
    etag: `${createHash('md5').update(seed).digest('hex')}-1`,
    lastModifiedMs: Math.floor(file.mtimeMs / 1000) * 1000,
    headers,
    checksum: undefined,
    partSizes: undefined,
    uploadId: undefined,
    blob: undefined,
  };
}

export class ObjectIndex {
  readonly #plain: PlainFiles;
  readonly #objects: Map<string, ObjectRecord>;
  readonly #order: KeyOrder;
  readonly #handMadeHeaders: StoredHeaders;
  #keys: SortedKeys;
  #rescannedMs = 0;

  /**
   * `objects` is what the journal knows; `takeStock` compares it with what is there. Keys are listed in `order`; files that came by
   * hand have `handMadeHeaders`.
   */
  constructor(
    plain: PlainFiles,
    objects: Map<string, ObjectRecord>,
    order: KeyOrder = compareUtf8,
    handMadeHeaders: StoredHeaders = {},
  ) {
    this.#plain = plain;
    this.#objects = objects;
    this.#order = order;
    this.#handMadeHeaders = handMadeHeaders;
    this.#keys = new SortedKeys(order);
  }

  /** What is known, without a look at the disk. */
  records(): ReadonlyMap<string, ObjectRecord> {
    return this.#objects;
  }

  /** Reads all names, and builds the index of what is really there. */
  async takeStock(): Promise<void> {
    const found = new Set<string>();
    await this.#plain.walk((key) => {
      if (Buffer.byteLength(key) > 1024 || this.#objects.get(key)?.blob !== undefined) return;
      if (this.#refresh(key, this.#plain.recheck(key)) !== undefined) found.add(key);
    });
    for (const [key, record] of this.#objects) {
      if (record.blob !== undefined) found.add(key);
      else if (!found.has(key)) this.#objects.delete(key);
    }
    this.#keys = SortedKeys.from(found, this.#order);
  }

  /** Brings the record of a key in line with the file found at its path. */
  #refresh(key: string, file: PlainFile | undefined): ObjectRecord | undefined {
    const known = this.#objects.get(key);
    if (file === undefined) {
      if (known !== undefined) this.forget(key);
      return undefined;
    }
    if (known?.size === file.size && known.mtimeNs === file.mtimeNs) return known;
    const record = handMade(file, this.#handMadeHeaders);
    this.remember(key, record);
    return record;
  }

  /** Makes `record` the object at `key`. */
  remember(key: string, record: ObjectRecord): void {
    this.#objects.set(key, record);
    this.#keys.add(key);
  }

  forget(key: string): void {
    this.#objects.delete(key);
    this.#keys.delete(key);
  }

  /** The object at `key` as it is now on disk. */
  lookup(key: string): ObjectRecord | undefined {
    const known = this.#objects.get(key);
    if (known?.blob !== undefined) return known;
    if (known !== undefined) {
      const file = this.#plain.recheck(key);
      if (file?.size === known.size && file.mtimeNs === known.mtimeNs) return known;
    }
    return this.#refresh(key, this.#plain.find(key));
  }

  /** One page of keys, and the records of those keys. */
  list(query: ListingQuery): Listing & { readonly records: readonly ObjectRecord[] } {
    this.#rescan();
    for (;;) {
      const page = listPage(this.#keys, query, this.#order);
      const records: ObjectRecord[] = [];
      for (const key of page.keys) {
        const known = this.#objects.get(key);
        const record = known?.blob !== undefined ? known : this.#refresh(key, this.#plain.recheck(key));
        if (record === undefined) break;
        records.push(record);
      }
      // A file that went away by hand has left the index: the page is made anew.
      if (records.length === page.keys.length) return { ...page, records };
    }
  }

  /** Takes up files that came and went by hand since their directories were read. */
  #rescan(): void {
    const now = performance.now();
    const few = this.#plain.directoryCount <= RESCAN_DIRECTORIES;
    if (!this.#plain.isPassUnderWay) {
      const due = now - this.#rescannedMs > RESCAN_INTERVAL_MS;
      if (!few && !due) return;
      this.#rescannedMs = now;
    }
    const { added, removed } = this.#plain.rescan(
      few ? Infinity : RESCAN_DIRECTORIES,
      (prefix) => this.#plainChildren(prefix),
      (key) => this.#objects.has(key),
    );
    for (const key of removed) this.forget(key);
    for (const key of added) {
      if (Buffer.byteLength(key) <= 1024) this.#refresh(key, this.#plain.recheck(key));
    }
  }

  /** Keys directly in a directory whose bytes lie in plain files. */
  *#plainChildren(prefix: string): Generator<string> {
    let at = this.#keys.seek((key) => this.#order(key, prefix) >= 0);
    for (let key = this.#keys.at(at); key?.startsWith(prefix) === true; key = this.#keys.at(at)) {
      const slash = key.indexOf('/', prefix.length);
      if (slash < 0) {
        if (this.#objects.get(key)?.blob === undefined) yield key;
        at = this.#keys.next(at);
      } else {
        const below = key.slice(0, slash + 1);
        at = this.#keys.seek((other) => isPast(other, below, this.#order));
      }
    }
  }
}
