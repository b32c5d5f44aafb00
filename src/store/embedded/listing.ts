/** One page of a listing over keys in order: prefix, delimiter, common prefixes, where to go on. Pure. */
import type { KeyOrder } from './hashed-order.js';
import type { SortedKeys } from './sorted-keys.js';
import { compareUtf8 } from './utf8-order.js';

export interface ListingQuery {
  readonly prefix: string;
  /** '' for none. */
  readonly delimiter: string;
  /** Keys after this one; '' for all. A common prefix given here is over with all that lies under it. */
  readonly after: string;
  /** Keys and common prefixes together. */
  readonly maxKeys: number;
}

/** Keys and common prefixes in one order. `last` is what to go on after, when `truncated`. */
export interface Listing {
  readonly keys: readonly string[];
  readonly commonPrefixes: readonly string[];
  readonly truncated: boolean;
  readonly last: string;
}

/** The common prefix `key` rolls up into, or undefined. */
export function commonPrefixOf(key: string, prefix: string, delimiter: string): string | undefined {
  if (delimiter === '') return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

/** True for keys after everything that starts with `prefix`. */
export function isPast(key: string, prefix: string, order: KeyOrder = compareUtf8): boolean {
  return order(key, prefix) > 0 && !key.startsWith(prefix);
}

/**
 * Lists as ListObjectsV2 does: keys after `after`, rolled up at the first delimiter past the prefix. A start inside a common prefix
 * still gives that prefix when keys under it follow; a start that *is* a common prefix gives what comes after it.
 * The keys that share a prefix must be one stretch of `order`.
 */
export function listPage(index: SortedKeys, query: ListingQuery, order: KeyOrder = compareUtf8): Listing {
  const { prefix, delimiter, after, maxKeys } = query;
  const keys: string[] = [];
  const commonPrefixes: string[] = [];
  if (maxKeys === 0) return { keys, commonPrefixes, truncated: false, last: '' };
  const overPrefix = after.startsWith(prefix) && commonPrefixOf(after, prefix, delimiter) === after;
  const notYet = (key: string): boolean =>
    order(key, prefix) >= 0 && (overPrefix ? isPast(key, after, order) : order(key, after) > 0);
  let at = index.seek(after === '' ? (key) => order(key, prefix) >= 0 : notYet);
  let last = '';
  for (;;) {
    const key = index.at(at);
    if (key?.startsWith(prefix) !== true) return { keys, commonPrefixes, truncated: false, last };
    if (keys.length + commonPrefixes.length === maxKeys)
      return { keys, commonPrefixes, truncated: true, last };
    const common = commonPrefixOf(key, prefix, delimiter);
    if (common === undefined) {
      keys.push(key);
      last = key;
      at = index.next(at);
    } else {
      commonPrefixes.push(common);
      last = common;
      at = index.seek((other) => isPast(other, common, order));
    }
  }
}
