/**
 * Bytes and attributes of files: reading them, changing them, and publishing what was changed.
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
import type { ByteSlices } from '../memory/byte-slices.js';
import { StoreError } from '../store/errors.js';
import type { ObjectHeaders, WriteCondition } from '../store/object-store.js';
import { fileBytesMax } from '../write/part-map.js';
import { WriteSession } from '../write/write-session.js';
import { FsError } from './errors.js';
import { headersOnly, type Freshness } from './freshness.js';
import type { AttributeChanges } from './file-system.js';
import type { Intent, JournaledAttributes } from './intent-log.js';
import { NEVER_MS, type FileNode } from './node.js';
import { differsInTimesOnly } from './posix-metadata.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

/** A burst of calls on one file (create, write, chmod, utimes) becomes one request when it pauses this long. */
const REST_MS = 250;
/** Bytes that no COMMIT asked for are published when nobody has written for this long. */
const IDLE_MS = 5_000;
/** A failed publication that nobody waits for is tried again after this. */
const RETRY_MS = 10_000;
/** An object that is replaced again and again while it is read: tell the client to come back. */
const REPLACED_MAX = 5;

export const createRef = (node: FileNode): string => `create:${node.id}`;
const changeRef = (node: FileNode): string => `change:${node.id}`;

export class Content {
  readonly #volume: Volume;
  readonly #freshness: Freshness;

  constructor(volume: Volume, freshness: Freshness) {
    this.#volume = volume;
    this.#freshness = freshness;
  }

