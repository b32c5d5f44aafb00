/**
 * Listings that go on page by page while entries come and go. What is there from the first page to the last is told once; what was never
 * there isn't told; nothing is told twice.
 */
import assert from 'node:assert/strict';
import type { Entry } from './answer.js';

interface Scan {
  cookie: bigint;
  /** There since the first page. */
  lasting: Set<string>;
  /** There at some time since. */
  readonly ever: Set<string>;
  readonly told: Set<string>;
}

/** A name is another entry when another file has it. */
const keyOf = (name: string, fileid: bigint): string => `${fileid} ${name}`;
const keysOf = (entries: readonly Entry[]): string[] =>
  entries.map(({ name, fileid }) => keyOf(name, fileid));

export class Scans {
  /** By the directory's id in the reference. */
  readonly #open = new Map<bigint, Scan>();

  get directories(): readonly bigint[] {
    return [...this.#open.keys()];
  }

  /** Where the directory's listing goes on; 0 where it begins. */
  cookie(directory: bigint, entries: readonly Entry[]): bigint {
    const open = this.#open.get(directory);
    if (open !== undefined) return open.cookie;
    const keys = keysOf(entries);
    this.#open.set(directory, { cookie: 0n, lasting: new Set(keys), ever: new Set(keys), told: new Set() });
    return 0n;
  }

  /** The directory's entries now; undefined when it is gone. */
  seen(directory: bigint, entries: readonly Entry[] | undefined): void {
    const scan = this.#open.get(directory);
    if (scan === undefined) return;
    if (entries === undefined) {
      this.#open.delete(directory);
      return;
    }
    const keys = new Set(keysOf(entries));
    scan.lasting = new Set([...scan.lasting].filter((key) => keys.has(key)));
    for (const key of keys) scan.ever.add(key);
  }

  drop(directory: bigint): void {
    this.#open.delete(directory);
  }

  /** A page; `entries` with the reference's ids, without `.` and `..`. */
  page(
    directory: bigint,
    entries: readonly Entry[],
    page: { readonly cookie: bigint; readonly end: boolean },
  ): void {
    const scan = this.#open.get(directory);
    assert.ok(scan);
    for (const key of keysOf(entries)) {
      assert.ok(scan.ever.has(key), `a listing told of ${key}, which was never there`);
      assert.ok(!scan.told.has(key), `a listing told of ${key} twice`);
      scan.told.add(key);
    }
    assert.ok(page.end || page.cookie !== scan.cookie, 'a page without entries is not the end');
    scan.cookie = page.cookie;
    if (!page.end) return;
    for (const key of scan.lasting)
      assert.ok(scan.told.has(key), `a listing left out ${key}, which was there all the time`);
    this.#open.delete(directory);
  }
}
