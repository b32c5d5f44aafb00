/** Bytes of files as clients see them: what is unpublished first, else of one version of the object. */
import type { ByteSlices } from '../memory/byte-slices.js';
import type { ReadPolicy } from '../read/options.js';
import { SpoolFullError } from '../write/spool-full.js';
import { FsError } from './errors.js';
import type { FilesAhead } from './files-ahead.js';
import type { Freshness } from './freshness.js';
import { NEVER_MS, type FileNode } from './node.js';
import { publishToRead } from './publish-to-read.js';
import type { Publishing } from './publishing.js';
import type { Settling } from './settling.js';
import { isReplaced, toFsError } from './store-errors.js';
import type { Volume } from './volume.js';
import type { WholeGets } from './whole-gets.js';

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

/** An object that is replaced again and again while it is read: tell the client to come back. */
const REPLACED_MAX = 5;

export class Reading {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #publishing: Publishing;
  readonly #settling: Settling;
  readonly #small: SmallFiles | undefined;

  /** `small` hears of what is read. */
  constructor(
    volume: Volume,
    parts: { readonly freshness: Freshness; readonly publishing: Publishing; readonly settling: Settling },
    small?: SmallFiles,
  ) {
    this.#volume = volume;
    this.#freshness = parts.freshness;
    this.#publishing = parts.publishing;
    this.#settling = parts.settling;
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
          await this.#settling.conflict(node);
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
        if (error instanceof SpoolFullError) {
          await publishToRead(this.#volume, this.#publishing, node, error);
          continue;
        }
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
}

const NO_BYTES: ByteSlices = { slices: [], count: 0, release: () => undefined };

function fileBytes(bytes: ByteSlices, eof: boolean, current: boolean): FileBytes {
  const { slices, count } = bytes;
  return { slices, count, release: () => bytes.release(), eof, current };
}
