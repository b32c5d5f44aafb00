/**
 * The FileSystem that clients see: handles resolved, the export's rules checked on every call, then the volume's operations.
 * Nothing here talks to the store.
 */
import type { HandleKey } from '../state/handle-key.js';
import { unlessAborted } from '../write/unless-aborted.js';
import type { ChangeWitness } from './content.js';
import { FsError } from './errors.js';
import { EntryCalls } from './entry-calls.js';
import { Export } from './exports.js';
import type * as Fs from './file-system.js';
import { directoryOnceAt } from './known-places.js';
import type { LongOperations } from './long-operations.js';
import { NAME_BYTES_MAX, parseName } from './names.js';
import type { FsNode } from './node.js';
import {
  permissionOf,
  requireRead,
  requireSearch,
  requireSetattr,
  requireWrite,
  rightsOf,
} from './permissions.js';
import { Places, type DirectoryPlace, type FilePlace, type NodePlace } from './places.js';
import { DOT_DOT_COOKIE, PseudoDirectories, dotEntries, isDot, isDotDot } from './pseudo-directories.js';
import { PSEUDO_EXPORT_ID, PseudoRoot } from './pseudo-root.js';
import type { FileBytes } from './reading.js';
import type { RoomForWrites } from './room-for-writes.js';
import { modeAfterWrite } from './set-id.js';
import { shownEntries, ShownRuns } from './shown-entry.js';
import { after, type Soon } from './soon.js';

/** READ and WRITE payloads: what Linux asks for at most. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;
/** S3 has no capacity: large and never full. */
const SPACE_BYTES = 1n << 60n;
const SPACE_FILES = 1n << 48n;
/** While a scan goes on, its directory's attributes are asked for once in this time at most. */
const SCAN_MS_MAX = 60_000;

export class ExportedFileSystem implements Fs.FileSystem {
  readonly #exports: ReadonlyMap<bigint, Export>;
  readonly #pseudo: PseudoRoot;
  readonly #places: Places;
  readonly #runs: ShownRuns;
  readonly #above: PseudoDirectories;
  readonly #long: LongOperations;
  readonly #entries: EntryCalls;
  readonly #room: RoomForWrites;
  readonly #verifier: Buffer;

  constructor(parts: {
    readonly exports: readonly Export[];
    readonly handles: HandleKey;
    readonly long: LongOperations;
    readonly room: RoomForWrites;
    /** The write verifier of this run: 8 bytes. */
    readonly verifier: Buffer;
    readonly startedNs: bigint;
  }) {
    this.#exports = new Map(parts.exports.map((exported) => [exported.id, exported]));
    this.#pseudo = new PseudoRoot(parts.exports, parts.startedNs);
    this.#places = new Places({ exports: this.#exports, pseudo: this.#pseudo, handles: parts.handles });
    this.#runs = new ShownRuns(this.#places);
    this.#above = new PseudoDirectories(this.#pseudo, this.#places);
    this.#long = parts.long;
    this.#entries = new EntryCalls(this.#places, parts.long);
    this.#room = parts.room;
    this.#verifier = parts.verifier;
  }

