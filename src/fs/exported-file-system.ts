/**
 * The FileSystem that clients see: handles resolved, the export's rules checked on every call, then the volume's operations.
 * Nothing here talks to the store.
 */
import type { HandleKey } from '../state/handle-key.js';
import { fileBytesMax } from '../write/part-map.js';
import type { ChangeWitness } from './content.js';
import { FsError } from './errors.js';
import { Export } from './exports.js';
import type * as Fs from './file-system.js';
import type { LongOperations } from './long-operations.js';
import { NAME_BYTES_MAX, parseName } from './names.js';
import type { DirectoryNode, EntryChange, FileNode, FsNode } from './node.js';
import {
  permissionOf,
  requireEntryChange,
  requireRead,
  requireSearch,
  requireSetattr,
  requireUnlink,
  requireWrite,
} from './permissions.js';
import { PSEUDO_EXPORT_ID, PseudoRoot, type PseudoDirectory } from './pseudo-root.js';

/** READ and WRITE payloads: what Linux asks for at most. */
const PAYLOAD_BYTES_MAX = 1024 * 1024;
/** S3 has no capacity: large and never full. */
const SPACE_BYTES = 1n << 60n;
const SPACE_FILES = 1n << 48n;
/** Cookies of `.` and `..`. */
const DOT_COOKIE = 1n;
const DOT_DOT_COOKIE = 2n;

/** A handle, resolved: a node of an export, or a directory above the exports. */
type Place =
  | { readonly kind: 'node'; readonly exported: Export; readonly node: FsNode; readonly caller: Fs.Caller }
  | { readonly kind: 'pseudo'; readonly directory: PseudoDirectory };
type NodePlace = Extract<Place, { kind: 'node' }>;
type DirectoryPlace = NodePlace & { readonly node: DirectoryNode };
type FilePlace = NodePlace & { readonly node: FileNode };

export class ExportedFileSystem implements Fs.FileSystem {
  readonly #exports: ReadonlyMap<bigint, Export>;
  readonly #pseudo: PseudoRoot;
  readonly #handles: HandleKey;
  readonly #long: LongOperations;
  readonly #verifier: Buffer;

  constructor(parts: {
    readonly exports: readonly Export[];
    readonly handles: HandleKey;
    readonly long: LongOperations;
    /** The write verifier of this run: 8 bytes. */
    readonly verifier: Buffer;
    readonly startedNs: bigint;
  }) {
    this.#exports = new Map(parts.exports.map((exported) => [exported.id, exported]));
    this.#pseudo = new PseudoRoot(parts.exports, parts.startedNs);
    this.#handles = parts.handles;
    this.#long = parts.long;
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
    if (!(found instanceof Export)) return this.#seal(PSEUDO_EXPORT_ID, found.id);
    this.#requireAdmitted(found, context);
    const { volume } = found;
    let node: FsNode = volume.rootAt(found.rules.prefix);
    for (const name of below) {
      if (node.kind !== 'directory') throw new FsError('ENOTDIR', `"${path}" leads through a file`);
      node = await volume.freshness.entry(node, parseName(Buffer.from(name, 'utf8')));
    }
    if (node.kind !== 'directory') throw new FsError('ENOTDIR', `"${path}" is not a directory`);
    await volume.volume.nodes.settled();
    return this.#seal(found.id, node.id);
  }

  async getattr(context: Fs.Context, file: Fs.Handle): Promise<Fs.Attributes> {
    const place = this.#resolve(context, file);
    return place.kind === 'pseudo' ? this.#pseudo.attributes(place.directory) : this.#fresh(place);
  }

