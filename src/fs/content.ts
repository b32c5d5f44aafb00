/** Bytes and attributes of files: reading them and changing them. What was changed is published by publishing.ts. */
import type { ByteSlices } from '../memory/byte-slices.js';
import type { ReadPolicy } from '../read/options.js';
import { fileBytesMax } from '../write/part-map.js';
import { unlessAborted } from '../write/unless-aborted.js';
import type { DurableRecord } from '../write/durable-record.js';
import type { ChangeWitness as SessionWitness } from '../write/session-options.js';
import { WriteSession } from '../write/write-session.js';
import { applyAttributes } from './apply-attributes.js';
import { FsError } from './errors.js';
import type { AttributeChanges } from './file-system.js';
import type { FilesAhead } from './files-ahead.js';
import type { Freshness } from './freshness.js';
import { durableOptions, sessionOptions } from './file-session.js';
import { journal } from './journaling.js';
import { NEVER_MS, type FileNode } from './node.js';
import type { Publishing } from './publishing.js';
import { withoutSetId } from './set-id.js';
import { isReplaced, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';
import type { WholeGets } from './whole-gets.js';

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

/** Bytes of a file, and what of it they are. */
export interface FileBytes extends ByteSlices {
  /** They reach the end of what they are bytes of. */
  readonly eof: boolean;
  /** The file is still what they are bytes of: its attributes are theirs. */
  readonly current: boolean;
}

/** What fetches small files before they are read. */
export interface SmallFiles {
  readonly gets: WholeGets;
  readonly ahead: FilesAhead;
}

const NS_PER_MS = 1_000_000n;

/** An object that is replaced again and again while it is read: tell the client to come back. */
const REPLACED_MAX = 5;

export class Content {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #publishing: Publishing;
  readonly #small: SmallFiles | undefined;

  /** `small` hears of what is read. */
  constructor(volume: Volume, freshness: Freshness, publishing: Publishing, small?: SmallFiles) {
    this.#volume = volume;
    this.#freshness = freshness;
    this.#publishing = publishing;
    this.#small = small;
  }

  /**
   * At most `count` bytes from `offset`, of one version, unpublished bytes first. Fewer only at the end of the file. `policy`: what is
   * fetched ahead.
   */
  async read(
    node: FileNode,
    offset: number,
    count: number,
    signal?: AbortSignal,
    policy?: ReadPolicy,
  ): Promise<FileBytes> {
    for (let replaced = 0; replaced < REPLACED_MAX; replaced++) {
      await this.#freshness.file(node);
      const { size, ctimeNs } = node;
      const wanted = Math.min(count, Math.max(0, size - offset));
      const of = (bytes: ByteSlices): FileBytes =>
        fileBytes(bytes, offset + bytes.count >= size, node.ctimeNs === ctimeNs);
      if (wanted === 0) return of(NO_BYTES);
      const key = this.#volume.keyOf(node);
      try {
        if (node.session !== undefined) return of(await node.session.read(offset, wanted, signal));
        if (node.version === undefined) {
          // A conflict is being settled: afterwards the winner's object is looked at.
          await this.#settleConflict(node);
          continue;
        }
        const { etag, size: objectBytes } = node.version;
        const version = { key, etag, size: objectBytes };
        this.#small?.gets.reading(version, offset, wanted);
        const reading = this.#volume.readers.read(version, offset, wanted, signal, policy);
        // Told not to, nothing is fetched that wasn't asked for.
        if (offset === 0 && policy !== 'random') this.#small?.ahead.opened(node);
        return of(await reading);
      } catch (error) {
        if (!isReplaced(error)) throw toFsError(error);
        // Somebody replaced or removed the object: look again, and read the new version from the start of this call.
        this.#volume.readers.forget(key);
        node.validatedMs = NEVER_MS;
        // Or the file is being renamed: then its bytes are at the new key when that has ended.
        await this.#volume.touching(node, () => Promise.resolve());
      }
    }
    if (node.silly?.withheld === true)
      throw new FsError(
        'EIO',
        `what "${this.#volume.keyOf(node)}" was before its removal was overwritten by somebody else`,
      );
    throw new FsError(
      'EJUKEBOX',
      `"${this.#volume.keyOf(node)}" is being replaced faster than it can be read`,
    );
  }

  /**
   * As `read`, of a file whose attributes are fresh, where that asks nobody and waits for nothing: its bytes are a version's and in memory.
   * Undefined where they aren't; nothing was done then.
   */
  readHeld(node: FileNode, offset: number, count: number, policy?: ReadPolicy): FileBytes | undefined {
    const { size, version } = node;
    if (node.gone || node.session !== undefined || version === undefined) return undefined;
    const wanted = Math.min(count, Math.max(0, size - offset));
    if (wanted === 0) return fileBytes(NO_BYTES, offset >= size, true);
    const { readers } = this.#volume;
    const object = { key: this.#volume.keyOf(node), etag: version.etag, size: version.size };
    // A symlink kept in metadata is longer than its object.
    if (offset + wanted > object.size || !readers.isHeld(object, offset, wanted)) return undefined;
    this.#small?.gets.reading(object, offset, wanted);
    const bytes = readers.readHeld(object, offset, wanted, policy);
    if (offset === 0 && policy !== 'random') this.#small?.ahead.opened(node);
    return fileBytes(bytes, offset + bytes.count >= size, true);
  }

  /** A symlink's target. */
  async readlink(node: FileNode, signal?: AbortSignal): Promise<Buffer> {
    await this.#freshness.file(node);
    if (node.type !== 'symlink') throw new FsError('EINVAL', 'READLINK of what is not a symlink');
    if (node.symlinkTarget !== undefined) return Buffer.from(node.symlinkTarget, 'utf8');
    const bytes = await this.read(node, 0, node.size, signal);
    const target = Buffer.concat(bytes.slices);
    bytes.release();
    return target;
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
      await this.#settleConflict(node, unchanged);
      await this.#trust(node, unchanged);
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
      node.attributesHere = volume.keepsAttributesHere('file');
      if (!node.created && !node.attributesHere) node.attributesDirty = true;
    }
    if (typeof changes.mtimeNs === 'bigint') node.timesGiven = true;
    node.touchCtime(nowNs);
    witness?.after();
    volume.nodes.trackBusy(node);
    volume.nodes.save(node);
    // Also what differs in nothing: the same may be on its way to the disk, or have failed there.
    if (differs || size !== undefined || node.created || node.attributesDirty)
      await journal(volume, node, size);
    if (node.attributesHere) await volume.keptAttributes(node);
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
      await this.#settle(node, patience);
      const refusal = client === undefined ? undefined : this.#volume.refusal(node, client);
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

  /** Until a change may begin: nothing is under way or unknown that gives the file another version than it rests on. */
  async #settle(node: FileNode, patience?: AbortSignal): Promise<void> {
    for (;;) {
      if (node.attempted !== undefined) await this.#publishing.settleAttempt(node, patience);
      await this.#settleConflict(node, patience);
      // The copy that publishes attributes may give the same bytes another ETag, as it does with what was uploaded in parts; the object of
      // a new file is the version that the next change rests on.
      if (node.publishing === undefined || node.session !== undefined) break;
      await this.#publishing.notPublishing(node, patience);
    }
    await this.#trust(node, patience);
  }

  /**
   * Looks at a file again whose version is in doubt: a directory above it was renamed while this call waited, and the copy of what was
   * uploaded in parts has another ETag. A change of the version before would be taken for a conflict with somebody else's.
   */
  async #trust(node: FileNode, patience?: AbortSignal): Promise<void> {
    const isDoubtful =
      node.version !== undefined && node.session === undefined && node.validatedMs === NEVER_MS;
    if (!isDoubtful || node.recovering !== undefined) return;
    await unlessAborted(Promise.resolve(this.#freshness.file(node)), patience);
  }

  /**
   * A conflict leaves a file without a version: what is read or changed next is the winner's, once it was looked at. ESTALE when
   * nobody won.
   */
  async #settleConflict(node: FileNode, patience?: AbortSignal): Promise<void> {
    while (node.version === undefined && node.session === undefined && !node.created) {
      if (node.publishing !== undefined) await this.#publishing.notPublishing(node, patience);
      else if (node.unpublished || node.relocating) return;
      else await unlessAborted(Promise.resolve(this.#freshness.file(node)), patience);
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

/** The clock counts milliseconds: within one, each change moves mtime all the same. */
function laterMtime(mtimeNs: bigint, nowNs: bigint): bigint {
  return mtimeNs >= nowNs && mtimeNs - nowNs < NS_PER_MS ? mtimeNs + 1n : nowNs;
}

const NO_BYTES: ByteSlices = { slices: [], count: 0, release: () => undefined };

function fileBytes(bytes: ByteSlices, eof: boolean, current: boolean): FileBytes {
  const { slices, count } = bytes;
  return { slices, count, release: () => bytes.release(), eof, current };
}
