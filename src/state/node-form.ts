/** Keys and values of the inode tree in LMDB. */
import type { NodeRecord, Removal } from './node-changes.js';

/** What is left of a removed node in the end where its id would come up again: its key and this, 9 bytes. */
export const BURIED = 0;
const REMOVED_FLAG = 1;
const DRAWN_FLAG = 2;
/** Followed by the place that the id means as a cookie. */
const PLACE_FLAG = 4;
/** Followed by the cookie of where it is. */
const COOKIE_FLAG = 8;
export type StoredNode =
  | [parent: bigint, name: string, flags: number, facts?: unknown, ...more: (bigint | string)[]]
  | typeof BURIED;

export function recordOf(id: bigint, stored: Exclude<StoredNode, typeof BURIED>): NodeRecord {
  const [parent, name, flags, facts] = stored;
  const removed = (flags & REMOVED_FLAG) !== 0;
  const drawn = (flags & DRAWN_FLAG) !== 0;
  const record = { id, parent, name, removed, drawn, ...(facts == null ? {} : { facts }) };
  return (flags & (PLACE_FLAG | COOKIE_FLAG)) === 0 ? record : { ...record, ...cookieFieldsOf(stored) };
}

/** A record that says removed, and isn't buried yet. */
export const isMarkedRemoved = (stored: StoredNode): boolean =>
  stored !== BURIED && (stored[2] & REMOVED_FLAG) !== 0;

function cookieFieldsOf(stored: Exclude<StoredNode, typeof BURIED>): Pick<NodeRecord, 'place' | 'cookie'> {
  const [, , flags, , ...more] = stored;
  const [parent, name] = (flags & PLACE_FLAG) === 0 ? [] : more.splice(0, 2);
  const [cookie] = more;
  return {
    ...(typeof parent === 'bigint' && typeof name === 'string' && { place: { parent, name } }),
    ...(typeof cookie === 'bigint' && { cookie }),
  };
}

export function storedForm(change: NodeRecord | 'buried'): StoredNode {
  if (change === 'buried') return BURIED;
  const { parent, name, removed, drawn, facts, place, cookie } = change;
  const flags = (removed ? REMOVED_FLAG : 0) | (drawn ? DRAWN_FLAG : 0);
  if (place === undefined && cookie === undefined)
    return facts === undefined ? [parent, name, flags] : [parent, name, flags, facts];
  const moreFlags = (place === undefined ? 0 : PLACE_FLAG) | (cookie === undefined ? 0 : COOKIE_FLAG);
  return [
    parent,
    name,
    flags | moreFlags,
    facts ?? null,
    ...(place === undefined ? [] : [place.parent, place.name]),
    ...(cookie === undefined ? [] : [cookie]),
  ];
}

export function removalKey({ id, atMs }: Removal): Buffer {
  const key = Buffer.allocUnsafe(16);
  key.writeBigUInt64BE(BigInt(Math.trunc(atMs)));
  key.writeBigUInt64BE(id, 8);
  return key;
}

/** Big-endian, so that keys sort by id and a directory's children lie together. */
export function nodeKey(id: bigint): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeBigUInt64BE(id);
  return key;
}

export function childKey(parent: bigint, name: string): Buffer {
  const key = Buffer.allocUnsafe(8 + Buffer.byteLength(name));
  key.writeBigUInt64BE(parent);
  key.write(name, 8);
  return key;
}