  async setattr(
    context: Fs.Context,
    file: Fs.Handle,
    changes: Fs.AttributeChanges,
    guardCtimeNs?: bigint,
  ): Promise<Fs.ChangeReport> {
    const place = this.#writable(context, file);
    const { exported, node, caller } = place;
    requireSetattr(await this.#fresh(place), changes, caller);
    const { volume, content, namespace } = exported.volume;
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
    const setting =
      node.kind === 'file'
        ? content.setattr(node, changes, witness)
        : volume.touching(node, () => namespace.setattrDirectory(node, changes, witness));
    await this.#long.within(setting, `SETATTR of file ${node.id}`);
    return { ...(before !== undefined && { before }), ...(after !== undefined && { after }) };
  }

  async lookup(context: Fs.Context, directory: Fs.Handle, name: Buffer): Promise<Fs.FoundFile> {
    const place = this.#resolve(context, directory);
    if (place.kind === 'pseudo') return this.#lookupPseudo(context, place.directory, name);
    const parent = this.#directory(place);
    requireSearch(await this.#fresh(parent), place.caller);
    const node = await this.#entry(parent, name);
    await place.exported.volume.volume.nodes.settled();
    return this.#found(place.exported, node);
  }

  async access(
    context: Fs.Context,
    file: Fs.Handle,
  ): Promise<{ readonly rights: Fs.AccessRights; readonly attributes: Fs.Attributes }> {
    const place = this.#resolve(context, file);
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
    const attributes = await this.#fresh(place);
    const { read, write, execute } = permissionOf(attributes, place.caller);
    const isDirectory = attributes.type === 'directory';
    const change = write && !place.exported.rules.readOnly;
    const rights = {
      read,
      lookup: isDirectory && execute,
      modify: change,
      extend: change,
      delete: isDirectory && change,
      execute: !isDirectory && execute,
    };
    return { rights, attributes };
  }

  async readlink(
    context: Fs.Context,
    file: Fs.Handle,
  ): Promise<{ readonly target: Buffer; readonly attributes: Fs.Attributes }> {
    const { exported, node } = this.#node(context, file);
    if (node.kind === 'directory') throw new FsError('EINVAL', 'READLINK of a directory');
    const target = await exported.volume.content.readlink(node, context.signal);
    return { target, attributes: exported.attributes(node) };
  }

  async read(context: Fs.Context, file: Fs.Handle, offset: number, count: number): Promise<Fs.ReadResult> {
    const place = this.#file(this.#node(context, file));
    const { exported, node, caller } = place;
    requireRead(await this.#fresh(place), caller);
    if (node.type !== 'file') throw new FsError('EINVAL', 'READ of a symlink');
    const bytes = await exported.volume.content.read(
      node,
      offset,
      Math.min(count, PAYLOAD_BYTES_MAX),
      context.signal,
    );
    return {
      slices: bytes.slices,
      count: bytes.count,
      eof: offset + bytes.count >= node.size,
      attributes: exported.attributes(node),
      release: () => bytes.release(),
    };
  }

  async write(
    context: Fs.Context,
    file: Fs.Handle,
    offset: number,
    data: Buffer,
    stability: Fs.Stability,
  ): Promise<Fs.WriteResult> {
    const place = this.#file(this.#writable(context, file));
    const { exported, node, caller } = place;
    requireWrite(await this.#fresh(place), caller);
    if (node.type !== 'file') throw new FsError('EINVAL', 'WRITE to a symlink');
    const { content } = exported.volume;
    if (data.length > 0) await content.write(node, offset, data);
    if (stability !== 'unstable') await this.#publish(place);
    const committed = stability === 'unstable' ? 'unstable' : 'fileSync';
    return {
      count: data.length,
      committed,
      verifier: this.#verifier,
      file: { after: exported.attributes(node) },
    };
  }

  async commit(context: Fs.Context, file: Fs.Handle): Promise<Fs.CommitResult> {
    const place = this.#file(this.#writable(context, file));
    if (place.node.type !== 'file') throw new FsError('EINVAL', 'COMMIT of a symlink');
    await this.#publish(place);
    return { verifier: this.#verifier, file: { after: place.exported.attributes(place.node) } };
  }

  async create(
    context: Fs.Context,
    directory: Fs.Handle,
    name: Buffer,
    mode: Fs.CreateMode,
  ): Promise<Fs.CreatedFile> {
    const parent = await this.#changeable(context, directory);
    const { exported, node, caller } = parent;
    const { namespace, volume } = exported.volume;
    const made = await namespace.create(node, parseName(name), mode, caller, (existing) =>
      requireWrite(exported.attributes(existing), caller),
    );
    await volume.nodes.settled();
    return { ...this.#found(exported, made.node), parent: report(exported, node, made.change) };
  }

  async mkdir(
    context: Fs.Context,
    directory: Fs.Handle,
    name: Buffer,
    attributes: Fs.AttributeChanges,
  ): Promise<Fs.CreatedFile> {
    const parent = await this.#changeable(context, directory);
    const { exported, node, caller } = parent;
    const { namespace, volume } = exported.volume;
    const made = await this.#long.run(`MKDIR ${entryOf(node, name)}`, () =>
      namespace.mkdir(node, parseName(name), attributes, caller),
    );
    await volume.nodes.settled();
    return { ...this.#found(exported, made.node), parent: report(exported, node, made.change) };
  }

  async symlink(
    context: Fs.Context,
    directory: Fs.Handle,
    name: Buffer,
    target: Buffer,
    attributes: Fs.AttributeChanges,
  ): Promise<Fs.CreatedFile> {
    const parent = await this.#changeable(context, directory);
    const { exported, node, caller } = parent;
    const { namespace, volume } = exported.volume;
    const copy = Buffer.from(target);
    const made = await this.#long.run(`SYMLINK ${entryOf(node, name)}`, () =>
      namespace.symlink(node, parseName(name), copy, attributes, caller),
    );
    await volume.nodes.settled();
    return { ...this.#found(exported, made.node), parent: report(exported, node, made.change) };
  }

  async remove(context: Fs.Context, directory: Fs.Handle, name: Buffer): Promise<Fs.ChangeReport> {
    const parent = await this.#changeable(context, directory);
    const { exported, node } = parent;
    const change = await this.#long.run(`REMOVE ${entryOf(node, name)}`, () =>
      exported.volume.namespace.remove(node, parseName(name), this.#unlinkGuard(parent)),
    );
    await exported.volume.volume.nodes.settled();
    return report(exported, node, change);
  }

  async rmdir(context: Fs.Context, directory: Fs.Handle, name: Buffer): Promise<Fs.ChangeReport> {
    const parent = await this.#changeable(context, directory);
    const { exported, node } = parent;
    const change = await this.#long.run(`RMDIR ${entryOf(node, name)}`, () =>
      exported.volume.namespace.rmdir(node, parseName(name), this.#unlinkGuard(parent)),
    );
    await exported.volume.volume.nodes.settled();
    return report(exported, node, change);
  }

  async rename(
    context: Fs.Context,
    fromDirectory: Fs.Handle,
    fromName: Buffer,
    toDirectory: Fs.Handle,
    toName: Buffer,
  ): Promise<{ readonly from: Fs.ChangeReport; readonly to: Fs.ChangeReport }> {
    const from = await this.#changeable(context, fromDirectory);
    const to = await this.#changeable(context, toDirectory);
    if (from.exported !== to.exported) throw new FsError('EXDEV', 'a rename stays within one export');
    const { exported } = from;
    const changes = await this.#long.run(
      `RENAME ${entryOf(from.node, fromName)} ${entryOf(to.node, toName)}`,
      () =>
        exported.volume.rename.run(
          { directory: from.node, name: parseName(fromName) },
          { directory: to.node, name: parseName(toName) },
          (node) => {
            this.#unlinkGuard(from)(node);
            this.#unlinkGuard(to)(node);
          },
        ),
    );
    await exported.volume.volume.nodes.settled();
    return { from: report(exported, from.node, changes.from), to: report(exported, to.node, changes.to) };
  }

  async readdir(
    context: Fs.Context,
    directory: Fs.Handle,
    cookie: bigint,
    entriesMax: number,
  ): Promise<Fs.DirectoryPage> {
    const place = this.#resolve(context, directory);
    if (place.kind === 'pseudo') return this.#readdirPseudo(context, place.directory, cookie, entriesMax);
    const { exported, node, caller } = this.#directory(place);
    const attributes = await this.#fresh(place);
    if (!permissionOf(attributes, caller).read)
      throw new FsError('EACCES', 'the mode bits do not allow to list this directory');
    const isRoot = node === exported.volume.rootAt(exported.rules.prefix);
    const parent = isRoot ? node : exported.volume.volume.parentOf(node);
    const dots = dotEntries(cookie, node.id, parent.id);
    if (dots.length >= entriesMax && dots.length > 0) {
      return { entries: dots.slice(0, entriesMax), end: false, attributes };
    }
    const from = cookie <= DOT_DOT_COOKIE ? 0n : cookie;
    const scan = await exported.volume.scans.read(node, from, entriesMax - dots.length);
    await exported.volume.volume.nodes.settled();
    const entries = scan.entries.map((entry) => ({
      fileid: entry.id,
      name: Buffer.from(entry.name, 'utf8'),
      cookie: entry.id,
      handle: this.#seal(exported.id, entry.id),
      ...(entry.node !== undefined && { attributes: exported.attributes(entry.node) }),
    }));
    return { entries: [...dots, ...entries], end: scan.end, attributes };
  }

  async space(
    context: Fs.Context,
    file: Fs.Handle,
  ): Promise<Fs.SpaceReport & { readonly attributes: Fs.Attributes }> {
    const attributes = this.#lastKnown(context, file);
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
    const attributes = this.#lastKnown(context, file);
    return {
      readBytesMax: PAYLOAD_BYTES_MAX,
      writeBytesMax: PAYLOAD_BYTES_MAX,
      fileBytesMax: fileBytesMax(),
      nameBytesMax: NAME_BYTES_MAX,
      attributes,
    };
  }

  // From here on: handles, rules, reports.

  #seal(exportId: bigint, nodeId: bigint): Fs.Handle {
    return this.#handles.seal({ exportId, nodeId });
  }

  #found(exported: Export, node: FsNode): Fs.FoundFile {
    return { handle: this.#seal(exported.id, node.id), attributes: exported.attributes(node) };
  }

  /** The handle's place, for this caller: the export's rules are checked on every call. */
  #resolve(context: Fs.Context, handle: Fs.Handle): Place {
    const ids = this.#handles.open(handle);
    if (ids === undefined) throw new FsError('EBADHANDLE', 'not a handle of this server');
    if (ids.exportId === PSEUDO_EXPORT_ID)
      return { kind: 'pseudo', directory: this.#pseudo.byId(ids.nodeId) };
    const exported = this.#exports.get(ids.exportId);
    if (exported === undefined) throw new FsError('ESTALE', 'the export of this handle is no longer served');
    this.#requireAdmitted(exported, context);
    const node = exported.volume.volume.nodes.get(ids.nodeId);
    if (node === undefined)
      throw new FsError('ESTALE', `file ${ids.nodeId} of "${exported.rules.path}" was removed`);
    return { kind: 'node', exported, node, caller: exported.squash(context.caller) };
  }

  #node(context: Fs.Context, handle: Fs.Handle): NodePlace {
    const place = this.#resolve(context, handle);
    if (place.kind === 'pseudo') throw new FsError('EISDIR', 'a directory above the exports');
    return place;
  }

  #writable(context: Fs.Context, handle: Fs.Handle): NodePlace {
    const place = this.#resolve(context, handle);
    if (place.kind === 'pseudo')
      throw new FsError('EROFS', 'the directories above the exports are read-only');
    if (place.exported.rules.readOnly)
      throw new FsError('EROFS', `"${place.exported.rules.path}" is exported read-only`);
    return place;
  }

  /** A directory whose entries the caller may change. */
  async #changeable(context: Fs.Context, handle: Fs.Handle): Promise<DirectoryPlace> {
    const place = this.#directory(this.#writable(context, handle));
    requireEntryChange(await this.#fresh(place), place.caller);
    return place;
  }

  #directory(place: NodePlace): DirectoryPlace {
    const { node } = place;
    if (node.kind !== 'directory') throw new FsError('ENOTDIR', 'the handle is not of a directory');
    return { ...place, node };
  }

  #file(place: NodePlace): FilePlace {
    const { node } = place;
    if (node.kind !== 'file') throw new FsError('EISDIR', 'the handle is of a directory');
    return { ...place, node };
  }

