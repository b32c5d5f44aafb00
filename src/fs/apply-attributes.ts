/** Attributes that SETATTR and the create calls set, on the node in memory. */
import type { AttributeChanges } from './file-system.js';
import type { FileNode } from './node.js';

/** Applies everything but the size; true when any attribute differs from before. `'now'` is `nowNs`. */
export function applyAttributes(
  node: Pick<FileNode, 'mode' | 'uid' | 'gid' | 'mtimeNs' | 'atimeNs'>,
  changes: AttributeChanges,
  nowNs: bigint,
): boolean {
  const time = (value: bigint | 'now' | undefined, old: bigint): bigint =>
    value === 'now' ? nowNs : (value ?? old);
  const next = {
    mode: changes.mode === undefined ? node.mode : changes.mode & 0o7777,
    uid: changes.uid ?? node.uid,
    gid: changes.gid ?? node.gid,
    mtimeNs: time(changes.mtimeNs, node.mtimeNs),
    atimeNs: time(changes.atimeNs, node.atimeNs),
  };
  const differs =
    next.mode !== node.mode ||
    next.uid !== node.uid ||
    next.gid !== node.gid ||
    next.mtimeNs !== node.mtimeNs ||
    next.atimeNs !== node.atimeNs;
  Object.assign(node, next);
  return differs;
}
