/** Waits until it is known which version of its object a file rests on: publications, conflicts and renames leave that open for a while. */
import { unlessAborted } from '../write/unless-aborted.js';
import type { Freshness } from './freshness.js';
import { NEVER_MS, type FileNode } from './node.js';
import type { Publishing } from './publishing.js';

/** `patience` ends the waits: they reject with its reason. Other errors: the store's, as FsError. */
export class Settling {
  readonly #freshness: Freshness;
  readonly #publishing: Publishing;

  constructor(freshness: Freshness, publishing: Publishing) {
    this.#freshness = freshness;
    this.#publishing = publishing;
  }

  /** Until a change may begin: nothing is under way or unknown that gives the file another version than it rests on. */
  async beforeChange(node: FileNode, patience?: AbortSignal): Promise<void> {
    for (;;) {
      if (node.attempted !== undefined) await this.#publishing.settleAttempt(node, patience);
      await this.conflict(node, patience);
      // The copy that publishes attributes may give the same bytes another ETag, as it does with what was uploaded in parts; the object of
      // a new file is the version that the next change rests on.
      if (node.publishing === undefined || node.session !== undefined) break;
      await this.#publishing.notPublishing(node, patience);
    }
    await this.trust(node, patience);
  }

  /**
   * Looks at a file again whose version is in doubt: a directory above it was renamed while this call waited, and the copy of what was
   * uploaded in parts has another ETag. A change of the version before would be taken for a conflict with somebody else's.
   */
  async trust(node: FileNode, patience?: AbortSignal): Promise<void> {
    const isDoubtful =
      node.version !== undefined && node.session === undefined && node.validatedMs === NEVER_MS;
    if (!isDoubtful || node.recovering !== undefined) return;
    await unlessAborted(Promise.resolve(this.#freshness.file(node)), patience);
  }

  /**
   * A conflict leaves a file without a version: what is read or changed next is the winner's, once it was looked at. ESTALE when
   * nobody won.
   */
  async conflict(node: FileNode, patience?: AbortSignal): Promise<void> {
    while (node.version === undefined && node.session === undefined && !node.created) {
      if (node.publishing !== undefined) await this.#publishing.notPublishing(node, patience);
      else if (node.unpublished || node.relocating) return;
      else await unlessAborted(Promise.resolve(this.#freshness.file(node)), patience);
    }
  }
}
