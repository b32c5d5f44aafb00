/** What a crash left unfinished, from the journal: carried out before the volume is served. */
import { createRef } from './journaling.js';
import type { Intent, JournaledAttributes } from './intent-log.js';
import type { DirectoryNode, FileNode } from './node.js';
import type { Volume } from './volume.js';
import type { VolumeOperations } from './volume-operations.js';

type IntentOf<K extends Intent['kind']> = Extract<Intent, { kind: K }>;

/** Fails when the store doesn't answer: then nothing is known of what is unfinished, and nothing may be served. */
export async function recover(operations: VolumeOperations): Promise<void> {
  const { volume } = operations;
  const mine = [...volume.intents.live()].filter(([, intent]) => intent.volume === volume.name);
  // Renames first: what follows finds files by their new paths.
  const ordered = mine.sort(([, a], [, b]) => Number(isRename(b)) - Number(isRename(a)));
  for (const [ref, intent] of ordered) {
    volume.log.info({ ref, kind: intent.kind }, 'finishing what a crash interrupted');
    await carryOut(operations, ref, intent);
  }
}

const isRename = (intent: Intent): boolean =>
  intent.kind === 'rename-file' || intent.kind === 'rename-directory';

async function carryOut(operations: VolumeOperations, ref: string, intent: Intent): Promise<void> {
  const { volume } = operations;
  switch (intent.kind) {
    case 'upload':
      await volume.store.abortUpload(intent.key, intent.uploadId);
      volume.intents.end(ref);
      return;
    case 'rename-file':
    case 'rename-directory':
      await operations.rename.finish(intent);
      volume.intents.end(ref);
      return;
    case 'create':
      return createAgain(operations, ref, intent);
    case 'change':
      return changeAgain(operations, ref, intent);
  }
}

async function createAgain(
  operations: VolumeOperations,
  ref: string,
  intent: IntentOf<'create'>,
): Promise<void> {
  const { volume, content } = operations;
  if ((await volume.store.head(intent.path.join('/'))) !== undefined) {
    volume.intents.end(ref);
    return;
  }
  const { directory, name, node } = fileAt(volume, intent.path);
  // What the state database knows of an object here is of one that is gone.
  node.version = undefined;
  node.size = 0;
  node.created = true;
  node.exclusiveVerifier = intent.exclusiveVerifier;
  restore(node, intent.attributes);
  directory.unpublishedFiles.set(name, node);
  volume.nodes.trackBusy(node);
  volume.nodes.save(node);
  if (intent.sizeBytes !== undefined) {
    await content.setattr(node, { size: intent.sizeBytes });
    node.exclusiveVerifier = intent.exclusiveVerifier;
    restore(node, intent.attributes);
  }
  await publish(operations, node);
  // A ref made before a restart may carry the id that the lost state directory knew.
  if (ref !== createRef(node) || !node.created) volume.intents.end(ref);
}

async function changeAgain(
  operations: VolumeOperations,
  ref: string,
  intent: IntentOf<'change'>,
): Promise<void> {
  const { volume, content, freshness } = operations;
  const head = await volume.store.head(intent.path.join('/'));
  if (head?.etag !== intent.etag) {
    volume.log.warn(
      { path: intent.path },
      'the file was changed or removed since; a journaled change of it is dropped',
    );
    volume.intents.end(ref);
    return;
  }
  const { node } = fileAt(volume, intent.path);
  freshness.applyHead(node, head, volume.clock.nowMs());
  if (intent.keptBytes !== undefined) await content.setattr(node, { size: intent.keptBytes });
  if (intent.sizeBytes !== undefined) await content.setattr(node, { size: intent.sizeBytes });
  restore(node, intent.attributes);
  node.attributesDirty = true;
  node.attributesEpoch++;
  volume.nodes.trackBusy(node);
  await publish(operations, node);
  // As long as it isn't published the intent stands.
  if (!node.publishable) volume.intents.end(ref);
}

/** A file that the store refuses now must not keep the daemon from serving the others: it is tried again. */
async function publish({ volume, publishing, content }: VolumeOperations, node: FileNode): Promise<void> {
  try {
    await publishing.publish(node);
  } catch (error) {
    volume.log.warn({ err: error }, 'a file that a crash left unpublished is published later');
    content.publishAfterRest(node);
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
