/**
 * COMMIT, and WRITEs that ask for as much: what they are answered from.
 *
 *   publish: small, or not streamed ----------------------------> published -> answered
 *            streamed: nothing more comes for 250 ms, and paid for -> published -> answered
 *                      else -> kept (upload, spool, journal) -> answered -> published after a rest
 *   removed while it is open: kept -> answered
 *   journal: kept -> answered -> published after a rest
 *
 * What can't be kept, because the spool or the disk is full, is published instead.
 */
import { FsError } from './errors.js';
import type { FileNode } from './node.js';
import type { Publishing } from './publishing.js';
import type { SillyNames } from './silly-names.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A COMMIT of a streamed file waits so long for the next WRITE before it takes the file for complete. */
const HOLD_MS = 250;
/** A streamed file that a COMMIT didn't publish is published when nothing came for this long. */
const STREAM_REST_MS = 1000;

export class Committing {
  readonly #volume: Volume;
  readonly #publishing: Publishing;
  readonly #silly: SillyNames;

  constructor(volume: Volume, publishing: Publishing, silly: SillyNames) {
    this.#volume = volume;
    this.#publishing = publishing;
    this.#silly = silly;
  }

  /**
   * Resolves when a crash of the daemon loses nothing that was written before the call; with the policy `publish`, and unless the file is
   * streamed, when the store has it. EIO after a conflict; the store's error when it refuses. ESTALE when the file is gone.
   */
  async commit(node: FileNode): Promise<void> {
    await this.#makeSafe(node);
    if (node.gone) return;
    // The ctime is to survive a kill as the bytes do. On a full disk only the bytes are safe, which is what COMMIT promises.
    const volume = this.#volume;
    await volume.table.settled().catch((error: unknown) => {
      volume.log.warn(
        { err: error, volume: volume.name, key: volume.keyOf(node) },
        'bytes that a COMMIT asked for are safe, and the time of their change would not survive a crash',
      );
    });
  }

  async #makeSafe(node: FileNode): Promise<void> {
    const { policy, restMs, isStateEphemeral } = this.#volume.commit;
    if (node.recovering !== undefined)
      await this.#volume.long.within(node.recovering, `recovery of file ${node.id}`);
    if (node.silly?.withheld === true) return await this.#keep(node, restMs);
    if (isStateEphemeral || node.gone) return await this.#publishing.publish(node);
    if (policy === 'journal') return await this.#keep(node, restMs);
    const { session, pace } = node;
    if (session === undefined || session.isOnePut || !pace.isStreaming)
      return await this.#publishing.publish(node);
    if (pace.mayPublish(session) && (await this.#rests(node))) {
      pace.spend(session);
      return await this.#publishing.publish(node);
    }
    await this.#keep(node, STREAM_REST_MS);
  }

  /** Answered from spool and journal, published when nothing comes for `restMs`. */
  async #keep(node: FileNode, restMs: number): Promise<void> {
    const volume = this.#volume;
    try {
      await volume.touching(node, () => this.#keepHeld(node));
    } catch (error) {
      if (node.gone || (error instanceof FsError && error.code === 'ESTALE')) throw error;
      volume.log.warn(
        { err: error, volume: volume.name, key: volume.keyOf(node) },
        'what a COMMIT asked for could not be kept here, and is published instead',
      );
      // Another COMMIT may be at it: what it publishes is waited for all the same.
      if (node.silly?.withheld === true) await volume.touching(node, () => this.#silly.settle(node));
      return await this.#publishing.publish(node);
    }
    if (!node.gone) volume.nodes.save(node);
    if (node.publishable) this.#publishing.plan(node, node.pace.restMs(restMs));
  }

  async #keepHeld(node: FileNode): Promise<void> {
    for (;;) {
      // One of the file as it was made, without its bytes, gives it the version that the journal must name.
      await this.#publishing.notPublishing(node);
      const { session } = node;
      if (session?.dirty !== true) return;
      try {
        return await session.keep();
      } catch (error) {
        // Published meanwhile, and let go.
        if (node.session !== session) continue;
        throw toFsError(error);
      }
    }
  }

  /** Nothing more comes for a short while. */
  #rests(node: FileNode): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (rests: boolean): void => {
        cancel();
        node.offChange(onChange);
        resolve(rests);
      };
      const onChange = (): void => end(false);
      const cancel = this.#volume.clock.after(HOLD_MS, () => end(true));
      node.onChange(onChange);
    });
  }
}
