/** Everything has come to rest: the bucket is what the mount shows, and nothing else is left anywhere. */
import { setTimeout as delay } from 'node:timers/promises';
import type { BucketView } from './bucket-view.js';
import type { Rig } from './rig.js';
import type { World, WorldNode } from './world.js';

/** Longer than anything is left unpublished: bytes that nobody commits for 5 s, streams for up to 32 s. */
const REST_MS_MAX = 60_000;
const LOOK_MS = 100;

/** What somebody else's objects have beside their bytes. */
export const FOREIGN = { metadata: { colour: 'blue' }, contentType: 'text/x-foreign' };

/** How many unfinished uploads are there that only the store knows of. */
export async function judgeRest(world: World, rig: Rig, bucket: BucketView): Promise<number> {
  const until = performance.now() + REST_MS_MAX;
  for (;;) {
    const unrest = await unrestOf(world, rig, bucket);
    if (typeof unrest === 'number') return unrest;
    if (performance.now() > until) {
      world.found('other', `after ${REST_MS_MAX / 1000} s: ${unrest}`);
      return 0;
    }
    await delay(LOOK_MS);
  }
}

async function unrestOf(world: World, rig: Rig, bucket: BucketView): Promise<string | number> {
  const uploads = await bucket.uploads();
  const known = uploads.filter((id) => rig.relay.uploadIds.has(id));
  if (known.length > 0) return `unfinished uploads: ${known.join(', ')}`;
  const spooled = await rig.spooled();
  // A daemon that lives keeps one segment open to append to.
  if (spooled.length > 1 || spooled.some((name) => !name.endsWith('.segment')))
    return `left in the spool: ${spooled.join(', ')}`;
  const keys = await bucket.list();
  const paths = world.tree.paths();
  for (const key of keys.keys()) {
    const id = paths.get(key.endsWith('/') ? key.slice(0, -1) : key);
    const isDirectory = id !== undefined && world.get(id).kind === 'directory';
    if (id === undefined || isDirectory !== key.endsWith('/')) return `the bucket has "${key}"`;
  }
  for (const [path, id] of paths) {
    const node = world.get(id);
    if (node.kind === 'directory') continue;
    if (!keys.has(path)) return `the bucket lacks "${path}"`;
    const wrong = await differs(node, path, bucket);
    if (wrong !== undefined) return wrong;
  }
  return uploads.length;
}

async function differs(node: WorldNode, key: string, bucket: BucketView): Promise<string | undefined> {
  const { body, metadata, contentType } = await bucket.get(key);
  const expected = node.kind === 'symlink' ? Buffer.from(node.target) : node.history.base;
  if (!body.equals(expected)) return `the object "${key}" (${node.id}) is not what the mount shows`;
  const { 'file-permissions': mode } = metadata;
  const isMode =
    mode === undefined ? node.isForeign : Number.parseInt(mode, 8) % 0o10000 === node.attributes.mode;
  if (!isMode) return `the object "${key}" (${node.id}) has permissions ${mode}`;
  if (!node.isForeign) return undefined;
  const isKept = metadata['colour'] === FOREIGN.metadata.colour && contentType === FOREIGN.contentType;
  return isKept ? undefined : `the object "${key}" (${node.id}) lost its metadata`;
}
