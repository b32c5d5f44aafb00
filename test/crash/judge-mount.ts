/**
 * What the mount shows after a crash and a restart, held against what was answered; and then taken for what is: the next life begins
 * with it.
 */
import { statusOf, type NfsClient } from '../support/nfs-client.js';
import type { fattr3 } from '../../protocol/nfs3/types.js';
import { FileHistory } from './history.js';
import { ROOT, type Tree } from './tree.js';
import type { Attributes, World, WorldNode } from './world.js';

interface Seen {
  readonly handle: Buffer;
  readonly attributes: fattr3;
}

export interface Judged {
  /** Bytes acknowledged as durable that were compared. */
  readonly durableBytes: number;
  /** Acknowledged UNSTABLE bytes are gone. */
  readonly isUnstableLost: boolean;
  /** Files whose bytes are no moment's, though each may be there: legal, and worth knowing. */
  readonly mixed: number;
}

/** `isCrashed`: the daemon was killed; otherwise nothing at all may be missing. */
export async function judgeMount(world: World, nfs: NfsClient, isCrashed: boolean): Promise<Judged> {
  const seen = await walk(nfs, world.handle(ROOT));
  adoptNames(world, seen);
  let durableBytes = 0;
  let isUnstableLost = false;
  let mixed = 0;
  for (const [path, id] of world.tree.paths()) {
    const node = world.get(id);
    const found = seen.get(path);
    if (found === undefined) {
      world.found('lost', `"${path}" (${id}) is gone`, id);
      continue;
    }
    const isNew = node.handle === undefined;
    judgeIdentity(world, path, node, found);
    judgeAttributes(world, path, node, found.attributes, isNew);
    if (node.kind === 'symlink') {
      const target = (await nfs.readlink(found.handle)).toString();
      if (target !== node.target) world.found('lost', `symlink "${path}" leads to ${target}`, id);
    }
    if (node.kind !== 'file') continue;
    const bytes = await nfs.readFile(node.handle ?? found.handle);
    durableBytes += node.history.durableBytes;
    const difference = isCrashed ? node.history.afterCrash(bytes) : undefined;
    const lacking = node.history.lacks(bytes);
    if (difference !== undefined) {
      world.found('lost', `"${path}" (${id}) lacks what was answered as safe: ${difference.what}`, id);
    } else if (lacking !== undefined) {
      if (!isCrashed)
        world.found(
          'lost',
          `"${path}" (${id}) lacks what was written, though the daemon lives: ${lacking.what}`,
          id,
        );
      isUnstableLost = true;
      if (node.history.whole(bytes, node.history.floor) !== undefined) mixed++;
    }
    node.history = new FileHistory(bytes, world.patterns);
  }
  for (const path of seen.keys())
    if (world.tree.paths().get(path) === undefined)
      world.found('other', `"${path}" is there, and nobody made it`);
  await judgeRemoved(world, nfs);
  return { durableBytes, isUnstableLost, mixed };
}

/** All that lies under a directory, by path. */
async function walk(nfs: NfsClient, root: Buffer): Promise<Map<string, Seen>> {
  const seen = new Map<string, Seen>();
  const see = async (prefix: string, directory: Buffer): Promise<void> => {
    for (const { name } of await nfs.readdirplus(directory)) {
      const text = name.toString();
      if (text === '.' || text === '..') continue;
      const { handle } = await nfs.lookup(directory, name);
      const attributes = await nfs.getattr(handle);
      seen.set(`${prefix}${text}`, { handle, attributes });
      if (attributes.type === 'NF3DIR') await see(`${prefix}${text}/`, handle);
    }
  };
  await see('', root);
  return seen;
}

/** Each change of names that was under way was made or was not: whichever explains what is seen. */
function adoptNames(world: World, seen: ReadonlyMap<string, Seen>): void {
  const pending = [...world.pending];
  let best: { readonly tree: Tree; readonly made: typeof pending; readonly wrong: number } | undefined;
  for (let choice = 0; choice < 2 ** pending.length; choice++) {
    const made = pending.filter((_, index) => (choice & (2 ** index)) !== 0);
    const tree = world.tree.copy();
    for (const [, change] of made) tree.apply(change);
    const wrong = differences(world, tree, seen);
    if (best === undefined || wrong < best.wrong) best = { tree, made, wrong };
  }
  for (const [thread, change] of best?.made ?? []) world.settle(thread, change);
  world.pending.clear();
}

function differences(world: World, tree: Tree, seen: ReadonlyMap<string, Seen>): number {
  const paths = tree.paths();
  let wrong = [...seen.keys()].filter((path) => !paths.has(path)).length;
  for (const [path, id] of paths) {
    const found = seen.get(path);
    const { fileid } = world.get(id);
    if (found === undefined || (fileid !== undefined && fileid !== found.attributes.fileid)) wrong++;
  }
  return wrong;
}

function judgeIdentity(world: World, path: string, node: WorldNode, { handle, attributes }: Seen): void {
  const type = { file: 'NF3REG', directory: 'NF3DIR', symlink: 'NF3LNK' }[node.kind];
  if (attributes.type !== type) world.found('lost', `"${path}" (${node.id}) is ${attributes.type}`, node.id);
  node.fileid ??= attributes.fileid;
  if (node.fileid !== attributes.fileid)
    world.found('other', `the fileid of "${path}" (${node.id}) changed`, node.id);
  node.handle ??= handle;
  if (!node.handle.equals(handle))
    world.found('other', `the handle of "${path}" (${node.id}) changed`, node.id);
}

function judgeAttributes(world: World, path: string, node: WorldNode, told: fattr3, isNew: boolean): void {
  const { attributes, attributesToBe } = node;
  const fits = [attributes, ...(attributesToBe === undefined ? [] : [attributesToBe])].find((each) =>
    isLike(each, told),
  );
  if (fits === undefined && !isNew) {
    const { mode, uid, gid, mtime } = told;
    world.found(
      'lost',
      `attributes of "${path}" (${node.id}) are ${JSON.stringify({ mode, uid, gid, mtime })}, expected ${JSON.stringify(attributes)}${attributesToBe === undefined ? '' : ` or ${JSON.stringify(attributesToBe)}`}`,
      node.id,
    );
  }
  const { mtime } = fits ?? {};
  node.attributes = { mode: told.mode, uid: told.uid, gid: told.gid, ...(mtime !== undefined && { mtime }) };
  node.attributesToBe = undefined;
}

function isLike({ mode, uid, gid, mtime }: Attributes, told: fattr3): boolean {
  if (mode !== told.mode || uid !== told.uid || gid !== told.gid) return false;
  return (
    mtime === undefined || (mtime.seconds === told.mtime.seconds && mtime.nseconds === told.mtime.nseconds)
  );
}

async function judgeRemoved(world: World, nfs: NfsClient): Promise<void> {
  for (const { handle, what } of world.removed.splice(0)) {
    const status = await statusOf(nfs.getattr(handle));
    if (status !== 'NFS3ERR_STALE')
      world.found('other', `"${what}" was removed, and its handle gets ${status}`);
  }
}
