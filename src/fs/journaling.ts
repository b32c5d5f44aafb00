/** What isn't published of a file, in the journal: so that a crash doesn't lose what was promised. */
import type { Intent, JournaledAttributes } from './intent-log.js';
import type { FileNode } from './node.js';
import type { Volume } from './volume.js';

export const createRef = (node: FileNode): string => `create:${node.id}`;
export const changeRef = (node: FileNode): string => `change:${node.id}`;

/** Resolves when the file's attributes are safe on disk. `sizeBytes` is a size that SETATTR gave it. */
export async function journal(volume: Volume, node: FileNode, sizeBytes?: number): Promise<void> {
  const common = { volume: volume.name, path: volume.pathOf(node), attributes: journaled(node) };
  if (node.created) {
    const earlier = volume.intents.live().get(createRef(node));
    const size = sizeBytes ?? (earlier?.kind === 'create' ? earlier.sizeBytes : undefined);
    const intent: Intent = {
      kind: 'create',
      ...common,
      ...(size !== undefined && { sizeBytes: size }),
      ...(node.exclusiveVerifier !== undefined && { exclusiveVerifier: node.exclusiveVerifier }),
    };
    await volume.intents.put(createRef(node), intent);
    return;
  }
  if (node.version === undefined) return;
  const { etag } = node.version;
  const live = volume.intents.live().get(changeRef(node));
  const earlier = live?.kind === 'change' && live.etag === etag ? live : undefined;
  const size = sizeBytes ?? earlier?.sizeBytes;
  const kept = Math.min(size ?? Infinity, earlier?.keptBytes ?? Infinity, earlier?.sizeBytes ?? Infinity);
  const intent: Intent = {
    kind: 'change',
    ...common,
    etag,
    ...(size !== undefined && { sizeBytes: size, keptBytes: kept }),
  };
  await volume.intents.put(changeRef(node), intent);
}

function journaled(node: FileNode): JournaledAttributes {
  return {
    ...(node.mode !== undefined && { mode: node.mode }),
    ...(node.uid !== undefined && { uid: node.uid }),
    ...(node.gid !== undefined && { gid: node.gid }),
    mtimeNs: String(node.mtimeNs),
    atimeNs: String(node.atimeNs),
  };
}