  /** At most `count` bytes from `offset`, of one version, unpublished bytes first. Fewer only at the end of the file. */
  async read(node: FileNode, offset: number, count: number, signal?: AbortSignal): Promise<ByteSlices> {
    for (let replaced = 0; replaced < REPLACED_MAX; replaced++) {
      await this.#freshness.file(node);
      const wanted = Math.min(count, Math.max(0, node.size - offset));
      if (wanted === 0) return { slices: [], count: 0, release: () => undefined };
      const key = this.#volume.keyOf(node);
      try {
        if (node.session !== undefined) return await node.session.read(offset, wanted, signal);
        if (node.version === undefined) throw new FsError('EFAULT', `"${key}" has a size and no version`);
        return await this.#volume.readers.read({ key, ...node.version }, offset, wanted, signal);
      } catch (error) {
        if (!isReplaced(error)) throw toFsError(error);
        // Somebody replaced or removed the object: look again, and read the new version from the start of this call.
        this.#volume.readers.forget(key);
        node.validatedMs = NEVER_MS;
      }
    }
    throw new FsError(
      'EJUKEBOX',
      `"${this.#volume.keyOf(node)}" is being replaced faster than it can be read`,
    );
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

  /** Takes all of `data`; unpublished until `publish`. */
  async write(node: FileNode, offset: number, data: Buffer): Promise<void> {
    if (offset + data.length > fileBytesMax()) {
      throw new FsError('EFBIG', `a file holds at most ${fileBytesMax()} bytes`);
    }
    await this.#change(node, (session) => session.write(offset, data));
    this.#plan(node, IDLE_MS);
  }

  /** Applies SETATTR. Resolves when the change is in the journal. */
  async setattr(node: FileNode, changes: AttributeChanges): Promise<void> {
    const volume = this.#volume;
    const { size } = changes;
    if (size !== undefined) {
      if (node.type === 'symlink') throw new FsError('EINVAL', 'a symlink has no size to set');
      if (size > fileBytesMax()) throw new FsError('EFBIG', `a file holds at most ${fileBytesMax()} bytes`);
      if (size !== node.size) await this.#change(node, (session) => session.truncate(size));
    }
    const nowNs = volume.nowNs;
    const differs = applyAttributes(node, changes, nowNs);
    if (differs) {
      node.attributesEpoch++;
      if (!node.created) node.attributesDirty = true;
    }
    node.exclusiveVerifier = undefined;
    node.touchCtime(nowNs);
    volume.nodes.trackBusy(node);
    volume.nodes.save(node);
    if (differs || size !== undefined) await this.journal(node, size);
    if (node.publishable) this.#plan(node, REST_MS);
  }

  /** Records what isn't published of a file, so that a crash doesn't lose it. `sizeBytes` is a truncation. */
  async journal(node: FileNode, sizeBytes?: number): Promise<void> {
    const volume = this.#volume;
    const path = volume.pathOf(node);
    const attributes = journaled(node);
    const common = { volume: volume.name, path, attributes };
    if (node.created) {
      const intent: Intent = {
        kind: 'create',
        ...common,
        ...(node.exclusiveVerifier !== undefined && { exclusiveVerifier: node.exclusiveVerifier }),
      };
      await volume.intents.put(createRef(node), intent);
    } else if (node.version !== undefined) {
      const earlier = volume.intents.live().get(changeRef(node));
      const kept = sizeBytes ?? (earlier?.kind === 'change' ? earlier.sizeBytes : undefined);
      const intent: Intent = {
        kind: 'change',
        ...common,
        etag: node.version.etag,
        ...(kept !== undefined && { sizeBytes: kept }),
      };
      await volume.intents.put(changeRef(node), intent);
    }
  }

  /** Publishes a new file, or changed attributes, after a rest. */
  publishAfterRest(node: FileNode): void {
    this.#plan(node, REST_MS);
  }

  /**
   * Resolves when the store has everything that was written before the call. EIO after a conflict; the store's error when it
   * refuses; the changes stay and are tried again.
   */
  async publish(node: FileNode): Promise<void> {
    node.cancelPlanned?.();
    node.cancelPlanned = undefined;
    for (;;) {
      const running = node.publishing;
      if (running === undefined) break;
      // Its failure is told to whoever began it; here only its end matters.
      await running.then(undefined, () => undefined);
    }
    if (!node.publishable || node.gone) return;
    node.publishing = this.#publishNow(node).finally(() => {
      node.publishing = undefined;
      this.#dropCleanSession(node);
      this.#volume.nodes.trackBusy(node);
    });
    await node.publishing;
  }

  /** Publishes every unpublished file, as far as it goes; the failures. */
  async publishAll(below?: string): Promise<unknown[]> {
    const volume = this.#volume;
    const files = volume.nodes
      .busy()
      .filter((node) => !node.gone && volume.table.volumeOf(node.id) === volume.name);
    const wanted = below === undefined ? files : files.filter((node) => volume.keyOf(node).startsWith(below));
    const results = await Promise.allSettled(wanted.map((node) => this.publish(node)));
    return results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  }

  /** Drops everything unpublished of a file that is removed. */
  async abandon(node: FileNode): Promise<void> {
    node.cancelPlanned?.();
    node.cancelPlanned = undefined;
    if (node.publishing !== undefined) await node.publishing.then(undefined, () => undefined);
    const { session } = node;
    node.session = undefined;
    node.created = false;
    node.attributesDirty = false;
    this.#volume.intents.end(createRef(node));
    this.#volume.intents.end(changeRef(node));
    this.#volume.nodes.trackBusy(node);
    await session?.discard();
  }

  async #change(node: FileNode, change: (session: WriteSession) => Promise<void>): Promise<void> {
    const volume = this.#volume;
    const nowNs = volume.nowNs;
    node.writers++;
    volume.nodes.trackBusy(node);
    try {
      const session = (node.session ??= this.#openSession(node));
      await change(session);
      node.size = session.size;
      node.mtimeNs = nowNs;
      node.attributesEpoch++;
      node.touchCtime(nowNs);
    } catch (error) {
      throw toFsError(error);
    } finally {
      node.writers--;
      this.#dropCleanSession(node);
      volume.nodes.trackBusy(node);
    }
  }

  #openSession(node: FileNode): WriteSession {
    const volume = this.#volume;
    const { version } = node;
    return new WriteSession({
      store: volume.store,
      budget: volume.budget,
      spool: volume.spool,
      log: volume.log,
      readBase: (base, offset, count, signal) => volume.readers.read(base, offset, count, signal),
      uploads: {
        started: (key, uploadId) =>
          volume.intents.put(`upload:${uploadId}`, { kind: 'upload', volume: volume.name, key, uploadId }),
        ended: async (_key, uploadId) => volume.intents.end(`upload:${uploadId}`),
      },
      target: () => ({ key: volume.keyOf(node), headers: volume.headersOf(node, 'without times') }),
      ...(version !== undefined && {
        base: { key: volume.keyOf(node), etag: version.etag, size: version.size },
      }),
      ...(volume.writeOptions !== undefined && { options: volume.writeOptions }),
    });
  }

  #dropCleanSession(node: FileNode): void {
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

  #plan(node: FileNode, delayMs: number): void {
    node.cancelPlanned?.();
    node.cancelPlanned = this.#volume.clock.after(delayMs, () => {
      this.publish(node).catch((error: unknown) => {
        this.#volume.log.warn({ err: error }, 'publishing in the background failed and is tried again');
        if (node.publishable && !node.gone) this.#plan(node, RETRY_MS);
      });
    });
  }

  async #publishNow(node: FileNode): Promise<void> {
    const volume = this.#volume;
    const key = volume.keyOf(node);
    const { attributesEpoch } = node;
    let headers: ObjectHeaders | undefined;
    try {
      await this.#loadHeaders(node, key);
      headers = volume.headersOf(node);
      headers = await this.#send(node, key, headers);
    } catch (error) {
      if (isReplaced(error)) return await this.#conflict(node, key, headers ?? volume.headersOf(node), error);
      throw toFsError(error);
    }
    node.headers = headers;
    if (node.attributesEpoch === attributesEpoch) node.attributesDirty = false;
    this.#afterPublish(node);
  }

  /** One request, or one multipart upload; the node then has the new version. Returns the headers that the object has. */
  async #send(node: FileNode, key: string, headers: ObjectHeaders): Promise<ObjectHeaders> {
    const { store } = this.#volume;
    const condition: WriteCondition =
      node.version === undefined ? { ifNoneMatch: '*' } : { ifMatch: node.version.etag };
    if (node.session?.dirty === true) {
      const acceptHeaders = (opened: ObjectHeaders): boolean =>
        differsInTimesOnly(opened.metadata, headers.metadata) &&
        isDeepStrictEqual({ ...opened, metadata: {} }, { ...headers, metadata: {} });
      const published = await node.session.publish({ key, headers, condition, acceptHeaders });
      const { etag, size, lastModifiedMs } = published;
      node.version = { etag, size, ...(lastModifiedMs !== undefined && { lastModifiedMs }) };
      node.created = false;
      return published.headers ?? headers;
    }
    if (node.version === undefined) {
      const written = await store.put(key, [], headers, condition);
      node.version = { ...written, size: 0 };
    } else {
      const { etag, size } = node.version;
      const written = await store.copy(key, key, { sourceEtag: etag, headers, condition, size });
      node.version = { ...written, size };
    }
    node.created = false;
    return headers;
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

  #afterPublish(node: FileNode): void {
    const volume = this.#volume;
    node.epoch++;
    node.validatedMs = volume.clock.nowMs();
    node.proven = true;
    volume.intents.end(createRef(node));
    if (!node.publishable) volume.intents.end(changeRef(node));
    const { version } = node;
    const parent = volume.parentOf(node);
    const name = volume.nameOf(node);
    parent.unpublishedFiles.delete(name);
    parent.noteEntry({ name, kind: 'file', ...(version !== undefined && { version }) });
    volume.nodes.save(node);
  }

  /** Somebody else's object is at the key: it stays, and what was written here is kept beside it. */
  async #conflict(node: FileNode, key: string, headers: ObjectHeaders, cause: unknown): Promise<void> {
    const volume = this.#volume;
    let kept: string | undefined;
    let lost = false;
    if (node.session?.dirty === true) {
      const stamp = new Date(volume.clock.nowMs()).toISOString().replace(/[-:]|\.\d+/g, '');
      kept = `${key}.s3nfsd-conflict-${stamp}-${node.id.toString(36)}`;
      try {
        await node.session.publish({ key: kept, headers });
      } catch (error) {
        if (!isReplaced(error)) throw toFsError(error);
        // What was changed here were parts of the object that is gone: there is no whole file to keep.
        kept = undefined;
        lost = true;
      }
    }
    const { session } = node;
    node.session = undefined;
    node.created = false;
    node.attributesDirty = false;
    node.version = undefined;
    node.headers = undefined;
    node.validatedMs = NEVER_MS;
    node.touchCtime(volume.nowNs);
    volume.intents.end(createRef(node));
    volume.intents.end(changeRef(node));
    volume.parentOf(node).unpublishedFiles.delete(volume.nameOf(node));
    volume.readers.forget(key);
    volume.nodes.trackBusy(node);
    await session?.discard();
    const what = `"${key}" in ${volume.name} was changed by somebody else while it was changed here; their object stays`;
    if (lost) {
      volume.log.error({ err: cause }, `${what}; the parts changed here could not be kept`);
      throw new FsError('EIO', `${what}; the parts changed here could not be kept`, { cause });
    }
    if (kept === undefined) {
      volume.log.warn({ err: cause }, `${what}; a change of attributes was dropped`);
      return;
    }
    volume.log.error({ err: cause, kept }, `${what}; the bytes written here are in "${kept}"`);
    throw new FsError('EIO', `${what}; the bytes written here are in "${kept}"`, { cause });
  }
}

