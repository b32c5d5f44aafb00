/** A directory's pages as LIST tells them, in order and with what the store doesn't have yet: what a walk (listing-walk.ts) is made of. */
import type { ListPage } from '../store/object-store.js';
import type { Continuation } from './listed-page.js';
import { firstAfter } from './listed-page.js';
import type { FetchedPage, PageSource } from './listing-walk.js';
import { compareKeys } from './names.js';
import { sortKeyOf, type DirectoryNode, type ListedEntry } from './node.js';
import { entriesOf, inOrder, lastSortKeyOf, LIST_KEYS_MAX, SHADOWED } from './store-answers.js';
import { rethrowAsFsError } from './store-errors.js';
import { firstUnordered, mayBeShadowed, withoutShadowed } from './unordered.js';
import type { Volume } from './volume.js';

/**
 * Entries of a store without order that are sorted and held at a time, some 4 MB of them: a directory of more is listed whole once for
 * each so many.
 */
const UNORDERED_MAX = 20_000;
/** Entries that are left for the next page to decide: more are looked up. */
const UNDECIDED_MAX = 64;
/** Sorts after every key that continues a prefix. */
const AFTER_ALL = '\u{10FFFF}';

export class DirectoryPages implements PageSource {
  readonly #volume: Volume;
  readonly #directory: DirectoryNode;
  /** When the call began that asks for the first page. */
  #sinceMs: number;

  /** A first page that the directory was looked at by at `sinceMs` or later, or within the time to live, isn't asked for again. */
  constructor(volume: Volume, directory: DirectoryNode, sinceMs = Infinity) {
    this.#volume = volume;
    this.#directory = directory;
    this.#sinceMs = sinceMs;
  }

