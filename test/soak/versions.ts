/**
 * What is known of each object's versions, and what a READ may therefore be answered with: none older than what any READ before it was, none
 * older than what has been in the store for the metadata's time to live, and none that nobody has begun to put there.
 */
import { sizeOf, type SoakObject } from './content.js';

/** The daemon's clock has whole milliseconds. */
const CLOCK_MS = 5;

interface State {
  begun: number;
  readonly done: { readonly version: number; readonly atMs: number }[];
  seen: number;
}

export class Versions {
  readonly #ttlMs: number;
  readonly #states = new Map<number, State>();

  constructor(ttlMs: number) {
    this.#ttlMs = ttlMs;
  }

  /** A PUT of the next version is about to be sent; which that is, from 1. */
  begin(object: SoakObject): number {
    return ++this.#of(object).begun;
  }

  /** The PUT was answered. */
  done(object: SoakObject, version: number): void {
    this.#of(object).done.push({ version, atMs: performance.now() });
  }

  newest(object: SoakObject): number {
    return this.#of(object).begun;
  }

  /** The oldest version that a READ sent now may be answered with. */
  floor(object: SoakObject): number {
    const { done, seen } = this.#of(object);
    const knownMs = performance.now() - this.#ttlMs - CLOCK_MS;
    while (done.length > 1 && (done[1]?.atMs ?? Infinity) <= knownMs) done.shift();
    const [oldest] = done;
    return Math.max(seen, oldest !== undefined && oldest.atMs <= knownMs ? oldest.version : 0);
  }

  saw(object: SoakObject, version: number): void {
    const state = this.#of(object);
    state.seen = Math.max(state.seen, version);
  }

  /** Versions from `floor` to the newest, that first. */
  *since(object: SoakObject, floor: number): Generator<number> {
    for (let version = this.newest(object); version >= Math.max(floor, 1); version--) yield version;
  }

  /** A version of this size, from `floor` on. */
  ofSize(object: SoakObject, floor: number, bytes: number): number | undefined {
    for (const version of this.since(object, floor)) if (sizeOf(object, version) === bytes) return version;
    return undefined;
  }

  #of({ id }: SoakObject): State {
    const found = this.#states.get(id);
    if (found !== undefined) return found;
    const made: State = { begun: 0, done: [], seen: 0 };
    this.#states.set(id, made);
    return made;
  }
}
