/** Copying, comparing and deleting every key below a prefix: what the rename of a directory is made of. */
import pLimit from 'p-limit';
import { StoreError } from '../store/errors.js';
import type { ObjectSummary, WriteCondition } from '../store/object-store.js';
import { LIST_KEYS_MAX } from './store-answers.js';
import type { Volume } from './volume.js';

/** Copies under way at a time during the rename of a directory. */
const COPIES_MAX = 16;
/** A rename of a directory says how far it is every so many keys. */
const PROGRESS_EVERY_KEYS = 1000;

/** ETags of what has a copy, by the key it was copied from. */
export type Copied = ReadonlyMap<string, string>;

/**
 * Copies every key below a prefix to another; what was copied. With `condition` copies that are there already are left alone. Fails
 * with the first failure, once no copy is under way any more.
 */
export async function copyTree(
  volume: Volume,
  fromPrefix: string,
  toPrefix: string,
  how: { readonly condition?: WriteCondition; readonly onCopied?: (key: string) => void },
): Promise<Copied> {
  const { condition, onCopied } = how;
  const limit = pLimit(COPIES_MAX);
  const versions = new Map<string, string>();
  let copied = 0;
  let failing = false;
  const copy = async ({ key, etag, size }: ObjectSummary): Promise<void> => {
    if (failing) return;
    const target = toPrefix + key.slice(fromPrefix.length);
    const options = { sourceEtag: etag, size, ...(condition !== undefined && { condition }) };
    const made = await volume.store.copy(key, target, options).catch((error: unknown) => {
      if (condition === undefined || !isPresent(error)) {
        failing = true;
        throw error;
      }
      // Made before a crash: of this version, or of one that somebody has replaced since.
      return undefined;
    });
    if (made === undefined && !(await isCopy(volume, target, { etag, size }))) return;
    versions.set(key, etag);
    onCopied?.(target);
    copied++;
    if (copied % PROGRESS_EVERY_KEYS === 0) {
      volume.log.info({ from: fromPrefix, to: toPrefix, copied }, 'renaming a directory');
    }
  };
  for await (const page of pagesBelow(volume, fromPrefix)) {
    const results = await Promise.allSettled(page.map((object) => limit(() => copy(object))));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
  return versions;
}

/** A directory that can't be copied whole stays where it is, and none of its copies stay at the target. */
export async function copyTreeOrUndo(volume: Volume, fromPrefix: string, toPrefix: string): Promise<Copied> {
  const copies: string[] = [];
  try {
    return await copyTree(volume, fromPrefix, toPrefix, { onCopied: (key) => copies.push(key) });
  } catch (error) {
    await deleteKeys(volume, copies).catch((undoError: unknown) => {
      const left = { err: undoError, prefix: toPrefix };
      volume.log.error(left, 'copies of a failed directory rename are left behind');
    });
    throw error;
  }
}

/** Deletes what is still the version that was copied: copying takes minutes, and what somebody put there meanwhile has no copy. */
export async function deleteUnchanged(volume: Volume, fromPrefix: string, copied: Copied): Promise<void> {
  for await (const page of pagesBelow(volume, fromPrefix)) {
    const gone = page.filter(({ key, etag }) => copied.get(key) === etag);
    await deleteKeys(
      volume,
      gone.map(({ key }) => key),
    );
    if (gone.length === page.length) continue;
    const left = { prefix: fromPrefix, keys: page.length - gone.length };
    volume.log.warn(left, 'what others wrote into a directory while it was renamed stays under the old name');
  }
}

/** Deletes what the new name has too; what somebody wrote under the old name since stays. */
export async function deleteCopied(volume: Volume, fromPrefix: string, toPrefix: string): Promise<void> {
  for await (const page of pagesBelow(volume, fromPrefix)) {
    for (const { key, etag, size } of page) {
      const target = toPrefix + key.slice(fromPrefix.length);
      if (await isCopy(volume, target, { etag, size })) await volume.store.delete(key, { ifMatch: etag });
    }
  }
}

async function isCopy(
  volume: Volume,
  key: string,
  source: Pick<ObjectSummary, 'etag' | 'size'>,
): Promise<boolean> {
  const head = await volume.store.head(key);
  return head?.etag === source.etag && head.size === source.size;
}

const isPresent = (error: unknown): boolean =>
  error instanceof StoreError && error.kind === 'precondition-failed';

/** Pages of every key below a prefix, markers included. Fails with StoreError. */
export async function* pagesBelow(
  volume: Volume,
  prefix: string,
  maxKeys = LIST_KEYS_MAX,
): AsyncGenerator<readonly ObjectSummary[]> {
  let continuationToken: string | undefined;
  do {
    const page = await volume.store.list({
      prefix,
      maxKeys,
      ...(continuationToken !== undefined && { continuationToken }),
    });
    yield page.objects;
    continuationToken = page.continuationToken;
  } while (continuationToken !== undefined);
}

/** Deletes keys; fails with the first error. */
async function deleteKeys(volume: Volume, keys: readonly string[]): Promise<void> {
  if (keys.length === 0) return;
  const failed = await volume.store.deleteMany(keys);
  for (const error of failed.values()) throw error;
}
