/** Trees of files on this machine's disk, and what S3 must hold once they were copied through the mount. */
import { createHash } from 'node:crypto';
import { lstat, readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { Bucket, ObjectFacts } from './bucket.js';

const PARALLEL = 16;
/**
 * Attributes that were changed after the bytes are answered from the journal and reach S3 after a rest of 250 ms; a streamed file, whose last
 * COMMITs were answered from the spool, up to 32 s after them (docs/SEMANTICS.md).
 */
const REST_MS = 250;
const LOOKS_MAX = 160;
const NS_PER_SECOND = 1_000_000_000n;

/** One line for each entry: what `diff -r` doesn't compare. Of directories no times: copying into them changes those. */
export const LIST_ATTRIBUTES = `find . -type f -printf '%P %m %U:%G %s %T@\\n' -o -type l -printf '%P -> %l\\n' -o -type d -printf '%P %m %U:%G\\n' | sort`;

/** The objects for everything below the directory, by key: a marker for each directory, the target for a symbolic link. */
export async function expectedObjects(directory: string): Promise<ReadonlyMap<string, ObjectFacts>> {
  const entries = await readdir(directory, { withFileTypes: true, recursive: true });
  const facts = await pLimit(PARALLEL).map(entries, async (entry): Promise<[string, ObjectFacts]> => {
    const path = join(entry.parentPath, entry.name);
    const key = path.slice(directory.length + 1);
    const { mode, uid, gid, mtimeNs } = await lstat(path, { bigint: true });
    const body = entry.isDirectory()
      ? Buffer.alloc(0)
      : entry.isSymbolicLink()
        ? Buffer.from(await readlink(path))
        : await readFile(path);
    const metadata = {
      'file-permissions': `0${mode.toString(8)}`,
      'file-owner': String(uid),
      'file-group': String(gid),
      // The times of directories and of links change as they are made; the guest sees this disk's times in whole seconds.
      ...(entry.isFile() ? { 'file-mtime': `${mtimeNs - (mtimeNs % NS_PER_SECOND)}ns` } : {}),
    };
    const sha256 = createHash('sha256').update(body).digest('hex');
    return [entry.isDirectory() ? `${key}/` : key, { size: body.length, sha256, metadata }];
  });
  return new Map(facts);
}

/** What differs in the end between the tree expected and what the bucket has below the prefix. */
export async function differencesAtRest(
  expected: ReadonlyMap<string, ObjectFacts>,
  bucket: Bucket,
  prefix: string,
): Promise<readonly string[]> {
  for (let look = 1; ; look++) {
    const objects = new Map(await bucket.tree(prefix));
    objects.delete('');
    const lines = differences(expected, objects);
    if (lines.length === 0 || look === LOOKS_MAX) return lines;
    await pause(REST_MS);
  }
}

/** The SHA-256 of an object, once it is the one expected or nothing more is to come. */
export async function contentAtRest(expected: string, bucket: Bucket, key: string): Promise<string> {
  for (let look = 1; ; look++) {
    const { sha256 } = await bucket.facts(key);
    if (sha256 === expected || look === LOOKS_MAX) return sha256;
    await pause(REST_MS);
  }
}

/** What differs between the two, one line each; empty when the bucket holds just what is expected, with those attributes. */
function differences(
  expected: ReadonlyMap<string, ObjectFacts>,
  actual: ReadonlyMap<string, ObjectFacts>,
): readonly string[] {
  const lines: string[] = [];
  for (const [key, facts] of expected) {
    const found = actual.get(key);
    if (found === undefined) {
      lines.push(`${key}: missing`);
      continue;
    }
    if (found.size !== facts.size || found.sha256 !== facts.sha256) {
      lines.push(`${key}: ${found.size} bytes in S3 are not the ${facts.size} bytes of the file`);
    }
    for (const [name, value] of Object.entries(facts.metadata)) {
      if (found.metadata[name] !== value) {
        lines.push(`${key}: ${name} is ${found.metadata[name]}, expected ${value}`);
      }
    }
  }
  for (const key of actual.keys()) if (!expected.has(key)) lines.push(`${key}: not expected`);
  return lines;
}
