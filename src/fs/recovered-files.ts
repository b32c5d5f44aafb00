/**
 * One file that a crash left unpublished, from the journal. First it is what it was for whoever looks at it (`opened`), then it is
 * published. The caller holds the file's key. Whatever fails by the store's fault leaves the journal as it is.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ObjectHead } from '../store/object-store.js';
import { LostUploadError } from '../write/lost-upload.js';
import { SpoolFullError } from '../write/spool-full.js';
import type { Intent, JournaledAttributes } from './intent-log.js';
import { changeRef, createRef, journal, writtenRef } from './journaling.js';
import { NEVER_MS, type DirectoryNode, type FileNode } from './node.js';
import { differsInTimesOnly } from './posix-metadata.js';
import type { Volume } from './volume.js';
import { headersOnly } from './store-answers.js';
import type { VolumeOperations } from './volume-operations.js';

export type FileIntent = Extract<Intent, { kind: 'written' | 'create' | 'change' }>;
type IntentOf<K extends Intent['kind']> = Extract<Intent, { kind: K }>;

export interface FileAt {
  readonly directory: DirectoryNode;
  readonly name: string;
  readonly node: FileNode;
}

/** Finds the file's node by its path, or makes one. */
export function fileAt(volume: Volume, path: readonly string[]): FileAt {
  const name = path.at(-1) ?? '';
  let directory = volume.root;
  for (const segment of path.slice(0, -1)) directory = volume.nodes.entry(directory, segment, 'directory');
  return { directory, name, node: volume.nodes.entry(directory, name, 'file') };
}

/** What clients see of a file in listings before the store was asked for it. */
export function showBefore(volume: Volume, ref: string, intent: FileIntent): void {
  const { directory, name, node } = fileAt(volume, intent.path);
  const isNews = intent.kind !== 'written' || ref === writtenRef(node);
  if (!isNews) return;
  if (intent.kind === 'written') node.size = intent.record.sizeBytes;
  else if (intent.sizeBytes !== undefined) node.size = intent.sizeBytes;
  else if (intent.kind === 'create') node.size = 0;
  restore(volume, node, intent.attributes);
  const isNew = intent.kind === 'create' || (intent.kind === 'written' && intent.etag === undefined);
  if (isNew) directory.unpublishedFiles.set(name, node);
}

export interface Circumstances {
  /** Called as soon as the file can be used. */
  readonly opened: () => void;
  /** No other file is being recovered: room that isn't there now doesn't come by waiting. */
  readonly isAlone: () => boolean;
}

/** May be called again after a failure. Errors: StoreError; the journal's; SpoolFullError, unless it is alone. */
export async function recoverFile(
  operations: VolumeOperations,
  ref: string,
  intent: FileIntent,
  circumstances: Circumstances,
): Promise<void> {
  switch (intent.kind) {
    case 'written':
      return writtenAgain(operations, ref, intent, circumstances);
    case 'create':
      return createAgain(operations, ref, intent, circumstances);
    case 'change':
      return changeAgain(operations, ref, intent, circumstances);
  }
}

async function writtenAgain(
  operations: VolumeOperations,
  ref: string,
  intent: IntentOf<'written'>,
  { opened, isAlone }: Circumstances,
): Promise<void> {
  const { volume } = operations;
  const at = fileAt(volume, intent.path);
  const { directory, name, node } = at;
  const key = volume.keyOf(node);
  const head = await volume.store.head(key);
  if (hasToWait(volume, { ref, intent, node, key, head })) return;
  await takeName(volume, node, ref, intent);
  takeWritten(operations, node, intent, head);
  try {
    if (node.session === undefined) await operations.content.restoreSession(node, intent.record);
    node.writtenBy(intent.writers ?? []);
  } catch (error) {
    node.created = false;
    if (error instanceof SpoolFullError && !isAlone()) throw error;
    await putAside(volume, at, intent, { key, error });
    return;
  }
  if (head !== undefined && head.etag !== intent.etag && (await isPublished(node, key, head)))
    await adopt(operations, at, intent, head);
  else if (intent.etag === undefined) directory.unpublishedFiles.set(name, node);
  // A publication that the dead daemon had under way may be carried out yet: nothing is changed before ours has been answered.
  const { session } = node;
  if (session !== undefined && node.silly?.withheld !== true)
    node.attempted = { session, size: session.size, metadata: {} };
  volume.nodes.save(node);
  opened();
  await publish(operations, node);
}

