/** Attributes that SETATTR and the create calls set, on the node in memory. */
import type { AttributeChanges } from './file-system.js';
import type { FileNode } from './node.js';

const NS_PER_MS = 1_000_000n;

/** The clock counts milliseconds: within one, each change moves mtime all the same. */
export function laterMtime(mtimeNs: bigint, nowNs: bigint): bigint {
  return mtimeNs >= nowNs && mtimeNs - nowNs < NS_PER_MS ? mtimeNs + 1n : nowNs;
}

/** Applies everything but the size; true when any attribute differs from before. `'now'` is `nowNs`, of mtime a nanosecond after the last change if need be. */
export function applyAttributes(
  node: Pick<FileNode, 'mode' | 'uid' | 'gid' | 'mtimeNs' | 'atimeNs'>,
  changes: AttributeChanges,
  nowNs: bigint,
): boolean {
  const next = {
    mode: changes.mode === undefined ? node.mode : changes.mode & 0o7777,
    uid: changes.uid ?? node.uid,
    gid: changes.gid ?? node.gid,
    mtimeNs: changes.mtimeNs === 'now' ? laterMtime(node.mtimeNs, nowNs) : (changes.mtimeNs ?? node.mtimeNs),
    atimeNs: changes.atimeNs === 'now' ? nowNs : (changes.atimeNs ?? node.atimeNs),
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
