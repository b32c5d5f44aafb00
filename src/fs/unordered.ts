/**
 * Listings of stores without order (directory buckets), put in order: the first so many entries behind a place, in memory bounded by
 * their number, at the price of reading the whole directory. What the order of S3 makes cheap elsewhere is looked up here too: whether
 * a directory hides the file of its name.
 */
import type { ObjectStore } from '../store/object-store.js';
import { compareKeys } from './names.js';
import { sortKeyOf, type ListedEntry } from './node.js';
import { entriesOf, LIST_KEYS_MAX, SHADOWED, type HiddenKeys } from './store-answers.js';
import { rethrowAsFsError } from './store-errors.js';

export interface FirstEntries {
  /** In no particular order, none but the first ones. */
  readonly entries: readonly ListedEntry[];
  /** The sort key of the last of them, where more follow. */
  readonly last: string | undefined;
}

/** At most `max` entries of a directory whose sort keys come first behind `after`. Fails with FsError. */
export async function firstUnordered(
  store: ObjectStore,
  prefix: string,
  after: string,
  max: number,
  hidden: HiddenKeys,
): Promise<FirstEntries> {
  const found = new Map<string, ListedEntry>();
  let last: string | undefined;
  let continuationToken: string | undefined;
  do {
    const page = await store
      .list({
        prefix,
        delimiter: '/',
        maxKeys: LIST_KEYS_MAX,
        ...(continuationToken !== undefined && { continuationToken }),
      })
      .catch(rethrowAsFsError);
    for (const entry of entriesOf(page, prefix, hidden)) {
      const key = sortKeyOf(entry);
      if (compareKeys(key, after) <= 0 || (last !== undefined && compareKeys(key, last) > 0)) continue;
      found.set(key, entry);
    }
    // Twice as many are gathered before they are sorted: sorting at each page would take the square of the time.
    if (found.size > 2 * max) last = cut(found, max);
    continuationToken = page.continuationToken;
  } while (continuationToken !== undefined);
  if (found.size > max) last = cut(found, max);
  const visible = [...found.values()].filter(({ name, kind }) => {
    if (kind === 'directory' || !found.has(`${name}/`)) return true;
    hidden.note(prefix + name, SHADOWED);
    return false;
  });
  return { entries: await withoutShadowed(store, visible, prefix, last, hidden), last };
}

/** Keeps the first `max`; the sort key of the last of them. */
function cut(found: Map<string, ListedEntry>, max: number): string | undefined {
  const keys = [...found.keys()].sort(compareKeys);
  for (const key of keys.slice(max)) found.delete(key);
  return keys[max - 1];
}

/**
 * Whether a directory that hides the file may lie behind `last`, the end of what was read: `name/` sorts after `name` with only names
 * that begin with `name` between them.
 */
export const mayBeShadowed = ({ kind, name }: ListedEntry, last: string): boolean =>
  kind === 'file' && last.startsWith(name) && compareKeys(`${name}/`, last) > 0;

/** Leaves out files that a directory of the same name hides: of those that aren't decided one LIST each decides. Fails with FsError. */
export async function withoutShadowed(
  store: ObjectStore,
  entries: readonly ListedEntry[],
  prefix: string,
  last: string | undefined,
  hidden: HiddenKeys,
): Promise<readonly ListedEntry[]> {
  if (last === undefined) return entries;
  const undecided = entries.filter((entry) => mayBeShadowed(entry, last));
  const shadowed = await Promise.all(
    undecided.map(async ({ name }) => {
      const below = await store.list({ prefix: `${prefix}${name}/`, maxKeys: 1 }).catch(rethrowAsFsError);
      if (below.objects.length === 0) return undefined;
      hidden.note(prefix + name, SHADOWED);
      return name;
    }),
  );
  return entries.filter(({ kind, name }) => kind === 'directory' || !shadowed.includes(name));
}