/** Whether another file has the name by now, or will: then the bytes stay where they are. */
function hasToWait(
  { intents, log }: Volume,
  {
    ref,
    intent,
    node,
    key,
    head,
  }: {
    readonly ref: string;
    readonly intent: IntentOf<'written'>;
    readonly node: FileNode;
    readonly key: string;
    readonly head: ObjectHead | undefined;
  },
): boolean {
  const live = intents.live();
  const isAwaited = live.has(createRef(node)) || (ref !== writtenRef(node) && live.has(writtenRef(node)));
  if (intent.isLoser === true && (head !== undefined || isAwaited)) {
    const { upload } = intent.record;
    log.error({ key, upload }, 'the loser of a conflict waits for its key to be free');
    return true;
  }
  if (ref !== writtenRef(node) && (isAwaited || node.session !== undefined)) {
    log.error({ key }, 'bytes that a COMMIT was answered for wait for newer ones of the file');
    return true;
  }
  return false;
}

/** The bytes have the file's own name in the journal, and it has no other. */
async function takeName(
  { intents }: Volume,
  node: FileNode,
  ref: string,
  intent: IntentOf<'written'>,
): Promise<void> {
  // What was said of the file beside its bytes is in their intent, and newer there.
  intents.end(createRef(node));
  intents.end(changeRef(node));
  if (ref === writtenRef(node)) return;
  // Made as the loser, put aside, or with an id that the lost state directory knew.
  await intents.put(writtenRef(node), noLoser(intent));
  await intents.drop(ref);
}

/** What the intent says of the file, but for its bytes. */
function takeWritten(
  { volume, freshness }: VolumeOperations,
  node: FileNode,
  { record, attributes, etag, exclusiveVerifier, timesGiven }: IntentOf<'written'>,
  head: ObjectHead | undefined,
): void {
  if (head !== undefined && head.etag === etag) freshness.applyHead(node, head, volume.clock.nowMs());
  else node.version = etag === undefined ? undefined : { etag, size: record.state.base?.size ?? 0 };
  // Only files have bytes in the journal. A symlink in the table is the one that the file was renamed over.
  if (node.type === 'symlink') node.headers = { metadata: {} };
  node.type = 'file';
  node.symlinkTarget = undefined;
  node.created = etag === undefined;
  node.exclusiveVerifier = exclusiveVerifier;
  restore(volume, node, attributes);
  node.timesGiven = timesGiven === true;
}

/** Bytes that can't be read wait for the next start under another name: what is written to the file next has this one in the journal. */
async function putAside(
  volume: Volume,
  { directory, name, node }: FileAt,
  intent: IntentOf<'written'>,
  { key, error }: { readonly key: string; readonly error: unknown },
): Promise<void> {
  volume.log.error(
    { err: error, key },
    'bytes that a COMMIT was answered for could not be read: what is left of them stays, and is tried at the next start',
  );
  directory.unpublishedFiles.delete(name);
  node.validatedMs = NEVER_MS;
  await volume.intents.put(freeRef(volume, node), noLoser(intent));
  await volume.intents.drop(writtenRef(node));
}

function noLoser({ isLoser: _isLoser, ...intent }: IntentOf<'written'>): IntentOf<'written'> {
  return intent;
}

/** A name in the journal for a record that is put aside. */
function freeRef({ intents }: Volume, node: FileNode): string {
  for (let at = 1; ; at += 1) {
    const ref = `aside:${node.id}:${at}`;
    if (!intents.live().has(ref)) return ref;
  }
}

/**
 * The object has every byte that COMMITs were answered for: it is what an earlier run published before the journal heard of it. Proven by its
 * ETag or its bytes: somebody else's may be as long, and may carry the same attributes.
 */
async function isPublished(node: FileNode, key: string, { etag, size }: ObjectHead): Promise<boolean> {
  return (await node.session?.isHeldBy({ key, etag, size })) === true;
}

/** The file goes on with the object that has its bytes. What is missing of its attributes is a change of that object. */
async function adopt(
  { volume, freshness }: VolumeOperations,
  { directory, name, node }: FileAt,
  { record, attributes, timesGiven }: IntentOf<'written'>,
  head: ObjectHead,
): Promise<void> {
  const { session } = node;
  node.headers = headersOnly(head);
  const wanted = volume.headersOf(node).metadata;
  await session?.leave();
  node.session = undefined;
  node.takeWriters();
  node.created = false;
  if (node.silly?.withheld !== true) directory.unpublishedFiles.delete(name);
  freshness.applyHead(node, head, volume.clock.nowMs());
  await volume.silly.journalVersion(node);
  const ours = [wanted, record.upload?.headers.metadata ?? wanted];
  if (ours.some((metadata) => differsInTimesOnly(metadata, head.metadata))) {
    // An upload carries no times, and the attributes of when it was begun.
    const isLacking =
      !isDeepStrictEqual(wanted, head.metadata) &&
      (timesGiven === true || !differsInTimesOnly(wanted, head.metadata));
    restore(volume, node, attributes);
    if (isLacking && !node.attributesInState) {
      node.attributesDirty = true;
      node.attributesEpoch++;
      // Their record stands until the change is journaled beside it.
      await journal(volume, node);
    }
  } else {
    const key = volume.keyOf(node);
    volume.log.warn(
      { key },
      'the object has the bytes written here and attributes by somebody else: they stay',
    );
  }
  await volume.intents.drop(writtenRef(node));
  volume.segments.free(record.extents.map(({ piece }) => piece));
}

