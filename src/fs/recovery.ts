/** What a crash left unfinished, from the journal: carried out before the volume is served. */
import type { Content } from './content.js';
import { createRef } from './content.js';
import type { Freshness } from './freshness.js';
import type { Intent, JournaledAttributes } from './intent-log.js';
import type { DirectoryNode, FileNode } from './node.js';
import type { Rename } from './rename.js';
import type { Volume } from './volume.js';

export async function recover(
  volume: Volume,
  freshness: Freshness,
  content: Content,
  rename: Rename,
): Promise<void> {
  const mine = [...volume.intents.live()].filter(([, intent]) => intent.volume === volume.name);
  // Renames first: what follows finds files by their new paths.
  const ordered = mine.sort(([, a], [, b]) => Number(isRename(b)) - Number(isRename(a)));
  for (const [ref, intent] of ordered) {
    volume.log.info({ ref, kind: intent.kind }, 'finishing what a crash interrupted');
    await carryOut(volume, freshness, content, rename, ref, intent);
  }
}

const isRename = (intent: Intent): boolean =>
  intent.kind === 'rename-file' || intent.kind === 'rename-directory';

async function carryOut(
  volume: Volume,
  freshness: Freshness,
  content: Content,
  rename: Rename,
  ref: string,
  intent: Intent,
): Promise<void> {
  switch (intent.kind) {
    case 'upload':
      await volume.store.abortUpload(intent.key, intent.uploadId);
      volume.intents.end(ref);
      return;
    case 'rename-file':
    case 'rename-directory':
      await rename.finish(intent);
      volume.intents.end(ref);
      return;
    case 'create': {
      const { directory, name, node } = fileAt(volume, intent.path);
      if ((await volume.store.head(intent.path.join('/'))) === undefined) {
        node.created = true;
        node.exclusiveVerifier = intent.exclusiveVerifier;
        restore(node, intent.attributes);
        directory.unpublishedFiles.set(name, node);
        volume.nodes.trackBusy(node);
        await content.publish(node);
      }
      // A ref made before a restart may carry the id that the lost state directory knew.
      if (ref !== createRef(node) || !node.created) volume.intents.end(ref);
      return;
    }
    case 'change': {
      const { node } = fileAt(volume, intent.path);
      await freshness.file(node).catch((error: unknown) => {
        volume.log.warn({ err: error, path: intent.path }, 'a journaled change of a file that is gone');
      });
      if (node.version?.etag === intent.etag) {
        if (intent.sizeBytes !== undefined) await content.setattr(node, { size: intent.sizeBytes });
        restore(node, intent.attributes);
        node.attributesDirty = true;
        await content.publish(node);
      } else {
        volume.log.warn(
          { path: intent.path },
          'the file was changed since; a journaled change of it is dropped',
        );
      }
      volume.intents.end(ref);
      return;
    }
  }
}

function fileAt(
  volume: Volume,
  path: readonly string[],
): { directory: DirectoryNode; name: string; node: FileNode } {
  const name = path.at(-1) ?? '';
  let directory = volume.root;
  for (const segment of path.slice(0, -1)) directory = volume.nodes.entry(directory, segment, 'directory');
  return { directory, name, node: volume.nodes.entry(directory, name, 'file') };
}

function restore(node: FileNode, attributes: JournaledAttributes): void {
  node.mode = attributes.mode;
  node.uid = attributes.uid;
  node.gid = attributes.gid;
  node.mtimeNs = BigInt(attributes.mtimeNs);
  node.atimeNs = BigInt(attributes.atimeNs);
}
