/**
 * Handles and the rules of exports: which node a handle names, and whether this caller may do to it what the call wants. The rules
 * are checked on every call.
 */
import { HANDLE_BYTES, type HandleKey } from '../state/handle-key.js';
import { FsError } from './errors.js';
import type { Export } from './exports.js';
import type * as Fs from './file-system.js';
import type { DirectoryNode, FileNode, FsNode } from './node.js';
import { requireEntryChange } from './permissions.js';
import { after, type Soon } from './soon.js';
import { PSEUDO_EXPORT_ID, type PseudoDirectory, type PseudoRoot } from './pseudo-root.js';

/** A handle, resolved: a node of an export, or a directory above the exports. */
export type Place =
  | { readonly kind: 'node'; readonly exported: Export; readonly node: FsNode; readonly caller: Fs.Caller }
  | { readonly kind: 'pseudo'; readonly directory: PseudoDirectory };
export type NodePlace = Extract<Place, { kind: 'node' }>;
export type DirectoryPlace = NodePlace & { readonly node: DirectoryNode };
export type FilePlace = NodePlace & { readonly node: FileNode };

export class Places {
  readonly #exports: ReadonlyMap<bigint, Export>;
  readonly #pseudo: PseudoRoot;
  readonly #handles: HandleKey;

  constructor(parts: {
    readonly exports: ReadonlyMap<bigint, Export>;
    readonly pseudo: PseudoRoot;
    readonly handles: HandleKey;
  }) {
    this.#exports = parts.exports;
    this.#pseudo = parts.pseudo;
    this.#handles = parts.handles;
  }

  seal(exportId: bigint, nodeId: bigint): Fs.Handle {
    return this.#handles.seal({ exportId, nodeId });
  }

  /** The same handle, not remembered: for listings, where few of the handles come back. */
  sealOnce(exportId: bigint, nodeId: bigint): Fs.Handle {
    return this.#handles.sealOnce({ exportId, nodeId });
  }

  /** As `sealOnce`, of many nodes: their handles, in their order. */
  sealMany(exportId: bigint, nodeIds: readonly bigint[]): Fs.Handle[] {
    const handles = this.sealAll(exportId, nodeIds);
    return nodeIds.map((_, at) => handles.subarray(at * HANDLE_BYTES, (at + 1) * HANDLE_BYTES));
  }

  /** As `sealMany`: the handles one behind the other. */
  sealAll(exportId: bigint, nodeIds: ArrayLike<bigint>): Buffer {
    return this.#handles.sealMany(exportId, nodeIds);
  }

  found(exported: Export, node: FsNode): Fs.FoundFile {
    return { handle: this.seal(exported.id, node.id), attributes: exported.attributes(node) };
  }

  /** The handle's place, for this caller: the export's rules are checked on every call. */
  resolve(context: Fs.Context, handle: Fs.Handle): Place {
    const ids = this.#handles.open(handle);
    if (ids === undefined) throw new FsError('EBADHANDLE', 'not a handle of this server');
    if (ids.exportId === PSEUDO_EXPORT_ID)
      return { kind: 'pseudo', directory: this.#pseudo.byId(ids.nodeId) };
    const exported = this.#exports.get(ids.exportId);
    if (exported === undefined) throw new FsError('ESTALE', 'the export of this handle is no longer served');
    this.requireAdmitted(exported, context);
    const node = exported.volume.volume.nodes.get(ids.nodeId);
    if (node === undefined)
      throw new FsError('ESTALE', `file ${ids.nodeId} of "${exported.rules.path}" was removed`);
    return { kind: 'node', exported, node, caller: exported.squash(context.caller) };
  }

  node(context: Fs.Context, handle: Fs.Handle): NodePlace {
    const place = this.resolve(context, handle);
    if (place.kind === 'pseudo') throw new FsError('EISDIR', 'a directory above the exports');
    return place;
  }

  writable(context: Fs.Context, handle: Fs.Handle): NodePlace {
    const place = this.resolve(context, handle);
    if (place.kind === 'pseudo')
      throw new FsError('EROFS', 'the directories above the exports are read-only');
    if (place.exported.rules.readOnly)
      throw new FsError('EROFS', `"${place.exported.rules.path}" is exported read-only`);
    return place;
  }

  /** A directory whose entries the caller may change. */
  async changeable(context: Fs.Context, handle: Fs.Handle): Promise<DirectoryPlace> {
    const place = this.directory(this.writable(context, handle));
    requireEntryChange(await this.fresh(place), place.caller);
    return place;
  }

  directory(place: NodePlace): DirectoryPlace {
    const { node } = place;
    if (node.kind !== 'directory') throw new FsError('ENOTDIR', 'the handle is not of a directory');
    return { kind: 'node', exported: place.exported, node, caller: place.caller };
  }

  file(place: NodePlace): FilePlace {
    const { node } = place;
    if (node.kind !== 'file') throw new FsError('EISDIR', 'the handle is of a directory');
    if (node.silly !== undefined) place.exported.volume.volume.silly.used(node);
    return { kind: 'node', exported: place.exported, node, caller: place.caller };
  }

  requireAdmitted(exported: Export, context: Fs.Context): void {
    if (!exported.admits(context.caller.address)) {
      throw new FsError(
        'EACCES',
        `${context.caller.address} is not among the addresses allowed for "${exported.rules.path}"`,
      );
    }
  }

  /** Attributes no older than the time to live at `nowMs`, now by default. */
  fresh({ exported, node }: NodePlace, nowMs?: number): Soon<Fs.Attributes> {
    return after(exported.volume.freshness.node(node, nowMs), () => exported.attributes(node));
  }

  /** As `fresh`, for who doesn't look into a directory. */
  shown({ exported, node }: NodePlace): Soon<Fs.Attributes> {
    return after(exported.volume.freshness.attributes(node), () => exported.attributes(node));
  }

  /** Attributes as far as they are known: FSSTAT and FSINFO answer without the store. */
  lastKnown(context: Fs.Context, handle: Fs.Handle): Fs.Attributes {
    const place = this.resolve(context, handle);
    return place.kind === 'pseudo'
      ? this.#pseudo.attributes(place.directory)
      : place.exported.attributes(place.node);
  }
}
