/**
 * When what was changed here becomes objects: at once, after a rest, or not at all; of each file one publication (publication.ts) at a time.
 *
 *            write, truncate                publish
 *   clean ------------------> dirty -----------------------> publishing ---> clean
 *     ^                         ^                                |
 *     |                         +--- the store failed, or more --+
 *     +--- conflict: the winner's object is adopted, the loser's bytes are kept as a sibling object
 *
 * A publication carries If-Match (If-None-Match for a new file): what somebody else wrote since is never overwritten.
 */
import { unlessAborted } from '../write/unless-aborted.js';
import { changeRef, createRef, writtenRef } from './journaling.js';
import type { FileNode } from './node.js';
import { adoptAttempt, publishFile } from './publication.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A failed publication that nobody waits for is tried again after this. */
const RETRY_MS = 10_000;
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
    node.publishing = publishFile(this.#volume, node).finally(() => {
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
    const settling = adoptAttempt(this.#volume, node).finally(() => {
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

  /** Publishes every unpublished file, as far as it goes; the failures. */
  async publishAll(): Promise<unknown[]> {
    return failuresOf(this.#busy().map((node) => this.publish(node)));
  }

  /** Files below a prefix of which something is unpublished. */
  unpublishedBelow(prefix: string): FileNode[] {
    return this.#busy().filter((node) => this.#volume.keyOf(node).startsWith(prefix));
  }

  /** Begins to publish each file whose bytes rest before they are published, or wait to be tried again. */
  publishResting(): Promise<void>[] {
    return this.#busy()
      .filter(({ session, silly }) => session?.dirty === true && silly?.withheld !== true)
      .map((node) => this.publish(node));
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
}

async function failuresOf(publications: readonly Promise<void>[]): Promise<unknown[]> {
  const results = await Promise.allSettled(publications);
  return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
}
