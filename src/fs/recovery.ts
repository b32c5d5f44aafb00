/** What a crash left unfinished, from the journal: carried out before the volume is served. */
import { SpoolFullError } from '../write/spool-full.js';
import { changeRef, createRef, writtenRef } from './journaling.js';
import type { Intent, JournaledAttributes } from './intent-log.js';
import { isDeepStrictEqual } from 'node:util';
import { StoreError } from '../store/errors.js';
import type { ObjectHead } from '../store/object-store.js';
import { FileNode, type DirectoryNode } from './node.js';
import { differsInTimesOnly } from './posix-metadata.js';
import { headersOnly } from './store-answers.js';
import type { Volume } from './volume.js';
import type { VolumeOperations } from './volume-operations.js';

type IntentOf<K extends Intent['kind']> = Extract<Intent, { kind: K }>;

/** Fails when the store doesn't answer: then nothing is known of what is unfinished, and nothing may be served. */
export async function recover(operations: VolumeOperations): Promise<void> {
  const { volume } = operations;
  const mine = [...volume.intents.live()].filter(([, intent]) => intent.volume === volume.name);
  for (const [ref, intent] of mine.sort(([, a], [, b]) => ORDER[a.kind] - ORDER[b.kind])) {
    // Ended together with one before it.
    if (!volume.intents.live().has(ref)) continue;
    volume.log.info({ ref, kind: intent.kind }, 'finishing what a crash interrupted');
    await carryOut(operations, ref, intent);
  }
}

/** Renames first: what follows finds files by their new paths. Uploads last: those that something rests on have it published by then. */
const ORDER: Readonly<Record<Intent['kind'], number>> = {
  'rename-file': 0,
  'rename-directory': 0,
  written: 1,
  create: 2,
  change: 2,
  upload: 3,
};

async function carryOut(operations: VolumeOperations, ref: string, intent: Intent): Promise<void> {
  const { volume } = operations;
  switch (intent.kind) {
    case 'upload':
      if (isRestedOn(volume, intent.uploadId)) return;
      return abortAgain(volume, ref, intent);
    case 'rename-file':
    case 'rename-directory':
      await operations.rename.finish(intent);
      volume.intents.end(ref);
      return;
    case 'written':
      return writtenAgain(operations, ref, intent);
    case 'create':
      return createAgain(operations, ref, intent);
    case 'change':
      return changeAgain(operations, ref, intent);
  }
}

/** Bytes that a COMMIT was answered for are in this upload alone. */
function isRestedOn(volume: Volume, uploadId: string): boolean {
  for (const intent of volume.intents.live().values())
    if (intent.kind === 'written' && intent.record.upload?.uploadId === uploadId) return true;
  return false;
}

/** One that may not be aborted with today's permissions must not keep the bucket from being read: it is tried at the next start. */
async function abortAgain(volume: Volume, ref: string, { key, uploadId }: IntentOf<'upload'>): Promise<void> {
  try {
    await volume.store.abortUpload(key, uploadId);
  } catch (error) {
    if (!(error instanceof StoreError) || error.kind !== 'access-denied') throw error;
    volume.log.warn({ err: error, key, uploadId }, 'an unfinished upload may not be aborted');
    return;
  }
  volume.intents.end(ref);
}

async function writtenAgain(
  operations: VolumeOperations,
  ref: string,
  intent: IntentOf<'written'>,
): Promise<void> {
  const { volume, content, freshness } = operations;
  const { record, attributes, etag, isLoser, ...rest } = intent;
  const key = intent.path.join('/');
  const { directory, name, node } = fileAt(volume, intent.path);
  const head = await volume.store.head(key);
  const live = volume.intents.live();
  // Another file has the name by now, or will.
  const isAwaited = live.has(createRef(node)) || (ref !== writtenRef(node) && live.has(writtenRef(node)));
  const isTaken = head !== undefined || isAwaited;
  if (isLoser === true && isTaken) {
    volume.log.error({ key, upload: record.upload }, 'the loser of a conflict waits for its key to be free');
    return;
  }
  if (ref !== writtenRef(node) && (isAwaited || node.session !== undefined)) {
    volume.log.error({ key }, 'bytes that a COMMIT was answered for wait for newer ones of the file');
    return;
  }
  // What was said of the file beside its bytes is in their intent, and newer there.
  volume.intents.end(createRef(node));
  volume.intents.end(changeRef(node));
  const known = { record, attributes, ...(etag !== undefined && { etag }) };
  if (ref !== writtenRef(node)) {
    // Made as the loser, put aside, or with an id that the lost state directory knew.
    await volume.intents.put(writtenRef(node), { ...rest, ...known });
    await volume.intents.drop(ref);
  }
  if (head !== undefined && head.etag !== etag && (await isPublished(volume, intent, node, head))) {
    freshness.applyHead(node, head, volume.clock.nowMs());
    await volume.intents.drop(writtenRef(node));
    volume.segments.free(record.extents.map(({ piece }) => piece));
    return;
  }
  if (head !== undefined && head.etag === etag) freshness.applyHead(node, head, volume.clock.nowMs());
  else node.version = etag === undefined ? undefined : { etag, size: record.state.base?.size ?? 0 };
  node.created = etag === undefined;
  node.exclusiveVerifier = intent.exclusiveVerifier;
  restore(node, attributes);
  node.timesGiven = intent.timesGiven === true;
  try {
    await content.restoreSession(node, record);
  } catch (error) {
    node.created = false;
    volume.log.error(
      { err: error, key },
      'bytes that a COMMIT was answered for could not be read: what is left of them stays, and is tried at the next start',
    );
    // What is written to the file next has this name in the journal.
    await volume.intents.put(freeRef(volume, node), { ...rest, ...known });
    await volume.intents.drop(writtenRef(node));
    return;
  }
  if (etag === undefined) directory.unpublishedFiles.set(name, node);
  volume.nodes.save(node);
  await publish(operations, node);
}

/** A name in the journal for a record that is put aside. */
function freeRef({ intents }: Volume, node: FileNode): string {
  for (let at = 1; ; at += 1) {
    const ref = `aside:${node.id}:${at}`;
    if (!intents.live().has(ref)) return ref;
  }
}

/** The object is what was to be published: only the journal's word of it is missing. */
async function isPublished(
  volume: Volume,
  { record, attributes }: IntentOf<'written'>,
  node: FileNode,
  head: ObjectHead,
): Promise<boolean> {
  if (head.size !== record.sizeBytes) return false;
  const expected = new FileNode(node.id);
  expected.headers = headersOnly(head);
  restore(expected, attributes);
  const { metadata } = volume.headersOf(expected);
  if (isDeepStrictEqual(metadata, head.metadata)) return true;
  // An upload carries no times. It is there as long as it didn't become the object.
  const { upload } = record;
  if (upload === undefined || !differsInTimesOnly(metadata, head.metadata)) return false;
  const uploads = await volume.store.listUploads(upload.key);
  return uploads.every(({ uploadId }) => uploadId !== upload.uploadId);
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
    if (error instanceof Error && error.cause instanceof SpoolFullError)
      volume.log.error(
        { err: error, key: volume.keyOf(node) },
        'bytes that a COMMIT was answered for are in an upload alone that can not be completed; what is here of the file is kept',
      );
    else volume.log.warn({ err: error }, 'a file that a crash left unpublished is published later');
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