/** Applies what SETATTR and the create calls set, but the size; true when anything differs from before. */
export function applyAttributes(
  node: Pick<FileNode, 'mode' | 'uid' | 'gid' | 'mtimeNs' | 'atimeNs'>,
  changes: AttributeChanges,
  nowNs: bigint,
): boolean {
  const time = (value: bigint | 'now' | undefined, old: bigint): bigint =>
    value === 'now' ? nowNs : (value ?? old);
  const next = {
    mode: changes.mode === undefined ? node.mode : changes.mode & 0o7777,
    uid: changes.uid ?? node.uid,
    gid: changes.gid ?? node.gid,
    mtimeNs: time(changes.mtimeNs, node.mtimeNs),
    atimeNs: time(changes.atimeNs, node.atimeNs),
  };
  const differs =
    next.mode !== node.mode ||
    next.uid !== node.uid ||
    next.gid !== node.gid ||
    next.mtimeNs !== node.mtimeNs ||
    next.atimeNs !== node.atimeNs;
  Object.assign(node, next);
  return differs;
}

function journaled(node: FileNode): JournaledAttributes {
  return {
    ...(node.mode !== undefined && { mode: node.mode }),
    ...(node.uid !== undefined && { uid: node.uid }),
    ...(node.gid !== undefined && { gid: node.gid }),
    mtimeNs: String(node.mtimeNs),
    atimeNs: String(node.atimeNs),
  };
}

const isReplaced = (error: unknown): boolean =>
  error instanceof StoreError && (error.kind === 'precondition-failed' || error.kind === 'not-found');
