/** Everything that can be seen from outside at one moment: the tree with its bytes, and what became of each file that was found. */
import { createHash } from 'node:crypto';
import type { Attributes } from '../../src/fs/file-system.js';
import type { Entry } from './answer.js';

export interface Seen {
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  /** Of files: of their bytes. Of symlinks: the target. */
  readonly content?: string;
}

export interface Observation {
  /** By path below the model's root, which is the empty path. */
  readonly tree: Readonly<Record<string, Seen>>;
  /** Of each slot: its path, or that it is gone. */
  readonly slots: readonly string[];
}

/** Either side of the comparison, as far as looking goes. */
export interface Viewer {
  getattr(handle: Buffer): Promise<Attributes | undefined>;
  entries(directory: Buffer): Promise<readonly Entry[]>;
  content(file: Buffer): Promise<Buffer>;
  readlink(symlink: Buffer): Promise<string>;
}

/** Told of every file of the tree. */
export type Visit = (path: string, attributes: Attributes, handle: Buffer) => void;

export async function observe(
  viewer: Viewer,
  root: Buffer,
  slots: readonly Buffer[],
  visit: Visit = () => undefined,
): Promise<Observation> {
  const tree: Record<string, Seen> = {};
  const paths = new Map<bigint, string>();
  const see = async (path: string, handle: Buffer): Promise<void> => {
    const attributes = await viewer.getattr(handle);
    if (attributes === undefined) throw new Error(`${path} is listed, but gone`);
    const { type, mode, uid, gid, size } = attributes;
    visit(path, attributes, handle);
    if (paths.has(attributes.fileid)) throw new Error(`${path} is ${paths.get(attributes.fileid)} as well`);
    paths.set(attributes.fileid, path);
    const content = await contentOf(viewer, type, handle);
    // Nothing goes by the mode of a symlink.
    const common = { type, mode: type === 'symlink' ? 0o777 : mode, uid, gid, size };
    tree[path] = { ...common, ...(content !== undefined && { content }) };
    if (type !== 'directory') return;
    for (const { name, handle: child } of await viewer.entries(handle)) {
      if (name === '.') continue;
      if (child === undefined) throw new Error(`${name} is listed without a handle`);
      await see(path === '' ? name : `${path}/${name}`, child);
    }
  };
  await see('', root);
  const found: string[] = [];
  for (const slot of slots) {
    const attributes = await viewer.getattr(slot);
    found.push(attributes === undefined ? '(gone)' : (paths.get(attributes.fileid) ?? '(elsewhere)'));
  }
  return { tree, slots: found };
}

async function contentOf(viewer: Viewer, type: string, handle: Buffer): Promise<string | undefined> {
  if (type === 'symlink') return await viewer.readlink(handle);
  if (type !== 'file') return undefined;
  const bytes = await viewer.content(handle);
  const start = bytes.subarray(0, 40).toString('latin1');
  return `${bytes.length} ${createHash('sha1').update(bytes).digest('hex')} ${start}`;
}