  #requireAdmitted(exported: Export, context: Fs.Context): void {
    if (!exported.admits(context.caller.address)) {
      throw new FsError(
        'EACCES',
        `${context.caller.address} is not among the addresses allowed for "${exported.rules.path}"`,
      );
    }
  }

  async #fresh(place: NodePlace): Promise<Fs.Attributes> {
    await place.exported.volume.freshness.node(place.node);
    return place.exported.attributes(place.node);
  }

  /** Attributes as far as they are known: FSSTAT and FSINFO answer without the store. */
  #lastKnown(context: Fs.Context, handle: Fs.Handle): Fs.Attributes {
    const place = this.#resolve(context, handle);
    return place.kind === 'pseudo'
      ? this.#pseudo.attributes(place.directory)
      : place.exported.attributes(place.node);
  }

  async #entry(parent: DirectoryPlace, name: Buffer): Promise<FsNode> {
    const { exported, node } = parent;
    const { volume, freshness } = exported.volume;
    if (isDot(name)) return node;
    if (isDotDot(name))
      return node === exported.volume.rootAt(exported.rules.prefix) ? node : volume.parentOf(node);
    const found = await freshness.entry(node, parseName(name));
    await freshness.node(found);
    return found;
  }

  async #lookupPseudo(context: Fs.Context, directory: PseudoDirectory, name: Buffer): Promise<Fs.FoundFile> {
    const found = isDot(name)
      ? directory
      : isDotDot(name)
        ? this.#pseudo.parent(directory)
        : this.#pseudo.entries(directory).find((entry) => name.equals(Buffer.from(entry.name, 'utf8')))
            ?.found;
    if (found === undefined) throw new FsError('ENOENT', `no export below "${directory.path}" has this name`);
    if (!(found instanceof Export)) {
      return { handle: this.#seal(PSEUDO_EXPORT_ID, found.id), attributes: this.#pseudo.attributes(found) };
    }
    this.#requireAdmitted(found, context);
    const root = found.volume.rootAt(found.rules.prefix);
    await found.volume.freshness.directory(root);
    return this.#found(found, root);
  }

  #readdirPseudo(
    context: Fs.Context,
    directory: PseudoDirectory,
    cookie: bigint,
    entriesMax: number,
  ): Fs.DirectoryPage {
    const dots = dotEntries(cookie, directory.id, this.#pseudo.parent(directory).id);
    const visible = this.#pseudo
      .entries(directory)
      .filter((entry) => entry.kind === 'directory' || entry.found.admits(context.caller.address))
      .map((entry) => ({
        fileid: entry.found.id,
        name: Buffer.from(entry.name, 'utf8'),
        cookie: entry.found.id,
      }))
      .sort((a, b) => (a.cookie < b.cookie ? -1 : 1))
      .filter((entry) => entry.cookie > cookie || cookie <= DOT_DOT_COOKIE);
    const all = [...dots, ...visible];
    return {
      entries: all.slice(0, entriesMax),
      end: all.length <= entriesMax,
      attributes: this.#pseudo.attributes(directory),
    };
  }

  #unlinkGuard(parent: DirectoryPlace): (node: FsNode) => void {
    const { exported, node: directory, caller } = parent;
    return (node) => requireUnlink(exported.attributes(directory), exported.attributes(node), caller);
  }

  /** Publishes a file; past the client's patience it is told to come back, and joins. */
  async #publish({ exported, node }: FilePlace): Promise<void> {
    await this.#long.within(exported.volume.publishing.publish(node), `publishing file ${node.id}`);
  }
}

const isDot = (name: Buffer): boolean => name.length === 1 && name[0] === 0x2e;
const isDotDot = (name: Buffer): boolean => name.length === 2 && name[0] === 0x2e && name[1] === 0x2e;

const entryOf = (directory: DirectoryNode, name: Buffer): string =>
  `${directory.id}/${name.toString('utf8')}`;

function dotEntries(cookie: bigint, self: bigint, parent: bigint): Fs.DirectoryEntry[] {
  const dots = [
    { fileid: self, name: Buffer.from('.'), cookie: DOT_COOKIE },
    { fileid: parent, name: Buffer.from('..'), cookie: DOT_DOT_COOKIE },
  ];
  return dots.filter((entry) => entry.cookie > cookie);
}

/** Attributes of a directory right before and after one change of its entries. */
function report(
  exported: Export,
  directory: DirectoryNode,
  change: EntryChange | undefined,
): Fs.ChangeReport {
  const after = exported.attributes(directory);
  if (change === undefined) return { after };
  return { before: { size: after.size, ...change.before }, after: { ...after, ...change.after } };
}
