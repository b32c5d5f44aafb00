/** Real files for the demonstration's bucket: this project's own texts and sources, and a binary of some MiB. */
import { readdir, readFile } from 'node:fs/promises';
import { extname, join, relative, sep } from 'node:path';
import pLimit from 'p-limit';
import type { ObjectHeaders, ObjectStore } from '../store/object-store.js';

/** What is copied of a package directory, where it is there: an installed package has fewer of these than a checkout. */
const SEEDED = ['README.md', 'CHANGELOG.md', 'LICENSE', 'package.json', 'docs', 'config', 'protocol', 'src'];

/** Large enough for several READs and readahead, small enough for a start within a second. */
const BINARY_BYTES = 6 * 2 ** 20;

/** The store syncs each object to the disk: objects that come together share the wait. */
const PARALLEL = 16;

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.json': 'application/json',
  '.md': 'text/markdown; charset=utf-8',
  '.ts': 'text/plain; charset=utf-8',
  '.yaml': 'application/yaml',
};

/** Fills an empty bucket; leaves one that holds anything alone. Returns the number of objects written. */
export async function seedBucket(store: ObjectStore, packageDirectory: string): Promise<number> {
  const { objects } = await store.list({ prefix: '', maxKeys: 1 });
  if (objects.length > 0) return 0;
  const files = await seededFiles(packageDirectory);
  await pLimit(PARALLEL).map(files, async (path) => {
    const key = relative(packageDirectory, path).split(sep).join('/');
    await store.put(key, [await readFile(path)], headersOf(key));
  });
  await store.put('data/six-mebibytes.bin', [patternedBytes(BINARY_BYTES)], headersOf('.bin'));
  return files.length + 1;
}

/** The same bytes everywhere: each 64-bit word is its own offset mixed, so that a misplaced block shows. */
export function patternedBytes(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length - (length % 8));
  for (let offset = 0; offset < bytes.length; offset += 8) {
    bytes.writeUInt32LE(offset, offset);
    bytes.writeUInt32LE(Math.imul(offset ^ (offset >>> 15), 0x2c1b3c6d) >>> 0, offset + 4);
  }
  return bytes;
}

function headersOf(key: string): ObjectHeaders {
  return { metadata: {}, contentType: CONTENT_TYPES[extname(key)] ?? 'application/octet-stream' };
}

async function seededFiles(root: string): Promise<readonly string[]> {
  const present = new Map((await readdir(root, { withFileTypes: true })).map((entry) => [entry.name, entry]));
  const files: string[] = [];
  for (const name of SEEDED) {
    const entry = present.get(name);
    if (entry?.isFile() === true) files.push(join(root, name));
    if (entry?.isDirectory() === true) files.push(...(await filesBelow(join(root, name))));
  }
  return files;
}

async function filesBelow(directory: string): Promise<readonly string[]> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}
