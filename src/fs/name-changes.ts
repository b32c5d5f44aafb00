/**
 * Changes of a directory's entries that are made here while the store is asked about it. S3 answers LIST and HEAD as things were at some instant
 * between question and answer: whether that was before or after a change is not told, so the changes that ended in between are put over the answer
 * (docs/decisions/0013-names-in-bursts.md).
 *
 *   question            answer
 *      |--- made a ------|        a: as it was made here
 *      |--- gone b ------|        b: not there
 *      |-----------------|        everything else: as the answer says
 */
import { compareKeys } from './names.js';

/** `Entry`: what a listing has of a name. */
export class NameChanges<Entry> {
  readonly #changed = new Map<string, Entry | undefined>();
  #unknown = false;

  /** Something changed, and not this is known of it: the answer is to be dropped. */
  get isUnknown(): boolean {
    return this.#unknown;
  }

  /** Nothing changed. */
  get isEmpty(): boolean {
    return !this.#unknown && this.#changed.size === 0;
  }

  /** The answer may tell of the name what isn't so any more. */
  concerns(name: string): boolean {
    return this.#unknown || this.#changed.has(name);
  }

  /** The name is this by now; undefined: it is gone, or what it is isn't in the store yet. */
  changed(name: string, entry: Entry | undefined): void {
    this.#changed.set(name, entry);
  }

  /** What changed isn't known by name, or not what it is now. */
  changedUnknown(): void {
    this.#unknown = true;
  }

  /** Puts the changes over the answer, as far as that goes: the last sort key of it, undefined where it tells of all names. */
  putOver(entries: Map<string, Entry>, until: string | undefined): void {
    for (const [name, entry] of this.#changed) {
      if (entry !== undefined && tells(until, name)) entries.set(name, entry);
      else entries.delete(name);
    }
  }
}

/** Whether entries up to a sort key, all where it is undefined, tell what has the name: as a directory it stands behind others that begin with it. */
export function tells(until: string | undefined, name: string): boolean {
  return until === undefined || compareKeys(`${name}/`, until) <= 0;
}
