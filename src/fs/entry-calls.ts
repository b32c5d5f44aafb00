/** The calls of FileSystem that change a directory's entries: rules checked, the volume's operation, and what it did to the directory. */
import { FsError } from './errors.js';
import type { Export } from './exports.js';
import type * as Fs from './file-system.js';
import type { EntryCall, LongOperations } from './long-operations.js';
import { parseName } from './names.js';
import type { Guard, Owner } from './entry-changes.js';
import type { DirectoryNode, EntryChange, FsNode } from './node.js';
import { ownerDecides, requireUnlink, requireWrite } from './permissions.js';
import type { DirectoryPlace, Places } from './places.js';
import { toFsError } from './store-errors.js';
import type { Volume } from './volume.js';

export class EntryCalls {
  readonly #places: Places;
  readonly #long: LongOperations;

  constructor(places: Places, long: LongOperations) {
    this.#places = places;
    this.#long = long;
  }

  async create(
    context: Fs.Context,
    directory: Fs.Handle,
    name: Buffer,
    mode: Fs.CreateMode,
  ): Promise<Fs.CreatedFile> {
    const parent = await this.#places.changeable(context, directory);
    const { exported, node, caller } = parent;
    const { namespace, volume } = exported.volume;
    const guard = (existing: FsNode): void => requireWrite(exported.attributes(existing), caller);
    const made = await this.#long.patiently(`CREATE ${entryOf(node, name)}`, (patience) =>
      namespace.create(node, parseName(name), mode, ownerOf(parent, 'fileMode'), guard, patience),
    );
    this.#long.changed(callOf(context, 'CREATE', entryOf(node, name)));
    volume.conflicts.begunAnew(made.node, context.caller.address);
    await settled(volume, node, name);
    return { ...this.#places.found(exported, made.node), parent: report(exported, node, made.change) };
  }

  async mkdir(
    context: Fs.Context,
    directory: Fs.Handle,
    name: Buffer,
    attributes: Fs.AttributeChanges,
  ): Promise<Fs.CreatedFile> {
    const parent = await this.#places.changeable(context, directory);
    const { exported, node } = parent;
    const { directories, volume } = exported.volume;
    const made = await this.#long.run(callOf(context, 'MKDIR', entryOf(node, name)), () =>
      directories.mkdir(node, parseName(name), attributes, ownerOf(parent, 'directoryMode')),
    );
    await settled(volume, node, name);
    return { ...this.#places.found(exported, made.node), parent: report(exported, node, made.change) };
  }

  async symlink(
    context: Fs.Context,
    directory: Fs.Handle,
    name: Buffer,
    target: Buffer,
    attributes: Fs.AttributeChanges,
  ): Promise<Fs.CreatedFile> {
    const parent = await this.#places.changeable(context, directory);
    const { exported, node } = parent;
    const { namespace, volume } = exported.volume;
    const copy = Buffer.from(target);
    const made = await this.#long.run(callOf(context, 'SYMLINK', entryOf(node, name)), () =>
      namespace.symlink(node, parseName(name), copy, attributes, ownerOf(parent, 'fileMode')),
    );
    await settled(volume, node, name);
    return { ...this.#places.found(exported, made.node), parent: report(exported, node, made.change) };
  }

  async remove(context: Fs.Context, directory: Fs.Handle, name: Buffer): Promise<Fs.ChangeReport> {
    const parent = await this.#places.changeable(context, directory);
    const { exported, node } = parent;
    const change = await this.#long.run(callOf(context, 'REMOVE', entryOf(node, name)), () =>
      exported.volume.namespace.remove(node, parseName(name), this.#removalGuard(parent)),
    );
    await settled(exported.volume.volume, node, name);
    return report(exported, node, change);
  }

  async rmdir(context: Fs.Context, directory: Fs.Handle, name: Buffer): Promise<Fs.ChangeReport> {
    const parent = await this.#places.changeable(context, directory);
    const { exported, node } = parent;
    const change = await this.#long.run(callOf(context, 'RMDIR', entryOf(node, name)), () =>
      exported.volume.directories.rmdir(node, parseName(name), this.#unlinkGuard(parent)),
    );
    await settled(exported.volume.volume, node, name);
    return report(exported, node, change);
  }

  async rename(
    context: Fs.Context,
    fromDirectory: Fs.Handle,
    fromName: Buffer,
    toDirectory: Fs.Handle,
    toName: Buffer,
  ): Promise<{ readonly from: Fs.ChangeReport; readonly to: Fs.ChangeReport }> {
    const from = await this.#places.changeable(context, fromDirectory);
    const to = await this.#places.changeable(context, toDirectory);
    if (from.exported !== to.exported) throw new FsError('EXDEV', 'a rename stays within one export');
    const { exported } = from;
    const changes = await this.#long.run(
      callOf(context, 'RENAME', entryOf(from.node, fromName), entryOf(to.node, toName)),
      () =>
        exported.volume.rename.run(
          { directory: from.node, name: parseName(fromName) },
          { directory: to.node, name: parseName(toName) },
          {
            source: this.#unlinkGuard(from),
            target: this.#unlinkGuard(to),
            copyBytesMax: exported.rules.renameCopyLimitBytes ?? Infinity,
          },
        ),
    );
    await settled(exported.volume.volume, to.node, toName);
    return { from: report(exported, from.node, changes.from), to: report(exported, to.node, changes.to) };
  }

  #removalGuard(parent: DirectoryPlace): Guard | undefined {
    const { exported, node, caller } = parent;
    return ownerDecides(exported.attributes(node), caller) ? this.#unlinkGuard(parent) : undefined;
  }

  #unlinkGuard(parent: DirectoryPlace): Guard {
    const { exported, node: directory, caller } = parent;
    return (node) => {
      requireUnlink(exported.attributes(directory), exported.attributes(node), caller);
      // Handles of the export lead there while it is served, and the next start would not find its prefix.
      if (node.kind === 'directory' && node.permanent)
        throw new FsError('EACCES', 'an export begins at this directory, or below it');
    };
  }
}

/** Resolves when what was changed of the entry survives the death of this process. Errors: ENOSPC, EIO. */
async function settled(volume: Volume, directory: DirectoryNode, name: Buffer): Promise<void> {
  try {
    await volume.nodes.settled();
  } catch (error) {
    const { code, message } = toFsError(error);
    throw new FsError(
      code,
      `"${volume.prefixOf(directory)}${name.toString()}" in ${volume.name}: ${message}`,
      { cause: error },
    );
  }
}

const callOf = (context: Fs.Context, what: string, ...entries: readonly string[]): EntryCall => ({
  caller: context.caller.address,
  what,
  entries,
});

const entryOf = (directory: DirectoryNode, name: Buffer): string =>
  `${directory.id}/${name.toString('utf8')}`;

/** Who makes something in the directory. */
const ownerOf = ({ exported, caller }: DirectoryPlace, mode: 'fileMode' | 'directoryMode'): Owner => ({
  ...caller,
  newMode: exported.rules[mode],
});

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