  exports(context: Fs.Context): readonly Fs.ExportEntry[] {
    return [...this.#exports.values()]
      .filter((exported) => exported.admits(context.caller.address))
      .map(({ rules }) => ({ path: rules.path, allow: rules.allow }));
  }

  async mount(context: Fs.Context, path: string): Promise<Fs.Handle> {
    const resolved = this.#pseudo.resolve(path);
    if (resolved === undefined)
      throw new FsError('ENOENT', `no export at "${path}"; showmount -e lists them`);
    const { found, below } = resolved;
    if (!(found instanceof Export)) return this.#places.seal(PSEUDO_EXPORT_ID, found.id);
    this.#places.requireAdmitted(found, context);
    const { volume } = found;
    let node: FsNode = volume.rootAt(found.rules.prefix);
    for (const name of below) {
      if (node.kind !== 'directory') throw new FsError('ENOTDIR', `"${path}" leads through a file`);
      node = await volume.freshness.entry(node, parseName(Buffer.from(name, 'utf8')));
    }
    if (node.kind !== 'directory') throw new FsError('ENOTDIR', `"${path}" is not a directory`);
    await volume.volume.nodes.named();
    return this.#places.seal(found.id, node.id);
  }

  getattr(context: Fs.Context, file: Fs.Handle): Soon<Fs.Attributes> {
    const place = this.#places.resolve(context, file);
    return place.kind === 'pseudo' ? this.#pseudo.attributes(place.directory) : this.#places.shown(place);
  }

  async setattr(
    context: Fs.Context,
    file: Fs.Handle,
    changes: Fs.AttributeChanges,
    guardCtimeNs?: bigint,
  ): Promise<Fs.ChangeReport> {
    const place = this.#places.writable(context, file);
    const { exported, node, caller } = place;
    requireSetattr(await this.#places.fresh(place), changes, caller);
    const { volume, content, markers } = exported.volume;
    let before: Fs.Attributes | undefined;
    let after: Fs.Attributes | undefined;
    const witness: ChangeWitness = {
      mayBegin: () => {
        if (guardCtimeNs !== undefined && guardCtimeNs !== node.ctimeNs)
          throw new FsError('ENOTSYNC', 'the file changed since the client looked at it');
      },
      before: () => (before = exported.attributes(node)),
      after: () => (after = exported.attributes(node)),
    };
    await this.#long.patiently(`SETATTR of file ${node.id}`, (patience) => {
      const setting =
        node.kind === 'file'
          ? content.setattr(
              node,
              changes.size === undefined ? changes : { ...modeAfterWrite(node, caller), ...changes },
              witness,
              patience,
            )
          : volume.touching(node, () => markers.setattr(node, changes, witness), patience);
      return unlessAborted(setting, patience);
    });
    if (node.kind === 'file' && changes.size !== undefined) volume.conflicts.begunAnew(node, caller.address);
    return { ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
  }

  lookup(context: Fs.Context, directory: Fs.Handle, name: Buffer): Soon<Fs.FoundFile> {
    const place = this.#places.resolve(context, directory);
    if (place.kind === 'pseudo') return this.#above.lookup(context, place.directory, name);
    const parent = this.#places.directory(place);
    // The clock is asked once: twice is a twentieth of a LOOKUP.
    const nowMs = parent.exported.volume.volume.clock.nowMs();
    const fresh = this.#searched(parent, name, nowMs);
    const at = fresh instanceof Promise ? undefined : nowMs;
    const entry = after(fresh, (attributes) => {
      requireSearch(attributes, parent.caller);
      return this.#entry(parent, name, at);
    });
    return after(entry, (node) => this.#found(parent.exported, node));
  }

  access(
    context: Fs.Context,
    file: Fs.Handle,
  ): Soon<{ readonly rights: Fs.AccessRights; readonly attributes: Fs.Attributes }> {
    const place = this.#places.resolve(context, file);
    if (place.kind === 'pseudo') {
      const rights = {
        read: true,
        lookup: true,
        modify: false,
        extend: false,
        delete: false,
        execute: false,
      };
      return { rights, attributes: this.#pseudo.attributes(place.directory) };
    }
    const { exported, caller } = place;
    return after(this.#places.shown(place), (attributes) => ({
      rights: rightsOf(attributes, caller, exported.rules.readOnly),
      attributes,
    }));
  }

  async readlink(
    context: Fs.Context,
    file: Fs.Handle,
  ): Promise<{ readonly target: Buffer; readonly attributes: Fs.Attributes }> {
    const { exported, node } = this.#places.node(context, file);
    if (node.kind === 'directory') throw new FsError('EINVAL', 'READLINK of a directory');
    const target = await exported.volume.reading.readlink(node, context.signal);
    return { target, attributes: exported.attributes(node) };
  }

  read(context: Fs.Context, file: Fs.Handle, offset: number, count: number): Soon<Fs.ReadResult> {
    const place = this.#places.file(this.#places.node(context, file));
    const { exported, node, caller } = place;
    return after(this.#places.fresh(place), (attributes) => {
      requireRead(attributes, caller);
      if (node.type !== 'file') throw new FsError('EINVAL', 'READ of a symlink');
      const { reading } = exported.volume;
      const most = Math.min(count, PAYLOAD_BYTES_MAX);
      const { readPolicy } = exported.rules;
      const held = reading.readHeld(node, offset, most, readPolicy);
      if (held !== undefined) return readResult(held, attributes);
      return reading
        .read(node, offset, most, context.signal, readPolicy)
        .then((bytes) => readResult(bytes, exported.attributes(node)));
    });
  }

