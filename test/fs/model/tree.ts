/** Everything a file system shows from its root, as plain values: what two of them are compared by, and what a bucket must hold. */
import type { Context, FileSystem, Handle } from '../../../src/fs/file-system.js';
import { listNames, visibleMode } from './operations.js';

export interface TreeEntry {
  readonly type: string;
  readonly mode: number;
  readonly mtimeMs: string;
  /** Of files: their bytes as latin1. Of symlinks: the target. */
  readonly content?: string;
}

/** By path without a leading slash; the root is the empty path. */
export type Tree = Record<string, TreeEntry>;

export async function treeOf(fs: FileSystem, context: Context, root: Handle): Promise<Tree> {
  const tree: Tree = {};
  const walk = async (directory: Handle, prefix: string): Promise<void> => {
    const names = await listNames(fs, context, directory, 5);
    for (const name of names.filter((each) => each !== '.' && each !== '..')) {
      const { handle, attributes } = await fs.lookup(context, directory, Buffer.from(name));
      const { type, mode, mtimeNs, size } = attributes;
      const common = { type, mode: visibleMode(type, mode), mtimeMs: String(mtimeNs / 1_000_000n) };
      if (type === 'directory') {
        tree[prefix + name] = common;
        await walk(handle, `${prefix}${name}/`);
      } else if (type === 'symlink') {
        const { target } = await fs.readlink(context, handle);
        tree[prefix + name] = { ...common, content: target.toString('latin1') };
      } else {
        tree[prefix + name] = { ...common, content: await contentOf(fs, context, handle, size) };
      }
    }
  };
  const { type, mode, mtimeNs } = await fs.getattr(context, root);
  tree[''] = { type, mode, mtimeMs: String(mtimeNs / 1_000_000n) };
  await walk(root, '');
  return tree;
}

async function contentOf(fs: FileSystem, context: Context, file: Handle, size: number): Promise<string> {
  const result = await fs.read(context, file, 0, size + 1);
  const bytes = Buffer.concat(result.slices);
  const { count, eof } = result;
  result.release();
  if (count !== size || bytes.length !== size || !eof) {
    throw new Error(`expected ${size} bytes and the end, got ${bytes.length} (count ${count}, eof ${eof})`);
  }
  return bytes.toString('latin1');
}

/** Keys and bodies, as UTF-8, of a bucket that shows `tree`; `hasMarkers`: every directory has its marker. */
export function objectsOf(tree: Tree, hasMarkers = true): Record<string, string> {
  return Object.fromEntries(
    Object.entries(tree)
      .filter(([path, { type }]) => path !== '' && (hasMarkers || type !== 'directory'))
      .map(([path, entry]): [string, string] =>
        entry.type === 'directory'
          ? [`${path}/`, '']
          : [path, Buffer.from(entry.content ?? '', 'latin1').toString('utf8')],
      )
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}
