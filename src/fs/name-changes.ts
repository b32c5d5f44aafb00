/**
 * Changes of a directory's entries that are made here while a LIST or HEAD about it is under way. S3 answers as things were at some instant between
 * request and answer. Whether that was before or after a change isn't known, so the changes that ended in between are put over the answer
 * (docs/decisions/0013-names-in-bursts.md).
 *
 *   request             answer
 *      |--- made a ------|        a: as it was made here
 *      |--- gone b ------|        b: not there
 *      |-----------------|        everything else: as the answer says
 */
import { compareKeys } from './names.js';

/** `Entry`: what a listing has of a name. */
export class NameChanges<Entry> {
  readonly #changed = new Map<string, Entry | undefined>();
  #unknown = false;

  /** Something changed and it isn't known which names: the answer can't be used. */
  get isUnknown(): boolean {
    return this.#unknown;
  }

  /** Nothing changed. */
  get isEmpty(): boolean {
    return !this.#unknown && this.#changed.size === 0;
  }

  /** What the answer tells of this name may be outdated. */
  concerns(name: string): boolean {
    return this.#unknown || this.#changed.has(name);
  }

  /** Notes what a name is now; undefined: it is gone, or the store doesn't have its file yet. */
  changed(name: string, entry: Entry | undefined): void {
    this.#changed.set(name, entry);
  }

  /** Notes that something changed, where it isn't known which name or what it is now. */
  changedUnknown(): void {
    this.#unknown = true;
  }

  /** Applies the changes to an answer that covers names up to the sort key `until`; undefined: all names. */
  putOver(entries: Map<string, Entry>, until: string | undefined): void {
    for (const [name, entry] of this.#changed) {
      if (entry !== undefined && covers(until, name)) entries.set(name, entry);
      else entries.delete(name);
    }
  }
}

/** Whether a page up to the sort key `until` covers a name. It must reach `name/`: as a directory the name would stand there, behind longer names. */
export function covers(until: string | undefined, name: string): boolean {
  return until === undefined || compareKeys(`${name}/`, until) <= 0;
}
