/**
 * How what was changed here becomes objects.
 *
 *            write, truncate                publish
 *   clean ------------------> dirty -----------------------> publishing ---> clean
 *     ^                         ^                                |
 *     |                         +--- the store failed, or more --+
 *     +--- conflict: the winner's object is adopted, the loser's bytes are kept as a sibling object
 *
 * A publication carries If-Match (If-None-Match for a new file): what somebody else wrote since is never overwritten.
 */
import { isDeepStrictEqual } from 'node:util';
import { StoreError } from '../store/errors.js';
import type { ObjectHeaders, WriteCondition } from '../store/object-store.js';
import { unlessAborted } from '../write/unless-aborted.js';
import { resolveConflict } from './conflict.js';
import { headersOnly } from './store-answers.js';
import { changeRef, createRef, journal, journalChangeOf, writtenRef } from './journaling.js';
import type { FileNode } from './node.js';
import { findOwn, willDo } from './own-publication.js';
import { isReplaced, isUndecided, mayHaveHadEffect, rethrowAsFsError, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A failed publication that nobody waits for is tried again after this. */
const RETRY_MS = 10_000;
/** Publications that meet another write of the same object each time (409), and no change of it. */
const ATTEMPTS_MAX = 3;

/** What a publication tells the store of attributes. */
interface AttributesSent {
  readonly headers: ObjectHeaders;
  /** Of when that was. */
  readonly attributesEpoch: number;
}

export class Publishing {
  readonly #volume: Volume;

  constructor(volume: Volume) {
    this.#volume = volume;
  }

  /**
   * Resolves when the store has everything that was written before the call. EIO after a conflict; the store's error when it
   * refuses; the changes stay and are tried again. ESTALE when the file is gone. Nothing is done of what is withheld.
   */
  async publish(node: FileNode): Promise<void> {
    if (node.publishing === undefined && !node.publishable && !node.gone) return;
    await this.#volume.touching(node, () => this.publishHeld(node));
  }

  /** As `publish`, for a caller that holds the file's key or a directory above it. */
  async publishHeld(node: FileNode): Promise<void> {
    node.cancelPlanned?.();
    node.cancelPlanned = undefined;
    if (node.silly?.withheld === true) return;
    for (;;) {
      const running = node.publishing;
      if (running === undefined) break;
      // Its failure is told to whoever began it; here only its end matters.
      await running.then(undefined, () => undefined);
    }
    if (!node.publishable || node.gone) return;
    node.publishing = this.#publishNow(node).finally(() => {
      node.publishing = undefined;
      this.dropCleanSession(node);
      this.#volume.nodes.trackBusy(node);
      // What failed, or was changed meanwhile, is not left to the next COMMIT.
      if (node.publishable && !node.gone && node.cancelPlanned === undefined) this.plan(node, RETRY_MS);
    });
    await node.publishing;
  }

  /**
   * Finds out what became of a publication whose answer was lost, before the file is changed again: the next change would rest on
   * a version that may not be there any more. `patience` ends the wait. Errors: the store's, as FsError.
   */
  async settleAttempt(node: FileNode, patience?: AbortSignal): Promise<void> {
    await this.notPublishing(node, patience);
    if (node.attempted === undefined) return;
    const settling = this.#adoptAttempt(node).finally(() => {
      node.publishing = undefined;
      this.dropCleanSession(node);
      this.#volume.nodes.trackBusy(node);
    });
    node.publishing = settling;
    await unlessAborted(settling, patience);
  }

  /** Resolves when no publication of the file is under way; rejects with the signal's reason. */
  async notPublishing(node: FileNode, patience?: AbortSignal): Promise<void> {
    while (node.publishing !== undefined) {
      const ended = node.publishing.then(undefined, () => undefined);
      await unlessAborted(ended, patience);
    }
  }

  async #adoptAttempt(node: FileNode): Promise<void> {
    const { attempted } = node;
    try {
      if (await this.#isOurs(node, this.#volume.keyOf(node))) await this.#afterPublish(node);
      // S3 may carry it out yet, until it has answered another publication: then the conditions of the first no longer hold.
      else if (node.publishable && node.silly?.withheld !== true) await this.#publishNow(node);
    } catch (error) {
      const failure = toFsError(error);
      if (failure.code === 'EJUKEBOX') node.attempted ??= attempted;
      // Otherwise it was refused, or is a conflict: the next COMMIT is told of that.
      if (node.attempted !== undefined) throw failure;
    }
  }

  /** Publishes every unpublished file, as far as it goes; the failures. */
  async publishAll(): Promise<unknown[]> {
    return failuresOf(this.#busy().map((node) => this.publish(node)));
  }

  /** Files below a prefix of which something is unpublished. */
  unpublishedBelow(prefix: string): FileNode[] {
    return this.#busy().filter((node) => this.#volume.keyOf(node).startsWith(prefix));
  }

  /** As `publishAll`, of files whose keys the caller holds. */
  async publishAllHeld(nodes: readonly FileNode[]): Promise<unknown[]> {
    return failuresOf(nodes.map((node) => this.publishHeld(node)));
  }

  /** Publishes after `delayMs` in the background, instead of when it was planned before. */
  plan(node: FileNode, delayMs: number): void {
    node.cancelPlanned?.();
    node.cancelPlanned = this.#volume.clock.after(delayMs, () => {
      node.cancelPlanned = undefined;
      if (node.gone) return;
      this.publish(node).then(
        () => node.pace.rested(),
        (error: unknown) => {
          if (!node.publishable || node.gone) return;
          this.#volume.log.warn({ err: error }, 'publishing in the background failed and is tried again');
          this.plan(node, RETRY_MS);
        },
      );
    });
  }

  /**
   * Drops everything unpublished of a file that is removed; the caller holds its key. Resolves when a crash can't bring it back.
   * What can't be read any more is let go without being waited for. ENOSPC where the journal has no room for it: then a crash may bring it back.
   */
  async abandon(node: FileNode): Promise<void> {
    const volume = this.#volume;
    node.cancelPlanned?.();
    node.cancelPlanned = undefined;
    const { session } = node;
    node.session = undefined;
    node.created = false;
    node.attributesDirty = false;
    volume.nodes.trackBusy(node);
    const refs = [createRef(node), changeRef(node), writtenRef(node)];
    try {
      await Promise.all(refs.map((ref) => volume.intents.drop(ref)));
    } catch (error) {
      throw toFsError(error);
    } finally {
      // Also after a failure: nobody else knows of the session any more, and it would keep its memory.
      await session?.discard();
    }
  }

  /** Lets a session go that holds nothing any more. */
  dropCleanSession(node: FileNode): void {
    if (
      node.session !== undefined &&
      !node.session.dirty &&
      node.writers === 0 &&
      node.publishing === undefined
    ) {
      const { session } = node;
      node.session = undefined;
      session
        .discard()
        .catch((error: unknown) =>
          this.#volume.log.error({ err: error }, 'a clean write session did not close'),
        );
    }
  }

  #busy(): FileNode[] {
    const volume = this.#volume;
    return volume.nodes
      .busy()
      .filter((node) => !node.gone && volume.table.path(node.id) !== undefined)
      .filter((node) => volume.table.volumeOf(node.id) === volume.name);
  }

  async #publishNow(node: FileNode, attempt = 1): Promise<void> {
    const volume = this.#volume;
    const key = volume.keyOf(node);
    let attributes: AttributesSent;
    let sent: ObjectHeaders;
    try {
      // The journal's record of the attributes ends with the publication: the state directory must have them before.
      await volume.keptAttributes(node);
      await this.#loadHeaders(node, key);
      ({ attributes, sent } = await this.#send(node, key));
    } catch (error) {
      if (!isReplaced(error)) throw toFsError(error);
      try {
        if (isUndecided(error) && (await this.#isAsBefore(node, key))) {
          node.attempted = undefined;
          if (attempt < ATTEMPTS_MAX) return await this.#publishNow(node, attempt + 1);
          throw toFsError(error, { 'precondition-failed': 'EJUKEBOX' });
        }
        if (await this.#isOurs(node, key)) {
          await this.#afterPublish(node);
          return node.publishable ? await this.#publishNow(node) : undefined;
        }
      } catch (failure) {
        throw toFsError(failure);
      }
      return await resolveConflict(volume, node, { key, headers: volume.headersOf(node), cause: error });
    }
    const { headers, attributesEpoch } = attributes;
    // An upload may have been begun with other headers: what the object lacks is then published as a change of it.
    const isLacking = !willDo(node, sent, headers);
    node.headers = isLacking ? headers : sent;
    if (isLacking) node.attributesDirty = true;
    else if (node.attributesEpoch === attributesEpoch) node.attributesDirty = false;
    await this.#afterPublish(node);
    if (isLacking) await this.#publishNow(node);
  }

  /**
   * Whether the object at the key is what a publication of ours put there whose answer was lost. Then there is no conflict: it is the published
   * version, and attributes that it lacks are a change of it, which is journaled before the journal's record of the bytes ends.
   */
  async #isOurs(node: FileNode, key: string): Promise<boolean> {
    const volume = this.#volume;
    const { session } = node;
    const attempted = node.attempted ?? (session && { session, size: session.size, metadata: {} });
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

  /** The object, or its absence, is what was changed here: nobody won. */
  async #isAsBefore(node: FileNode, key: string): Promise<boolean> {
    const head = await this.#volume.store.head(key);
    return head?.etag === node.version?.etag;
  }

  /** The attributes as they are when nobody writes. */
  #attributesNow(node: FileNode): AttributesSent {
    // What is added to keeps its headers: times that it had would be those of before.
    const isAppend = node.session?.isAppend === true && !node.timesGiven;
    const headers = this.#volume.headersOf(node, isAppend ? 'without times' : 'with times');
    return { headers, attributesEpoch: node.attributesEpoch };
  }

  /**
   * One request, or one multipart upload; the node then has the new version. Returns the attributes that were to be sent, and the headers
   * that the object has.
   */
  async #send(
    node: FileNode,
    key: string,
  ): Promise<{ readonly attributes: AttributesSent; readonly sent: ObjectHeaders }> {
    const { store } = this.#volume;
    let attributes = this.#attributesNow(node);
    const condition: WriteCondition =
      node.version === undefined ? { ifNoneMatch: '*' } : { ifMatch: node.version.etag };
    if (node.session?.dirty === true) {
      const { session } = node;
      const { headers: had } = node;
      let writers: ReadonlySet<string> = new Set();
      const published = await session.publish(() => {
        writers = node.takeWriters();
        // A WRITE that was being taken is in the object: so are its times.
        attributes = this.#attributesNow(node);
        const { headers } = attributes;
        return {
          key,
          headers,
          condition,
          acceptHeaders: (opened) => willDo(node, opened, headers),
          onLacking: ({ etag }) => this.#journalLacking(node, etag),
          onFailed: (error) => {
            node.writtenBy(writers);
            if (mayHaveHadEffect(error))
              node.attempted = { session, size: session.size, metadata: headers.metadata };
          },
          ...(had !== undefined && isDeepStrictEqual(had, headers) && { objectHeaders: had }),
        };
      });
      const { etag, size, lastModifiedMs } = published;
      node.version = { etag, size, ...(lastModifiedMs !== undefined && { lastModifiedMs }) };
      node.attempted = undefined;
      node.created = false;
      return { attributes, sent: published.headers };
    }
    const { headers } = attributes;
    const { version, attempted: earlier } = node;
    const size = version?.size ?? 0;
    node.attempted = { session: undefined, size, metadata: headers.metadata };
    try {
      const written = await (version === undefined
        ? store.put(key, [], headers, condition)
        : store.copy(key, key, { sourceEtag: version.etag, headers, condition, size }));
      node.version = { ...written, size };
    } catch (error) {
      // A create-only PUT that was refused had no effect. The new object of another daemon, also empty, must not be taken for ours.
      if (isReplaced(error) && version === undefined) node.attempted = earlier;
      throw error;
    }
    node.attempted = undefined;
    node.created = false;
    return { attributes, sent: headers };
  }

  /** Journals the attributes that an object lacks, before the journal's record of its bytes ends. Doesn't reject: without room it is only logged. */
  async #journalLacking(node: FileNode, etag: string): Promise<void> {
    try {
      await journalChangeOf(this.#volume, node, etag);
    } catch (error) {
      this.#volume.log.warn({ err: error }, 'attributes that an object lacks are not journaled');
    }
  }

  /** A rewrite keeps what the object had; a node that came from the database doesn't know it. */
  async #loadHeaders(node: FileNode, key: string): Promise<void> {
    if (node.version === undefined || node.headers !== undefined) return;
    const head = await this.#volume.store.head(key);
    if (head?.etag !== node.version.etag) {
      throw new StoreError(
        'precondition-failed',
        `"${key}" was replaced or removed since it was changed here`,
        {
          operation: 'HeadObject',
          bucket: this.#volume.store.bucket,
          key,
        },
      );
    }
    node.headers = headersOnly(head);
  }

  async #afterPublish(node: FileNode): Promise<void> {
    const volume = this.#volume;
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
    else await this.#endChange(node);
  }

  /**
   * A size in the journal is carried out over the ETag that it names: before bytes that have that ETag once more are answered for, it is gone
   * from the disk.
   */
  async #endChange(node: FileNode): Promise<void> {
    const { intents } = this.#volume;
    const ref = changeRef(node);
    const change = intents.live().get(ref);
    const isHarmless =
      change?.kind === 'change' && (change.sizeBytes === undefined || change.etag !== node.version?.etag);
    if (isHarmless) intents.end(ref);
    else await intents.drop(ref).catch(rethrowAsFsError);
  }
}

async function failuresOf(publications: readonly Promise<void>[]): Promise<unknown[]> {
  const results = await Promise.allSettled(publications);
  return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
}
