/** Copying, comparing and deleting every key below a prefix: what the rename of a directory is made of. */
import { isDeepStrictEqual } from 'node:util';
import pLimit from 'p-limit';
import { StoreError } from '../store/errors.js';
import type { ObjectSummary } from '../store/object-store.js';
import { notOurs } from './lost-condition.js';
import { compareKeys } from './names.js';
import { LIST_KEYS_MAX, headersOnly } from './store-answers.js';
import type { Volume } from './volume.js';

/** Copies under way at a time during the rename of a directory. */
const COPIES_MAX = 16;
/** A rename of a directory says how far it is every so many keys. */
const PROGRESS_EVERY_KEYS = 1000;

/** ETags of what has a copy, by the key it was copied from. */
export type Copied = ReadonlyMap<string, string>;

/**
 * Copies every key below a prefix to another; what was copied. With `again` a crash interrupted it before: copies that are there already are
 * left alone. Fails with the first failure, once no copy is under way any more.
 */
export async function copyTree(
  volume: Volume,
  fromPrefix: string,
  toPrefix: string,
  how: { readonly again?: true; readonly onCopied?: (key: string) => unknown } = {},
): Promise<Copied> {
  const limit = pLimit(COPIES_MAX);
  const versions = new Map<string, string>();
  const there = how.again && new KeysBeside(volume, fromPrefix, toPrefix);
  let copied = 0;
  let failing = false;
  const copy = async (source: ObjectSummary, found: ObjectSummary | undefined): Promise<void> => {
    if (failing) return;
    const target = toPrefix + source.key.slice(fromPrefix.length);
    // The marker at the target may be that of the empty directory that is replaced: with the same bytes and ETag, but another mode. So it is always copied.
    const isMarker = source.key === fromPrefix;
    const at = there === undefined ? 'free' : { object: found };
    const isThere = await makeCopy(volume, source, target, isMarker ? 'marker' : at).catch(
      (error: unknown) => {
        failing = true;
        throw error;
      },
    );
    if (!isThere) return;
    versions.set(source.key, source.etag);
    how.onCopied?.(target);
    copied++;
    if (copied % PROGRESS_EVERY_KEYS === 0)
      volume.log.info({ from: fromPrefix, to: toPrefix, copied }, 'renaming a directory');
  };
  for await (const page of pagesBelow(volume, fromPrefix)) {
    const found = await there?.of(page);
    const results = await Promise.allSettled(
      page.map((source) => limit(() => copy(source, found?.get(source.key)))),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
  return versions;
}

/**
 * What is known of a copy's target. After a crash: what a LIST shows there. Otherwise its name was free when the rename began; a marker may replace
 * that of an empty directory.
 */
type Found = 'free' | 'marker' | { readonly object: ObjectSummary | undefined };

/**
 * Copies one object; true once `target` is a copy of that version. An object that is there already is replaced only where it looks like a copy: one
 * whose answer was lost, or one that an interrupted rename made. False where, after a crash, another file is there; EIO where somebody wrote one since the
 * rename began.
 */
async function makeCopy(
  volume: Volume,
  source: ObjectSummary,
  target: string,
  found: Found,
): Promise<boolean> {
  const { key, etag, size } = source;
  const { store } = volume;
  if (found === 'marker') {
    await store.copy(key, target, { sourceEtag: etag, size });
    return true;
  }
  const before = found === 'free' ? undefined : found.object;
  if (before !== undefined) return isSame(before, source) || copyOver(volume, source, target);
  try {
    await store.copy(key, target, { sourceEtag: etag, size, condition: { ifNoneMatch: '*' } });
    return true;
  } catch (error) {
    if (!isPresent(error)) throw error;
    const head = await store.head(target);
    // Nothing is at the target: the condition that failed is that of the source, which somebody replaced.
    if (head === undefined && found === 'free') throw error;
    if (head !== undefined && (isSame(head, source) || (await copyOver(volume, source, target)))) return true;
    if (found === 'free') throw notOurs(volume, target, error);
    return false;
  }
}

/**
 * What was uploaded in parts, or is encrypted by a key, has another ETag than its copies: where size and headers are the same the target is
 * made a copy of this version once more, unless it changes meanwhile. False where it is another file.
 */
async function copyOver(volume: Volume, source: ObjectSummary, target: string): Promise<boolean> {
  const { store } = volume;
  const { key, etag, size } = source;
  const [from, to] = await Promise.all([store.head(key), store.head(target)]);
  if (from?.etag !== etag || to === undefined) return false;
  if (to.size !== size || !isDeepStrictEqual(headersOnly(from), headersOnly(to))) return false;
  try {
    await store.copy(key, target, { sourceEtag: etag, size, condition: { ifMatch: to.etag } });
    return true;
  } catch (error) {
    if (isPresent(error)) return false;
    throw error;
  }
}

/**
 * Copies all below a prefix, or nothing: on failure the copies are deleted again, but for the marker of an empty directory that was to be replaced.
 * `seal` journals that all is copied. Where it fails the journal may have it all the same, and the next start would delete the sources: so `unseal` takes
 * that back before the copies are deleted.
 */
export async function copyTreeOrUndo(
  volume: Volume,
  { fromPrefix, toPrefix, isReplacing }: { fromPrefix: string; toPrefix: string; isReplacing: boolean },
  { seal, unseal }: { readonly seal: () => Promise<void>; readonly unseal: () => Promise<void> },
): Promise<Copied> {
  const copies: string[] = [];
  const onCopied = (key: string): unknown => (isReplacing && key === toPrefix) || copies.push(key);
  let isWhole = false;
  try {
    const copied = await copyTree(volume, fromPrefix, toPrefix, { onCopied });
    isWhole = true;
    await seal();
    return copied;
  } catch (error) {
    try {
      if (isWhole) await unseal();
      await deleteKeys(volume, copies);
    } catch (undoError) {
      const left = { err: undoError, prefix: toPrefix };
      volume.log.error(left, 'copies of a failed directory rename are left behind');
    }
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
    noteLeft(volume, fromPrefix, page.length - gone.length);
  }
}

function noteLeft(volume: Volume, prefix: string, keys: number): void {
  if (keys === 0) return;
  const what = 'what others wrote into a directory while it was renamed stays under the old name';
  volume.log.warn({ prefix, keys }, what);
}

/** Bytes of all objects below a prefix; not counted on beyond `enoughBytes`. */
export async function bytesBelow(volume: Volume, prefix: string, enoughBytes: number): Promise<number> {
  let bytes = 0;
  for await (const page of pagesBelow(volume, prefix)) {
    for (const { size } of page) bytes += size;
    if (bytes > enoughBytes) break;
  }
  return bytes;
}

/**
 * Deletes what was copied before a crash: what is still the version that it was when the rename began (`begunMs`, by the store's clock), and
 * what the new name has too. What somebody wrote under the old name since stays. Where the daemon has served the old name meanwhile (`wasServed`),
 * equal bytes under the new name don't prove that a key is an old source.
 */
export async function deleteCopied(
  volume: Volume,
  fromPrefix: string,
  toPrefix: string,
  { begunMs, wasServed }: { readonly begunMs: number | undefined; readonly wasServed: boolean },
): Promise<void> {
  const there = new KeysBeside(volume, fromPrefix, toPrefix);
  const limit = pLimit(COPIES_MAX);
  for await (const page of pagesBelow(volume, fromPrefix)) {
    const found = await there.of(page);
    const gone = await Promise.all(
      page.map(async (source) => {
        if (begunMs !== undefined && isOlder(source, begunMs)) return true;
        if (wasServed) return false;
        const target = found.get(source.key);
        if (target === undefined) return false;
        return isSame(target, source) || limit(() => copyOver(volume, source, target.key));
      }),
    );
    const keys = page.filter((_, at) => gone[at] === true).map(({ key }) => key);
    await deleteKeys(volume, keys);
    noteLeft(volume, fromPrefix, page.length - keys.length);
  }
}

/** What lies beside a listing, under the same names below another prefix: asked for in the order of the listing. */
class KeysBeside {
  readonly #pages: AsyncGenerator<readonly ObjectSummary[]>;
  readonly #fromPrefix: string;
  readonly #toPrefix: string;
  #held: ObjectSummary[] = [];
  #ended = false;

  constructor(volume: Volume, fromPrefix: string, toPrefix: string) {
    this.#pages = pagesBelow(volume, toPrefix);
    this.#fromPrefix = fromPrefix;
    this.#toPrefix = toPrefix;
  }

  /** By the keys of `page`. */
  async of(page: readonly ObjectSummary[]): Promise<ReadonlyMap<string, ObjectSummary>> {
    const last = page.at(-1)?.key.slice(this.#fromPrefix.length) ?? '';
    const found = new Map<string, ObjectSummary>();
    for (;;) {
      const beyond = this.#held.findIndex(({ key }) => compareKeys(this.#nameOf(key), last) > 0);
      const taken = this.#held.splice(0, beyond < 0 ? this.#held.length : beyond);
      for (const object of taken) found.set(this.#fromPrefix + this.#nameOf(object.key), object);
      if (this.#held.length > 0 || this.#ended) return found;
      const next = await this.#pages.next();
      if (next.done === true) this.#ended = true;
      else this.#held = [...next.value];
    }
  }

  #nameOf(key: string): string {
    return key.slice(this.#toPrefix.length);
  }
}

/** Put before that moment. LastModified has whole seconds, and is of the beginning of an upload in parts, whose ETag tells of them. */
const isOlder = ({ etag, lastModifiedMs }: ObjectSummary, atMs: number): boolean =>
  !etag.includes('-') && lastModifiedMs < Math.floor(atMs / 1000) * 1000;

const isSame = (a: Version, b: Version): boolean => a.etag === b.etag && a.size === b.size;
type Version = Pick<ObjectSummary, 'etag' | 'size'>;

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
