/**
 * What is in the bucket after a crash, before anything was started again: each object one whole version of a file that has had its key, none
 * for names that are gone, and, where COMMIT publishes, none older than what was committed.
 */
import type { BucketView, SeenObject } from './bucket-view.js';
import type { Plan } from './plan.js';
import type { World, WorldNode } from './world.js';

/** Nothing is under way in the store. */
export async function judgeBucket(world: World, bucket: BucketView, plan: Plan): Promise<void> {
  const allowed = new Map<string, Set<number>>();
  const allow = (paths: ReadonlyMap<string, number>): void => {
    for (const [path, node] of paths) allowed.set(path, (allowed.get(path) ?? new Set()).add(node));
  };
  allow(world.tree.paths());
  for (const change of world.pending.values()) {
    const after = world.tree.copy();
    after.apply(change);
    allow(after.paths());
  }
  const keys = await bucket.list();
  for (const key of keys.keys()) {
    if (key.endsWith('/')) continue;
    if (!allowed.has(key)) {
      world.found('other', `the bucket has "${key}", which nobody has a name for`);
      continue;
    }
    judgeObject(world, key, await bucket.get(key), allowed.get(key) ?? new Set(), plan);
  }
  for (const [path, nodes] of allowed) {
    const [id, ...others] = nodes;
    if (id === undefined || others.length > 0 || keys.has(path)) continue;
    const node = world.get(id);
    if (isMoving(world, path, node)) continue;
    if (node.kind === 'symlink') world.found('lost', `no object for symlink "${path}"`, id);
    if (node.kind === 'file' && isPublished(node, plan))
      world.found('lost', `no object for "${path}" (${id}), which was published`, id);
  }
}

function judgeObject(
  world: World,
  key: string,
  object: SeenObject,
  nodes: ReadonlySet<number>,
  plan: Plan,
): void {
  // Of another file that had the name before, while this one's first version is not there.
  const candidates = [...new Set([...nodes, ...(world.keyed.get(key) ?? [])])].map((id) => world.get(id));
  const { body } = object;
  let why: string | undefined;
  let about: number | undefined;
  for (const node of candidates) {
    if (node.kind === 'directory') continue;
    if (node.kind === 'symlink') {
      if (body.toString() === node.target) return;
      continue;
    }
    const floor =
      nodes.size === 1 && nodes.has(node.id) && isSmall(node, plan) ? node.history.floor : -Infinity;
    const difference = node.history.whole(body, floor);
    if (difference === undefined) return;
    about = node.id;
    if (floor > -Infinity && node.history.whole(body, -Infinity) === undefined) {
      world.found(
        'lost',
        `the object "${key}" (${node.id}) is older than a COMMIT of it: ${difference.what}`,
        about,
      );
      return;
    }
    why = difference.what;
  }
  world.found(
    'torn',
    `the object "${key}" (${about}) is no version of the file: ${why ?? 'a directory'}`,
    about,
  );
}

/** A change of its name, or of one above it, was not answered. */
function isMoving(world: World, path: string, node: WorldNode): boolean {
  const after = [...world.pending.values()].map((change) => {
    const tree = world.tree.copy();
    tree.apply(change);
    return tree;
  });
  return [world.tree, ...after].some((tree) => !tree.has(node.id) || tree.path(node.id) !== path);
}

/** Each of its COMMITs publishes. */
function isSmall({ history }: WorldNode, { policy, isEphemeral, partBytes }: Plan): boolean {
  return policy === 'publish' && (isEphemeral || history.sizeMax <= partBytes);
}

function isPublished(node: WorldNode, plan: Plan): boolean {
  if (node.wasAtRest) return true;
  return node.handle !== undefined && isSmall(node, plan) && (plan.isEphemeral || node.history.floor > 0);
}
