/**
 * One publication of a file, step by step: what it had is known, what changed is sent under a condition, the node has the new version, and the
 * journal's record of the change ends. Where the condition doesn't hold, the object that is there tells why:
 *
 *   as before               -> another write of it was under way: once more
 *   ours, the answer lost   -> taken for the published one
 *   somebody else's         -> conflict.ts
 */
import { isDeepStrictEqual } from 'node:util';
import { StoreError } from '../store/errors.js';
import type { ObjectHeaders, WriteCondition } from '../store/object-store.js';
import type { WriteSession } from '../write/write-session.js';
import { resolveConflict } from './conflict.js';
import { changeRef, createRef, journal, journalChangeOf } from './journaling.js';
import type { FileNode, PublishedVersion } from './node.js';
import { findOwn, willDo } from './own-publication.js';
import { headersOnly } from './store-answers.js';
import { isReplaced, isUndecided, mayHaveHadEffect, rethrowAsFsError, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** Publications that meet another write of the same object each time (409), and no change of it. */
const ATTEMPTS_MAX = 3;

/** What a publication tells the store of attributes. */
interface AttributesSent {
  readonly headers: ObjectHeaders;
  /** Of when that was. */
  readonly attributesEpoch: number;
}

interface Sent {
  /** Those that were to be sent. */
  readonly attributes: AttributesSent;
  /** Those that the object has. */
  readonly headers: ObjectHeaders;
}

/** Publishes what the file has. The caller holds its key, and no other publication of it runs. Errors: see Publishing.publish. */
export async function publishFile(volume: Volume, node: FileNode, attempt = 1): Promise<void> {
  const key = volume.keyOf(node);
  let sent: Sent;
  try {
    // The journal's record of the attributes ends with the publication: the state directory must have them before.
    await volume.attributesFlushed(node);
    await loadHeaders(volume, node, key);
    sent = await send(volume, node, key);
  } catch (error) {
    if (!isReplaced(error)) throw toFsError(error);
    return await settleRefused(volume, node, { key, attempt, cause: error });
  }
  const isLacking = takeAttributes(node, sent);
  await afterPublish(volume, node);
  if (isLacking) await publishFile(volume, node);
}

/** Finds out what became of `attempted`, and publishes what is left then. The caller holds the key. Errors: the store's, as FsError. */
export async function adoptAttempt(volume: Volume, node: FileNode): Promise<void> {
  const { attempted } = node;
  try {
    if (await adoptOurs(volume, node, volume.keyOf(node))) await afterPublish(volume, node);
    // S3 may carry it out yet, until it has answered another publication: then the conditions of the first no longer hold.
    else if (node.publishable && node.silly?.withheld !== true) await publishFile(volume, node);
  } catch (error) {
    const failure = toFsError(error);
    if (failure.code === 'EJUKEBOX') node.attempted ??= attempted;
    // Otherwise it was refused, or is a conflict: the next COMMIT is told of that.
    if (node.attempted !== undefined) throw failure;
  }
}

/** After a publication whose condition didn't hold. */
async function settleRefused(
  volume: Volume,
  node: FileNode,
  { key, attempt, cause }: { readonly key: string; readonly attempt: number; readonly cause: unknown },
): Promise<void> {
  try {
    if (isUndecided(cause) && (await isAsBefore(volume, node, key))) {
      node.attempted = undefined;
      if (attempt < ATTEMPTS_MAX) return await publishFile(volume, node, attempt + 1);
      throw toFsError(cause, { 'precondition-failed': 'EJUKEBOX' });
    }
    if (await adoptOurs(volume, node, key)) {
      await afterPublish(volume, node);
      return node.publishable ? await publishFile(volume, node) : undefined;
    }
  } catch (failure) {
    throw toFsError(failure);
  }
  await resolveConflict(volume, node, { key, headers: volume.headersOf(node), cause });
}

/** The object, or its absence, is what was changed here: nobody won. */
async function isAsBefore(volume: Volume, node: FileNode, key: string): Promise<boolean> {
  const head = await volume.store.head(key);
  return head?.etag === node.version?.etag;
}

/**
 * Takes the object at the key for the file's, where a publication of ours put it there whose answer was lost: true then. There is no conflict: it is the published
 * version, and attributes that it lacks are a change of it, which is journaled before the journal's record of the bytes ends.
 */
async function adoptOurs(volume: Volume, node: FileNode, key: string): Promise<boolean> {
  const { session } = node;
  const attempted = node.attempted ?? (session && { session, size: session.size, metadata: {} });
  // WRITEs wait until it is decided: what comes after the comparison would go with the session.
  node.attempted = attempted;
  const head = attempted && (await findOwn(volume, node, key, attempted));
  if (head === undefined) {
    node.attempted = undefined;
    return false;
  }
  const { etag, size, lastModifiedMs } = head;
  const headers = headersOnly(head);
  const wanted = { ...headers, metadata: volume.headersOf(node).metadata };
  const isLacking = !willDo(node, headers, wanted);
  if (isLacking) await journalChangeOf(volume, node, etag);
  node.version = { etag, size, lastModifiedMs };
  node.headers = headers;
  node.created = false;
  node.attributesDirty = isLacking;
  node.session = undefined;
  node.attempted = undefined;
  node.takeWriters();
  await session?.discard();
  return true;
}

/** A rewrite keeps what the object had; a node that came from the database doesn't know it. */
async function loadHeaders(volume: Volume, node: FileNode, key: string): Promise<void> {
  if (node.version === undefined || node.headers !== undefined) return;
  const head = await volume.store.head(key);
  if (head?.etag !== node.version.etag) {
    throw new StoreError(
      'precondition-failed',
      `"${key}" was replaced or removed since it was changed here`,
      {
        operation: 'HeadObject',
        bucket: volume.store.bucket,
        key,
      },
    );
  }
  node.headers = headersOnly(head);
}

/** The attributes as they are when nobody writes. */
function attributesNow(volume: Volume, node: FileNode): AttributesSent {
  // What is added to keeps its headers: times that it had would be those of before.
  const isAppend = node.session?.isAppend === true && !node.timesGiven;
  const headers = volume.headersOf(node, isAppend ? 'without times' : 'with times');
  return { headers, attributesEpoch: node.attributesEpoch };
}

/** One request, or one multipart upload; the node then has the new version. Errors: StoreError; SpoolFullError. */
function send(volume: Volume, node: FileNode, key: string): Promise<Sent> {
  const condition: WriteCondition =
    node.version === undefined ? { ifNoneMatch: '*' } : { ifMatch: node.version.etag };
  const { session } = node;
  return session?.dirty === true
    ? sendBytes(volume, node, session, key, condition)
    : sendAttributes(volume, node, key, condition);
}

async function sendBytes(
  volume: Volume,
  node: FileNode,
  session: WriteSession,
  key: string,
  condition: WriteCondition,
): Promise<Sent> {
  let attributes = attributesNow(volume, node);
  const { headers: had } = node;
  let writers: ReadonlySet<string> = new Set();
  const published = await session.publish(() => {
    writers = node.takeWriters();
    // A WRITE that was being taken is in the object: so are its times.
    attributes = attributesNow(volume, node);
    const { headers } = attributes;
    return {
      key,
      headers,
      condition,
      acceptHeaders: (opened) => willDo(node, opened, headers),
      onLacking: ({ etag }) => journalLacking(volume, node, etag),
      onFailed: (error) => {
        node.writtenBy(writers);
        if (mayHaveHadEffect(error))
          node.attempted = { session, size: session.size, metadata: headers.metadata };
      },
      ...(had !== undefined && isDeepStrictEqual(had, headers) && { objectHeaders: had }),
    };
  });
  const { etag, size, lastModifiedMs } = published;
  takeVersion(node, { etag, size, ...(lastModifiedMs !== undefined && { lastModifiedMs }) });
  return { attributes, headers: published.headers };
}

/** A new file without bytes is put; of another, the object is copied to itself. */
async function sendAttributes(
  volume: Volume,
  node: FileNode,
  key: string,
  condition: WriteCondition,
): Promise<Sent> {
  const { store } = volume;
  const attributes = attributesNow(volume, node);
  const { headers } = attributes;
  const { version, attempted: earlier } = node;
  const size = version?.size ?? 0;
  node.attempted = { session: undefined, size, metadata: headers.metadata };
  try {
    const written = await (version === undefined
      ? store.put(key, [], headers, condition)
      : store.copy(key, key, { sourceEtag: version.etag, headers, condition, size }));
    takeVersion(node, { ...written, size });
  } catch (error) {
    // A create-only PUT that was refused had no effect. The new object of another daemon, also empty, must not be taken for ours.
    if (isReplaced(error) && version === undefined) node.attempted = earlier;
    throw error;
  }
  return { attributes, headers };
}

function takeVersion(node: FileNode, version: PublishedVersion): void {
  node.version = version;
  node.attempted = undefined;
  node.created = false;
}

/** Journals the attributes that an object lacks, before the journal's record of its bytes ends. Doesn't reject: without room it is only logged. */
async function journalLacking(volume: Volume, node: FileNode, etag: string): Promise<void> {
  try {
    await journalChangeOf(volume, node, etag);
  } catch (error) {
    volume.log.warn({ err: error }, 'attributes that an object lacks are not journaled');
  }
}

/**
 * What the object has is what the node had when it was sent. An upload may have been begun with other headers: what the object lacks is then to be
 * published as a change of it, and true is returned.
 */
function takeAttributes(node: FileNode, { attributes, headers: has }: Sent): boolean {
  const { headers, attributesEpoch } = attributes;
  const isLacking = !willDo(node, has, headers);
  node.headers = isLacking ? headers : has;
  if (isLacking) node.attributesDirty = true;
  else if (node.attributesEpoch === attributesEpoch) node.attributesDirty = false;
  return isLacking;
}

/** The node, its directory and the journal hear of the version that is there now. */
async function afterPublish(volume: Volume, node: FileNode): Promise<void> {
  node.epoch++;
  node.validatedMs = volume.clock.nowMs();
  node.pace.published(node.validatedMs);
  // WRITEs that waited for the publication go on with the file.
  if (node.writers > 0 || node.session?.dirty === true) node.pace.changed(node.validatedMs);
  node.proven = volume.metadata !== 'none';
  volume.intents.end(createRef(node));
  const { version } = node;
  const parent = volume.parentOf(node);
  const name = volume.nameOf(node);
  parent.unpublishedFiles.delete(name);
  volume.kept.filled(parent);
  parent.noteEntry({ name, kind: 'file', ...(version !== undefined && { version }) });
  volume.nodes.save(node);
  // What was set meanwhile is a change of the version that is there now.
  if (node.attributesDirty) await journal(volume, node, 'published');
  else await endChange(volume, node);
}

/**
 * A size in the journal is carried out over the ETag that it names: before bytes that have that ETag once more are answered for, it is gone
 * from the disk.
 */
async function endChange(volume: Volume, node: FileNode): Promise<void> {
  const { intents } = volume;
  const ref = changeRef(node);
  const change = intents.live().get(ref);
  const isHarmless =
    change?.kind === 'change' && (change.sizeBytes === undefined || change.etag !== node.version?.etag);
  if (isHarmless) intents.end(ref);
  else await intents.drop(ref).catch(rethrowAsFsError);
}
