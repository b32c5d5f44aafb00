/** Changes of bytes and attributes of files. What was changed is published by publishing.ts. */
import { fileBytesMax } from '../write/part-map.js';
import type { DurableRecord } from '../write/durable-record.js';
import type { ChangeWitness as SessionWitness } from '../write/session-options.js';
import { WriteSession } from '../write/write-session.js';
import { applyAttributes, laterMtime } from './apply-attributes.js';
import { FsError } from './errors.js';
import type { AttributeChanges } from './file-system.js';
import { durableOptions, sessionOptions } from './file-session.js';
import { journal } from './journaling.js';
import type { FileNode } from './node.js';
import type { Publishing } from './publishing.js';
import { withoutSetId } from './set-id.js';
import type { Settling } from './settling.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A burst of calls on one file (create, write, chmod, utimes) becomes one request when it pauses this long. */
const REST_MS = 250;
/** Bytes that no COMMIT asked for are published when nobody has written for this long. */
const IDLE_MS = 5_000;
/** Sees a change of attributes happen, with nothing else in between. `before` is left out where that can't be had. */
export interface ChangeWitness {
  /** Throws where the change is not to be made. Called more than once. */
  mayBegin(): void;
  before(): void;
  after(): void;
}

/** Who writes, and for how long the call may wait. */
interface Writer {
  /** Its address. */
  readonly client: string;
  readonly patience?: AbortSignal;
}

export class Content {
  readonly #volume: Volume;
  readonly #publishing: Publishing;
  readonly #settling: Settling;

  constructor(volume: Volume, publishing: Publishing, settling: Settling) {
    this.#volume = volume;
    this.#publishing = publishing;
    this.#settling = settling;
  }

  /**
   * Takes all of `data`, whose end the caller has checked (`requireWritable`). `patience` ends the waiting for others: then the promise rejects
   * with its reason, nothing was or will be taken, and `data` is the caller's again. EIO for a client whose bytes lost a conflict, until it
   * begins anew.
   */
  async write(node: FileNode, offset: number, data: Buffer, { client, patience }: Writer): Promise<void> {
    node.noteChange();
    const writing: Change = (session, witness) => session.write(offset, data, patience, witness);
    await this.#volume.touching(node, () => this.#change(node, writing, patience, client), patience);
    if (!node.gone) this.#publishing.plan(node, IDLE_MS);
  }

  /**
   * Applies SETATTR. Resolves when the change is in the journal. `patience` ends the waiting for others as long as nothing was
   * changed; once the size was, the rest is, too.
   */
  async setattr(
    node: FileNode,
    changes: AttributeChanges,
    witness?: ChangeWitness,
    patience?: AbortSignal,
  ): Promise<void> {
    const setting = async (): Promise<void> => {
      const verifier = node.exclusiveVerifier;
      // The first SETATTR ends it (RFC 1813 3.3.8), unless it is refused; an UNCHECKED CREATE that truncates the file doesn't.
      node.exclusiveVerifier = undefined;
      try {
        await this.setattrHeld(node, changes, witness, patience);
      } catch (error) {
        node.exclusiveVerifier = verifier;
        throw error;
      }
    };
    await this.#volume.touching(node, setting, patience);
  }

  /** As `setattr`, for a caller that holds the file's key. */
  async setattrHeld(
    node: FileNode,
    changes: AttributeChanges,
    witness?: ChangeWitness,
    patience?: AbortSignal,
  ): Promise<void> {
    const volume = this.#volume;
    const { size } = changes;
    node.noteChange();
    witness?.mayBegin();
    if (node.attempted !== undefined) await this.#publishing.settleAttempt(node, patience);
    if (size !== undefined) {
      if (node.type === 'symlink') throw new FsError('EINVAL', 'a symlink has no size to set');
      this.requireWritable(size);
      if (size !== node.size)
        await this.#change(node, (session, witness) => session.truncate(size, patience, witness), patience);
    }
    // Once the size was changed the rest is.
    const unchanged = size === undefined ? patience : undefined;
    // A publication under way carries the attributes of before, and makes the version that the journal must name.
    do {
      await this.#publishing.settleAttempt(node, unchanged);
      await this.#settling.conflict(node, unchanged);
      await this.#settling.trust(node, unchanged);
    } while (node.publishing !== undefined || node.attempted !== undefined);
    if (size === undefined) {
      witness?.mayBegin();
      witness?.before();
    }
    const nowNs = volume.nowNs;
    const differs = applyAttributes(
      node,
      { ...(size !== undefined && { mtimeNs: 'now' }), ...withoutSetId(node, changes) },
      nowNs,
    );
    if (differs) {
      node.attributesEpoch++;
      node.attributesInState = volume.keepsAttributesInState('file');
      if (!node.created && !node.attributesInState) node.attributesDirty = true;
    }
    if (typeof changes.mtimeNs === 'bigint') node.timesGiven = true;
    node.touchCtime(nowNs);
    witness?.after();
    volume.nodes.trackBusy(node);
    volume.nodes.save(node);
    // Also what differs in nothing: the same may be on its way to the disk, or have failed there.
    if (differs || size !== undefined || node.created || node.attributesDirty)
      await journal(volume, node, size);
    if (node.attributesInState) await volume.attributesFlushed(node);
    if (node.publishable) this.publishAfterRest(node);
  }