  async write(
    context: Fs.Context,
    file: Fs.Handle,
    offset: number,
    data: Buffer,
    stability: Fs.Stability,
  ): Promise<Fs.WriteResult> {
    const place = this.#places.file(this.#places.writable(context, file));
    const { exported, node, caller } = place;
    requireWrite(await this.#places.fresh(place), caller);
    if (node.type !== 'file') throw new FsError('EINVAL', 'WRITE to a symlink');
    const { content } = exported.volume;
    // Before the mode is touched: what is refused changes nothing.
    if (data.length > 0) content.requireWritable(offset + data.length);
    await this.#long.patiently(`WRITE to file ${node.id}`, async (patience) => {
      const mode = data.length > 0 ? modeAfterWrite(node, caller) : undefined;
      if (mode !== undefined) await content.setattr(node, mode, undefined, patience);
      // Not left alone while it has `data`, which is used for another call when this one was answered.
      const writing = { client: caller.address, patience };
      if (data.length > 0) await this.#room.run(() => content.write(node, offset, data, writing), patience);
      if (stability !== 'unstable') {
        await this.#answered(place, unlessAborted(exported.volume.committing.commit(node), patience));
      }
    });
    const committed = stability === 'unstable' ? 'unstable' : 'fileSync';
    return {
      count: data.length,
      committed,
      verifier: this.#verifier,
      file: { after: exported.attributes(node) },
    };
  }

  async commit(context: Fs.Context, file: Fs.Handle): Promise<Fs.CommitResult> {
    const place = this.#places.file(this.#places.writable(context, file));
    if (place.node.type !== 'file') throw new FsError('EINVAL', 'COMMIT of a symlink');
    await this.#answered(place, this.#committed(place));
    return { verifier: this.#verifier, file: { after: place.exported.attributes(place.node) } };
  }

  create(...call: Parameters<Fs.FileSystem['create']>): Promise<Fs.CreatedFile> {
    return this.#entries.create(...call);
  }

  mkdir(...call: Parameters<Fs.FileSystem['mkdir']>): Promise<Fs.CreatedFile> {
    return this.#entries.mkdir(...call);
  }

  symlink(...call: Parameters<Fs.FileSystem['symlink']>): Promise<Fs.CreatedFile> {
    return this.#entries.symlink(...call);
  }

  remove(...call: Parameters<Fs.FileSystem['remove']>): Promise<Fs.ChangeReport> {
    return this.#entries.remove(...call);
  }

  rmdir(...call: Parameters<Fs.FileSystem['rmdir']>): Promise<Fs.ChangeReport> {
    return this.#entries.rmdir(...call);
  }

  rename(...call: Parameters<Fs.FileSystem['rename']>): ReturnType<Fs.FileSystem['rename']> {
    return this.#entries.rename(...call);
  }

  async readdir(
    context: Fs.Context,
    directory: Fs.Handle,
    cookie: bigint,
    entriesMax: number,
    wanted: 'names' | 'attributes' = 'names',
    form: 'entries' | 'runs' = 'entries',
  ): Promise<Fs.DirectoryPage> {
    const place = this.#places.resolve(context, directory);
    if (place.kind === 'pseudo') return this.#above.readdir(context, place.directory, cookie, entriesMax);
    const { exported, node, caller } = this.#places.directory(place);
    const begunMs = exported.volume.volume.clock.nowMs();
    const attributes = await this.#scanned(place, cookie);
    if (!permissionOf(exported.attributes(node), caller).read)
      throw new FsError('EACCES', 'the mode bits do not allow to list this directory');
    const isRoot = node === exported.volume.rootAt(exported.rules.prefix);
    const parent = isRoot ? node : exported.volume.volume.parentOf(node);
    const dots = dotEntries(cookie, node.id, parent.id);
    if (dots.length >= entriesMax && dots.length > 0) {
      return { entries: dots.slice(0, entriesMax), end: false, attributes };
    }
    const from = cookie <= DOT_DOT_COOKIE ? 0n : cookie;
    const call = { max: entriesMax - dots.length, begunMs, wanted, form };
    const scan = await exported.volume.scans.read(node, from, call);
    await exported.volume.volume.nodes.listedSettled();
    const entries = shownEntries(this.#places, exported, scan.entries, wanted);
    const more = scan.more && {
      run: this.#runs.shown(exported, scan.more.run),
      from: scan.more.from,
    };
    return { entries: [...dots, ...entries], ...(more && { more }), end: scan.end, attributes };
  }

  async space(
    context: Fs.Context,
    file: Fs.Handle,
  ): Promise<Fs.SpaceReport & { readonly attributes: Fs.Attributes }> {
    const attributes = this.#places.lastKnown(context, file);
    return {
      totalBytes: SPACE_BYTES,
      freeBytes: SPACE_BYTES,
      totalFiles: SPACE_FILES,
      freeFiles: SPACE_FILES,
      attributes,
    };
  }

  async limits(
    context: Fs.Context,
    file: Fs.Handle,
  ): Promise<Fs.Limits & { readonly attributes: Fs.Attributes }> {
    const attributes = this.#places.lastKnown(context, file);
    return {
      readBytesMax: PAYLOAD_BYTES_MAX,
      writeBytesMax: PAYLOAD_BYTES_MAX,
      fileBytesMax: Number.MAX_SAFE_INTEGER,
      nameBytesMax: NAME_BYTES_MAX,
      attributes,
    };
  }

  /**
   * The directory's attributes for a READDIR. They are validated where a scan begins. A scan that goes on asks the store for its pages only: until
   * `SCAN_MS_MAX` has passed the reply has attributes only while they are fresh anyway.
   */
  async #scanned(place: NodePlace, cookie: bigint): Promise<Fs.Attributes | undefined> {
    const { exported, node } = place;
    const { volume } = exported.volume;
    const nowMs = volume.clock.nowMs();
    if (cookie === 0n || nowMs - node.validatedMs >= SCAN_MS_MAX) return this.#places.fresh(place);
    return volume.isFresh(node, nowMs) ? exported.attributes(node) : undefined;
  }

  /**
   * The attributes that decide who may look for a name there. Of a bucket's root the store tells none: it isn't asked for where the name is that of
   * a directory, which tells by itself whether it is there.
   */
  #searched(parent: DirectoryPlace, name: Buffer, nowMs: number): Soon<Fs.Attributes> {
    const { exported, node } = parent;
    const { volume } = exported.volume;
    const asksNothing =
      node === volume.root &&
      !volume.isFresh(node, nowMs) &&
      directoryOnceAt(volume, node, name.toString()) !== undefined;
    return asksNothing ? exported.attributes(node) : this.#places.fresh(parent, nowMs);
  }

  #entry(parent: DirectoryPlace, name: Buffer, nowMs?: number): Soon<FsNode> {
    const { exported, node } = parent;
    const { volume, freshness } = exported.volume;
    if (isDot(name)) return node;
    if (isDotDot(name))
      return node === exported.volume.rootAt(exported.rules.prefix) ? node : volume.parentOf(node);
    return after(freshness.entry(node, parseName(name), nowMs), (found) =>
      // A file was looked at to find it; a directory may be known to be there by what lies in it.
      found.kind === 'file' ? found : after(freshness.attributes(found), () => found),
    );
  }

  /** The entry, once its handle is certain to be good after the death of this process. */
  #found(exported: Export, node: FsNode): Soon<Fs.FoundFile> {
    return after(exported.volume.volume.nodes.named(), () => this.#places.found(exported, node));
  }

  /** Makes a file's bytes safe; past the client's patience it is told to come back, and joins. */
  #committed({ exported, node }: FilePlace): Promise<void> {
    const committing = exported.volume.committing.commit(node);
    return this.#long.within(committing, `COMMIT of file ${node.id}`);
  }

  /** A publication's outcome for a client, which also hears of a conflict that one in the background met, or somebody else's. */
  async #answered({ exported, node, caller }: FilePlace, publication: Promise<void>): Promise<void> {
    const { volume } = exported.volume;
    try {
      await publication;
    } catch (error) {
      // What it is told now it isn't told as news again.
      if (error === volume.conflicts.errorOf(node)) volume.conflicts.refusal(node, caller.address);
      throw error;
    }
    const refusal = volume.conflicts.refusal(node, caller.address);
    if (refusal !== undefined) throw refusal;
  }
}

function readResult(bytes: FileBytes, attributes: Fs.Attributes): Fs.ReadResult {
  return {
    slices: bytes.slices,
    count: bytes.count,
    eof: bytes.eof,
    attributes: bytes.current ? attributes : undefined,
    release: () => bytes.release(),
  };
}
