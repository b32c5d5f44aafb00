/** Copying, comparing and deleting every key below a prefix: what the rename of a directory is made of. */
import pLimit from 'p-limit';
import type { ObjectSummary, VersionToDelete, WriteCondition } from '../store/object-store.js';
import type { CopiedKeys } from './copied-keys.js';
import { notOurs } from './lost-condition.js';
import { compareKeys } from './names.js';
import { isAsGoodAs } from './same-object.js';
import { LIST_KEYS_MAX } from './store-answers.js';
import { isReplaced } from './store-errors.js';
import type { Volume } from './volume.js';

/** Copies under way at a time during the rename of a directory. */
const COPIES_MAX = 16;
/** A rename of a directory says how far it is every so many keys. */
const PROGRESS_EVERY_KEYS = 1000;

/** A directory's keys, and where they go. */
export interface TreeMove {
  readonly fromPrefix: string;
  readonly toPrefix: string;
}

/**
 * Copies every key below a prefix to another, and notes what was copied. With `again` a crash interrupted it before: copies that are there already
 * are left alone. Fails with the first failure, once no copy is under way any more.
 */
export async function copyTree(
  volume: Volume,
  { fromPrefix, toPrefix }: TreeMove,
  copied: CopiedKeys,
  again?: 'again',
): Promise<void> {
  const limit = pLimit(COPIES_MAX);
  const there = again && new KeysBeside(volume, fromPrefix, toPrefix);
  let count = 0;
  let failing = false;
  const copy = async (source: ObjectSummary, found: ObjectSummary | undefined): Promise<void> => {
    if (failing) return;
    const name = source.key.slice(fromPrefix.length);
    // The marker at the target may be that of the empty directory that is replaced: with the same bytes and ETag, but another mode. So it is always copied.
    const isMarker = name === '';
    const made = copied.source(name);
    const known = made === undefined ? undefined : { source: made, copy: copied.copy(name) };
    const at: Found = there === undefined ? 'free' : { object: found, known };
    const etag = await makeCopy(volume, source, toPrefix + name, isMarker ? 'marker' : at).catch(
      (error: unknown) => {
        failing = true;
        throw error;
      },
    );
    if (etag === undefined) return;
    if (made !== source.etag || known?.copy !== etag) copied.note(name, source.etag, etag);
    count++;
    if (count % PROGRESS_EVERY_KEYS === 0)
      volume.log.info({ from: fromPrefix, to: toPrefix, copied: count }, 'renaming a directory');
  };
  for await (const page of pagesBelow(volume, fromPrefix)) {
    const found = await there?.of(page);
    const results = await Promise.allSettled(
      page.map((source) => limit(() => copy(source, found?.get(source.key)))),
    );
    const failed = results.find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

/**
 * How the target of a copy was found. Its name was free, or the empty directory's, when the rename began; or a LIST after a crash shows what is there,
 * and the journal the copy that was made.
 */
type Found =
  | 'free'
  | 'marker'
  | {
      readonly object: ObjectSummary | undefined;
      readonly known: { readonly source: string; readonly copy: string | undefined } | undefined;
    };

/**
 * The ETag of `target`, once it is a copy of that version. What is there is replaced only where it is known for a copy by its own ETag. One
 * whose answer was lost, or the journal hadn't heard of, is known by its bytes and headers. Undefined where it is another file; EIO where
 * somebody wrote that since the rename began.
 */
async function makeCopy(
  volume: Volume,
  source: ObjectSummary,
  target: string,
  found: Found,
): Promise<string | undefined> {
  const { key, etag, size } = source;
  const { store } = volume;
  if (found === 'marker') return (await store.copy(key, target, { sourceEtag: etag, size })).etag;
  const { object, known } = found === 'free' ? {} : found;
  // What somebody wrote over the copy is the file of the new name by now.
  if (object !== undefined && known?.source === etag) return known.copy;
  const isOurs = object !== undefined && known !== undefined && object.etag === known.copy;
  if (object !== undefined && !isOurs) return asGood(volume, source, target);
  const condition: WriteCondition = isOurs ? { ifMatch: object.etag } : { ifNoneMatch: '*' };
  try {
    return (await store.copy(key, target, { sourceEtag: etag, size, condition })).etag;
  } catch (error) {
    if (!isReplaced(error)) throw error;
    const there = await asGood(volume, source, target);
    if (there === undefined && found === 'free') {
      // It may be the source that was replaced.
      throw (await store.head(target)) === undefined ? error : notOurs(volume, target, error);
    }
    return there;
  }
}

/** The ETag of what is at the target, where it is as good as a copy of the source. */
async function asGood(
  volume: Volume,
  { key, etag }: ObjectSummary,
  target: string,
): Promise<string | undefined> {
  const [from, to] = await Promise.all([volume.store.head(key), volume.store.head(target)]);
  if (from?.etag !== etag || to === undefined) return undefined;
  return (await isAsGoodAs(volume, to, from)) ? to.etag : undefined;
}

/**
 * Copies all below a prefix, or nothing: on failure the copies are deleted again, but for the marker of an empty directory that was to be replaced.
 * `seal` journals that all is copied. Where it fails the journal may have it all the same, and the next start would delete the sources: so `unseal` takes
 * that back before the copies are deleted.
 */
export async function copyTreeOrUndo(
  volume: Volume,
  tree: TreeMove & { readonly isReplacing: boolean },
  copied: CopiedKeys,
  { seal, unseal }: { readonly seal: () => Promise<void>; readonly unseal: () => Promise<void> },
): Promise<void> {
  let isWhole = false;
  try {
    await copyTree(volume, tree, copied);
    isWhole = true;
    await seal();
  } catch (error) {
    try {
      if (isWhole) await unseal();
      await deleteCopies(volume, tree, copied);
    } catch (undoError) {
      const left = { err: undoError, prefix: tree.toPrefix };
      volume.log.error(left, 'copies of a failed directory rename are left behind');
    }
    throw error;
  }
}

/** Deletes the copies that are what they were made as: others may have written to the new name meanwhile. */
async function deleteCopies(
  volume: Volume,
  { toPrefix, isReplacing }: TreeMove & { readonly isReplacing: boolean },
  copied: CopiedKeys,
): Promise<void> {
  const copies: VersionToDelete[] = [];
  for (const name of copied.names()) {
    const ifMatch = copied.copy(name);
    if (ifMatch !== undefined && !(isReplacing && name === ''))
      copies.push({ key: toPrefix + name, ifMatch });
  }
  const left = await deleteVersions(volume, copies);
  if (left === 0) return;
  const what = 'what others wrote over the copies of a failed directory rename stays under the new name';
  volume.log.warn({ prefix: toPrefix, keys: left }, what);
}

/** Deletes what is still the version that was copied: copying takes minutes, and what somebody put there meanwhile has no copy. */
export async function deleteUnchanged(volume: Volume, fromPrefix: string, copied: CopiedKeys): Promise<void> {
  for await (const page of pagesBelow(volume, fromPrefix)) {
    const gone = page.filter(({ key, etag }) => copied.source(key.slice(fromPrefix.length)) === etag);
    await deleteSources(volume, fromPrefix, page, gone);
  }
}

async function deleteSources(
  volume: Volume,
  prefix: string,
  page: readonly ObjectSummary[],
  gone: readonly ObjectSummary[],
): Promise<void> {
  const versions = gone.map(({ key, etag }) => ({ key, ifMatch: etag }));
  const left = page.length - gone.length + (await deleteListed(volume, versions));
  if (left === 0) return;
  const what = 'what others wrote into a directory while it was renamed stays under the old name';
  volume.log.warn({ prefix, keys: left }, what);
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
 * Deletes what was copied before a crash: what is still the version that it was when the rename began (`begunMs`, by the store's clock), or that
 * the journal knows to have been copied, or that the new name has too. What somebody wrote under the old name since stays: where that was served
 * meanwhile (`wasServed`) the same bytes prove nothing.
 */
export async function deleteCopied(
  volume: Volume,
  { fromPrefix, toPrefix }: TreeMove,
  copied: CopiedKeys,
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
        if (copied.source(source.key.slice(fromPrefix.length)) === source.etag) return true;
        const target = found.get(source.key);
        if (target === undefined || target.size !== source.size) return false;
        return limit(async () => (await asGood(volume, source, target.key)) !== undefined);
      }),
    );
    await deleteSources(
      volume,
      fromPrefix,
      page,
      page.filter((_, at) => gone[at] === true),
    );
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

/** Deletes versions, and leaves other versions alone; how many are left. Fails with the first error. */
async function deleteVersions(volume: Volume, versions: readonly VersionToDelete[]): Promise<number> {
  const { store } = volume;
  if (store.capabilities.conditionalWrites) return deleteListed(volume, versions);
  // A store without conditions deletes whatever is there: it is asked right before.
  const limit = pLimit(COPIES_MAX);
  const same = await Promise.all(
    versions.map((each) => limit(async () => (await store.head(each.key))?.etag === each.ifMatch)),
  );
  const mine = versions.filter((_, at) => same[at] === true);
  return versions.length - mine.length + (await deleteListed(volume, mine));
}

/** The same for versions that a LIST right before has shown. */
async function deleteListed(volume: Volume, versions: readonly VersionToDelete[]): Promise<number> {
  if (versions.length === 0) return 0;
  let left = 0;
  for (const error of (await volume.store.deleteMany(versions)).values()) {
    if (!isReplaced(error)) throw error;
    left++;
  }
  return left;
}
