/** ListObjectsV2 over a map of objects: in UTF-8 byte order, or in none. */
import { createHash } from 'node:crypto';
import type { ListPage, ListRequest, ObjectSummary } from '../../src/store/object-store.js';
import type { StoredObject } from './memory-store.js';

/** A key or a rolled-up prefix, by its bytes. */
interface Entry {
  readonly name: Buffer;
  readonly key: string;
  readonly isPrefix: boolean;
}

/** One page; its continuation token is the last name told. */
export function listPage(objects: ReadonlyMap<string, StoredObject>, request: ListRequest): ListPage {
  const maxKeys = Math.min(request.maxKeys ?? 1000, 1000);
  const token = request.continuationToken;
  const lastTold = token === undefined ? undefined : Buffer.from(token, 'base64url');
  const entries = rolledUp(objects, request).filter(
    (entry) => lastTold === undefined || Buffer.compare(entry.name, lastTold) > 0,
  );
  const told = entries.slice(0, maxKeys);
  const last = told.at(-1);
  return {
    objects: told.filter((entry) => !entry.isPrefix).map((entry) => summary(objects, entry.key)),
    prefixes: told.filter((entry) => entry.isPrefix).map((entry) => entry.key),
    ...(last !== undefined &&
      entries.length > told.length && { continuationToken: last.name.toString('base64url') }),
  };
}

/** One page in an order that is no order of names, as directory buckets list; its continuation token is the place of the last one told. */
export function listPageUnordered(
  objects: ReadonlyMap<string, StoredObject>,
  request: ListRequest,
): ListPage {
  const placeOf = (entry: Entry): string => createHash('sha1').update(entry.name).digest('hex');
  const placed = rolledUp(objects, request)
    .map((entry) => ({ entry, place: placeOf(entry) }))
    .sort((a, b) => (a.place < b.place ? -1 : 1))
    .filter(({ place }) => request.continuationToken === undefined || place > request.continuationToken);
  const told = placed.slice(0, Math.min(request.maxKeys ?? 1000, 1000));
  const last = told.at(-1);
  const entries = told.map(({ entry }) => entry);
  return {
    objects: entries.filter((entry) => !entry.isPrefix).map((entry) => summary(objects, entry.key)),
    prefixes: entries.filter((entry) => entry.isPrefix).map((entry) => entry.key),
    ...(last !== undefined && placed.length > told.length && { continuationToken: last.place }),
  };
}

function rolledUp(objects: ReadonlyMap<string, StoredObject>, request: ListRequest): Entry[] {
  const startAfter = request.startAfter === undefined ? undefined : Buffer.from(request.startAfter);
  const entries = new Map<string, Entry>();
  for (const key of objects.keys()) {
    if (!key.startsWith(request.prefix)) continue;
    if (startAfter !== undefined && Buffer.compare(Buffer.from(key), startAfter) <= 0) continue;
    const cut = request.delimiter === undefined ? -1 : key.indexOf(request.delimiter, request.prefix.length);
    const told = cut < 0 ? key : key.slice(0, cut + 1);
    entries.set(told, { name: Buffer.from(told), key: told, isPrefix: cut >= 0 });
  }
  return [...entries.values()].sort((a, b) => Buffer.compare(a.name, b.name));
}

function summary(objects: ReadonlyMap<string, StoredObject>, key: string): ObjectSummary {
  const object = objects.get(key);
  if (object === undefined) throw new Error(`no object at ${key}`);
  return { key, size: object.body.length, etag: object.etag, lastModifiedMs: object.lastModifiedMs };
}