async function createAgain(
  operations: VolumeOperations,
  ref: string,
  intent: IntentOf<'create'>,
  { opened }: Circumstances,
): Promise<void> {
  const { volume, content, freshness } = operations;
  const { directory, name, node } = fileAt(volume, intent.path);
  const head = await volume.store.head(volume.keyOf(node));
  if (head !== undefined) {
    directory.unpublishedFiles.delete(name);
    if (volume.keepsAttributesInState('file')) restore(volume, node, intent.attributes);
    freshness.applyHead(node, head, volume.clock.nowMs());
    // An object that our publication made before the crash has no metadata: the journal's attributes are the file's.
    if (node.attributesInState && head.size === (intent.sizeBytes ?? 0))
      restore(volume, node, intent.attributes);
    volume.nodes.save(node);
    await volume.attributesFlushed(node);
    volume.intents.end(ref);
    return;
  }
  await takeOver(volume, ref, createRef(node), intent);
  // What the state database knows of an object here is of one that is gone.
  node.version = undefined;
  node.size = 0;
  node.created = true;
  node.exclusiveVerifier = intent.exclusiveVerifier;
  restore(volume, node, intent.attributes);
  directory.unpublishedFiles.set(name, node);
  volume.nodes.trackBusy(node);
  volume.nodes.save(node);
  if (intent.sizeBytes !== undefined) {
    await content.resizeAgain(node, intent.sizeBytes);
    restore(volume, node, intent.attributes);
  }
  node.timesGiven = intent.timesGiven === true;
  opened();
  await publish(operations, node);
  // A ref made before a restart may carry the id that the lost state directory knew.
  if (ref !== createRef(node) || !node.created) volume.intents.end(ref);
}

async function changeAgain(
  operations: VolumeOperations,
  ref: string,
  intent: IntentOf<'change'>,
  { opened }: Circumstances,
): Promise<void> {
  const { volume, content, freshness } = operations;
  const { node } = fileAt(volume, intent.path);
  const head = await volume.store.head(volume.keyOf(node));
  node.validatedMs = NEVER_MS;
  if (head !== undefined) freshness.applyHead(node, head, volume.clock.nowMs());
  if (head?.etag !== intent.etag) {
    volume.log.warn(
      { path: intent.path },
      'the file was changed or removed since; a journaled change of it is dropped',
    );
    volume.intents.end(ref);
    return;
  }
  await takeOver(volume, ref, changeRef(node), intent);
  // The journal keeps all of it together until it is published: another crash on the way undoes nothing.
  if (intent.keptBytes !== undefined) await content.resizeAgain(node, intent.keptBytes);
  if (intent.sizeBytes !== undefined) await content.resizeAgain(node, intent.sizeBytes);
  restore(volume, node, intent.attributes);
  node.timesGiven = intent.timesGiven === true;
  node.attributesDirty = !node.attributesInState;
  node.attributesEpoch++;
  volume.nodes.trackBusy(node);
  opened();
  await publish(operations, node);
  // As long as it isn't published the intent stands.
  if (!node.publishable) volume.intents.end(ref);
}

/** A file whose id was lost has its intent under the one that it has today: what is said of it next replaces that. */
async function takeOver({ intents }: Volume, ref: string, own: string, intent: FileIntent): Promise<void> {
  if (ref === own || intents.live().has(own)) return;
  await intents.put(own, intent);
  await intents.drop(ref);
}

/** A file that the store refuses now is there all the same, and tried again. */
async function publish({ volume, publishing, content }: VolumeOperations, node: FileNode): Promise<void> {
  try {
    await publishing.publishHeld(node);
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof SpoolFullError || cause instanceof LostUploadError)
      volume.log.error(
        { err: error, key: volume.keyOf(node) },
        'bytes that a COMMIT was answered for are in an upload alone that can not be completed; what is here of the file is kept',
      );
    else volume.log.warn({ err: error }, 'a file that a crash left unpublished is published later');
    content.publishAfterRest(node);
  }
}

function restore(volume: Volume, node: FileNode, attributes: JournaledAttributes): void {
  node.mode = attributes.mode;
  node.uid = attributes.uid;
  node.gid = attributes.gid;
  node.mtimeNs = BigInt(attributes.mtimeNs);
  node.atimeNs = BigInt(attributes.atimeNs);
  node.attributesInState = volume.keepsAttributesInState('file');
}
