/** ListObjectsV2 over a map of objects, in UTF-8 byte order. */
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