  async fetch(from: Continuation): Promise<FetchedPage> {
    const volume = this.#volume;
    const prefix = volume.prefixOf(this.#directory);
    const looked = from.after === '' && from.read === undefined ? this.#looked(prefix) : undefined;
    if (looked !== undefined) return looked;
    const takenMs = volume.clock.nowMs();
    // One that is published meanwhile may be in neither.
    const unpublished = [...this.#directory.unpublishedFiles.keys()];
    const page = volume.store.capabilities.orderedListing
      ? await this.#inOrder(prefix, from)
      : await this.#sorted(prefix, from.after);
    // The directory was given another name meanwhile: its keys may have gone from the old one.
    if (volume.prefixOf(this.#directory) !== prefix) return this.fetch({ after: from.after });
    return { ...page, takenMs, unpublished };
  }

  /** The page by which the directory was looked at, while that is what the store would tell, and nothing changed here since. */
  #looked(prefix: string): FetchedPage | undefined {
    const { beginning, entryChanges } = this.#directory;
    const { clock, metadataTtlMs } = this.#volume;
    const sinceMs = this.#sinceMs;
    this.#sinceMs = Infinity;
    if (beginning?.goesOn === undefined || beginning.until === undefined) return undefined;
    const { takenMs, entries, until, goesOn } = beginning;
    if (takenMs < sinceMs && clock.nowMs() - takenMs >= metadataTtlMs) return undefined;
    if (goesOn.entryChanges !== entryChanges || goesOn.prefix !== prefix) return undefined;
    const page = undecidedCut([...entries.values()], { prefix, last: until, token: goesOn.token });
    if (page === undefined) return undefined;
    return { ...page, takenMs, unpublished: [...this.#directory.unpublishedFiles.keys()] };
  }

  async #sorted(prefix: string, after: string): Promise<Pick<FetchedPage, 'entries' | 'more'>> {
    const { store, hidden } = this.#volume;
    const { entries, last } = await firstUnordered(store, prefix, after, UNORDERED_MAX, hidden);
    return { entries: inOrder(entries), ...(last !== undefined && { more: { after: last } }) };
  }

  async #inOrder(
    prefix: string,
    { after, read: wasRead }: Continuation,
  ): Promise<Pick<FetchedPage, 'entries' | 'more'>> {
    const { store, hidden } = this.#volume;
    // A continuation token belongs to the prefix that it was made for, and the directory may have been renamed since.
    const read = wasRead?.prefix === prefix ? wasRead : undefined;
    const start = after === '' ? {} : { startAfter: prefix + after + (after.endsWith('/') ? AFTER_ALL : '') };
    const page = await store
      .list({
        prefix,
        delimiter: '/',
        maxKeys: LIST_KEYS_MAX,
        ...(read === undefined ? start : { continuationToken: read.token }),
      })
      .catch(rethrowAsFsError);
    const listed = entriesOf(page, prefix, hidden);
    // A server may begin inside a directory that the scan has passed.
    const behind = read === undefined ? firstAfter(listed, after) : 0;
    const entries = [...this.#decided(prefix, read?.undecided ?? [], page), ...listed.slice(behind)];
    const { continuationToken: token } = page;
    if (token === undefined) return { entries };
    const last = lastSortKeyOf(page, prefix) ?? read?.last ?? after;
    const cut = undecidedCut(entries, { prefix, last, token }, after);
    if (cut !== undefined) return cut;
    const visible = await this.decide(entries, last);
    return { entries: visible, more: { after: last, read: { prefix, last, token, undecided: [] } } };
  }

  decide(entries: readonly ListedEntry[], last: string): Promise<readonly ListedEntry[]> {
    const volume = this.#volume;
    return withoutShadowed(volume.store, entries, volume.prefixOf(this.#directory), last, volume.hidden);
  }

  complete(
    entries: readonly ListedEntry[],
    unpublished: readonly string[],
    after: string,
    last: string | undefined,
  ): readonly ListedEntry[] {
    const { unpublishedFiles } = this.#directory;
    const directories = this.#volume.kept.namesIn(this.#directory);
    if (unpublished.length + unpublishedFiles.size + directories.size === 0) return entries;
    const isWithin = (name: string): boolean =>
      compareKeys(name, after) > 0 && (last === undefined || compareKeys(name, last) <= 0);
    const byName = new Map(entries.map((entry) => [entry.name, entry]));
    const add = (name: string): unknown => byName.set(name, { name, kind: 'file' });
    for (const name of unpublished) if (!byName.has(name) && isWithin(name)) add(name);
    for (const name of unpublishedFiles.keys()) if (isWithin(name)) add(name);
    for (const name of directories) if (isWithin(`${name}/`)) byName.set(name, { name, kind: 'directory' });
    return inOrder([...byName.values()]);
  }

  /** Those that the next page shows to be no directories. */
  #decided(prefix: string, undecided: readonly ListedEntry[], page: ListPage): readonly ListedEntry[] {
    if (undecided.length === 0 || page.prefixes.length === 0) return undecided;
    const { hidden } = this.#volume;
    const directories = new Set(page.prefixes);
    return undecided.filter(({ name, kind }) => {
      if (kind === 'directory' || !directories.has(`${prefix}${name}/`)) return true;
      hidden.note(prefix + name, SHADOWED);
      return false;
    });
  }
}

/** A page without the entries that the next one may show to be hidden; undefined where those are too many to be left to it. */
function undecidedCut(
  entries: readonly ListedEntry[],
  { prefix, last, token }: { readonly prefix: string; readonly last: string; readonly token: string },
  after = '',
): Pick<FetchedPage, 'entries' | 'more'> | undefined {
  const cut = entries.findIndex((entry) => mayBeShadowed(entry, last));
  const undecided = cut === -1 ? [] : entries.slice(cut);
  if (undecided.length > UNDECIDED_MAX) return undefined;
  const decided = cut === -1 ? entries : entries.slice(0, cut);
  const lastDecided = decided.at(-1);
  const end = cut === -1 ? last : lastDecided === undefined ? after : sortKeyOf(lastDecided);
  return { entries: decided, more: { after: end, read: { prefix, last, token, undecided } } };
}