  /** Gives a file a size that the journal has: it is told nothing. For a caller that holds the file's key and restores the times. */
  async resizeAgain(node: FileNode, sizeBytes: number): Promise<void> {
    if (sizeBytes !== node.size)
      await this.#change(
        node,
        (session, witness) => session.truncate(sizeBytes, undefined, witness),
        undefined,
      );
  }

  /** Publishes a new file, or changed attributes, after a rest. */
  publishAfterRest(node: FileNode): void {
    const { policy, restMs } = this.#volume.commit;
    this.#publishing.plan(node, policy === 'journal' ? restMs : REST_MS);
  }

  /** Gives a file back what an earlier run had made safe of it. Errors: the spool's. */
  async restoreSession(node: FileNode, record: DurableRecord): Promise<void> {
    // Whatever is said of the state directory today: the bytes are there.
    const options = { ...sessionOptions(this.#volume, node), durable: durableOptions(this.#volume, node) };
    node.session = await WriteSession.restore(options, record);
    node.size = node.session.size;
    this.#volume.nodes.trackBusy(node);
  }

  /** `client`: whose bytes they are. */
  async #change(
    node: FileNode,
    change: Change,
    patience: AbortSignal | undefined,
    client?: string,
  ): Promise<void> {
    do {
      await this.#settling.beforeChange(node, patience);
      const refusal = client === undefined ? undefined : this.#volume.conflicts.refusal(node, client);
      if (refusal !== undefined) throw refusal;
    } while (!(await this.#changeSettled(node, change, client)));
  }

  /** False, and nothing was changed, where it isn't known whether the publication that was waited for reached the store. */
  async #changeSettled(node: FileNode, change: Change, client?: string): Promise<boolean> {
    const volume = this.#volume;
    if (node.session?.dirty !== true) node.pace.changed(volume.clock.nowMs());
    node.writers++;
    volume.nodes.trackBusy(node);
    const session = (node.session ??= new WriteSession(sessionOptions(this.#volume, node)));
    try {
      await change(session, {
        mayBegin: () => {
          if (node.attempted !== undefined || node.session !== session) throw new UnsettledError();
        },
        changed: () => {
          const { nowNs } = volume;
          if (client !== undefined) node.writtenBy([client]);
          node.size = session.size;
          node.mtimeNs = laterMtime(node.mtimeNs, nowNs);
          node.timesGiven = false;
          node.attributesEpoch++;
          node.touchCtime(nowNs);
        },
      });
      return true;
    } catch (error) {
      if (error instanceof UnsettledError) return false;
      throw toFsError(error);
    } finally {
      node.writers--;
      this.#publishing.dropCleanSession(node);
      volume.nodes.trackBusy(node);
    }
  }

  /** EFBIG beyond what 10,000 parts of an upload hold. */
  requireWritable(sizeBytes: number): void {
    const max = fileBytesMax(this.#volume.writeOptions?.partBytes);
    if (sizeBytes > max) throw new FsError('EFBIG', `a file that is written here holds at most ${max} bytes`);
  }
}

/** Writes or truncates. The session tells the witness when its turn has come, and what was changed. */
type Change = (session: WriteSession, witness: SessionWitness) => Promise<void>;

/** A change has to wait: it isn't known which version of the object the session rests on. */
class UnsettledError extends Error {
  override readonly name = 'UnsettledError';
}
