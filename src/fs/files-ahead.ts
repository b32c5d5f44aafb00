/**
 * Fetches the next files of clients that read a directory file after file, in the order of its listing: small ones, and of larger ones the first
 * MiBs. What is opened goes to the
 * walk policy (src/read/walk.ts) by its number on a route, a stretch of the listing; the policy says which files to have ahead, and each
 * is one GET, or a few (whole-gets.ts), that brings attributes and bytes.
 *
 * A route is made when a few files of a directory were opened, from listings that are held. Where none reaches there, LIST is asked,
 * but only of directories that a client has listed, for names that were opened in order, and less and less often while that leads nowhere.
 * Nothing here makes a client wait, or is heard of by it.
 */
import { setImmediate } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import type { ObjectVersion } from '../memory/byte-slices.js';
import { Walks, type Walk } from '../read/walk.js';
import type { Freshness } from './freshness.js';
import { compareKeys } from './names.js';
import { NEVER_MS, type DirectoryNode, type FileNode } from './node.js';
import { Route, type RouteFile } from './route.js';
import type { Scans } from './scan.js';
import type { Volume } from './volume.js';
import type { ToldHead, WholeGets } from './whole-gets.js';

const DIRECTORIES_MAX = 64;
/** Places of one large directory that are walked at a time. */
const STRETCHES_MAX = 4;
/** A stretch that nobody walks is forgotten after this; one that lacks a file that is read, if it is older than that. */
const IDLE_MS_MAX = 60_000;
const OUTDATED_MS = 10_000;
/** Names opened last, among which the beginning of a walk is looked for. */
const RECENT_MAX = 16;
const EVIDENCE_FILES = 3;
/** Files opened before the first LIST that no client asked for, and four times as many before each one after one in vain. */
const OPENED_PER_LIST = 4;
/** Files left of a route when its next page is asked for: twice as many as a walk has ahead. */
const LEFT_FILES = 128;
/** With a time to live of 0 attributes fetched ahead are of no use, and bytes are all the same; without end there is one, too. */
const HORIZON_MS_MAX = 1000;

/** A stretch of a directory that is walked. */
interface Stretch {
  readonly route: Route;
  readonly walks: Walks;
  readonly madeMs: number;
  usedMs: number;
  /** What was fetched, by number. */
  readonly fetched: Map<number, ObjectVersion>;
  listing: boolean;
}

/** What was opened in a directory. */
interface Trail {
  readonly recent: string[];
  stretches: Stretch[];
  /** Files opened since the last LIST for a route, and how often that led nowhere. */
  opened: number;
  listedInVain: number;
  listing: boolean;
}

export class FilesAhead {
  readonly #volume: Volume;
  readonly #freshness: Freshness;
  readonly #scans: Scans;
  readonly #gets: WholeGets;
  readonly #trails = new LRUCache<bigint, Trail>({
    max: DIRECTORIES_MAX,
    dispose: (trail) => trail.stretches.forEach((stretch) => this.#leave(stretch)),
  });

  constructor(volume: Volume, freshness: Freshness, scans: Scans, gets: WholeGets) {
    this.#volume = volume;
    this.#freshness = freshness;
    this.#scans = scans;
    this.#gets = gets;
  }

  /** A client begins to read a file, whose own GETs have begun. */
  opened(node: FileNode): void {
    this.#follow(node).catch((error: unknown) =>
      this.#volume.log.debug({ err: error }, 'nothing was fetched ahead'),
    );
  }

  async #follow(node: FileNode): Promise<void> {
    const volume = this.#volume;
    // The READ comes first, and so do others that have arrived with it.
    await setImmediate();
    if (node.gone) return;
    const directory = volume.parentOf(node);
    const name = volume.nameOf(node);
    this.#gets.opened(directory, node);
    const trail = this.#trailOf(directory);
    const { recent } = trail;
    trail.opened += 1;
    if (recent.at(-1) === name) return;
    recent.push(name);
    if (recent.length > RECENT_MAX) recent.shift();
    const stretch = this.#stretchAt(trail, name);
    if (stretch !== undefined) this.#walk(directory, stretch, name);
    else if (recent.length >= EVIDENCE_FILES) await this.#begin(directory, trail, name);
  }

  /** A stretch around a name, from a listing that is held or, where the names opened last are in order, from a LIST. */
  async #begin(directory: DirectoryNode, trail: Trail, name: string): Promise<void> {
    const held = this.#scans.held(directory, name);
    if (held !== undefined) {
      this.#enter(directory, trail, new Route(held));
      return;
    }
    const first = beginningOf(trail.recent);
    const due = trail.opened >= OPENED_PER_LIST * 4 ** trail.listedInVain;
    if (first === undefined || !due || trail.listing || !this.#scans.isListed(directory)) return;
    trail.opened = 0;
    trail.listing = true;
    // Until a walk has come of it.
    trail.listedInVain += 1;
    try {
      this.#enter(directory, trail, new Route(await this.#scans.pageAfter(directory, { after: first })));
    } finally {
      trail.listing = false;
    }
  }

  /** Begins a stretch with the files opened last. */
  #enter(directory: DirectoryNode, trail: Trail, route: Route): void {
    const nowMs = this.#volume.clock.nowMs();
    const made = { madeMs: nowMs, usedMs: nowMs };
    const stretch: Stretch = { route, walks: new Walks(), ...made, fetched: new Map(), listing: false };
    trail.stretches.push(stretch);
    if (trail.stretches.length > STRETCHES_MAX) {
      const oldest = trail.stretches.shift();
      if (oldest !== undefined) this.#leave(oldest);
    }
    for (const name of trail.recent) if (route.covers(name)) this.#walk(directory, stretch, name);
  }

  #stretchAt(trail: Trail, name: string): Stretch | undefined {
    const nowMs = this.#volume.clock.nowMs();
    trail.stretches = trail.stretches.filter((stretch) => {
      const { route, madeMs, usedMs } = stretch;
      const outdated =
        nowMs - madeMs > OUTDATED_MS && route.covers(name) && route.position(name) === undefined;
      const left = outdated || nowMs - usedMs > IDLE_MS_MAX;
      if (left) this.#leave(stretch);
      return !left;
    });
    return trail.stretches.find(({ route }) => route.covers(name));
  }

  #walk(directory: DirectoryNode, stretch: Stretch, name: string): void {
    const { route, walks } = stretch;
    const position = route.position(name);
    // Made since the listing.
    if (position === undefined) return;
    stretch.fetched.delete(position);
    stretch.usedMs = this.#volume.clock.nowMs();
    const { walk, missed } = walks.open(position, stretch.usedMs);
    for (const each of missed) this.#giveUp(stretch, each);
    route.letGoBefore(walks.lowest);
    this.#goOn(directory, stretch, walk);
  }

  /** Fetches what the walk wants, as far as there is room. */
  #goOn(directory: DirectoryNode, stretch: Stretch, walk: Walk): void {
    if (walk.dropped || directory.gone) return;
    for (const position of walk.wanted(this.#horizonMs)) {
      const file = stretch.route.at(position);
      if (file === undefined) break;
      const outcome = this.#fetch(directory, stretch, walk, position, file);
      if (outcome === 'later') break;
      walk.took(position, outcome === 'begun');
    }
    if (!walk.inOrder) return;
    const trail = this.#trails.peek(directory.id);
    if (trail !== undefined) trail.listedInVain = 0;
    this.#extend(directory, stretch, walk).catch((error: unknown) =>
      // The walk comes to its end here; what follows begins another.
      this.#volume.log.debug({ err: error }, 'no listing to go on with'),
    );
  }

  #fetch(
    directory: DirectoryNode,
    stretch: Stretch,
    walk: Walk,
    position: number,
    file: RouteFile,
  ): 'begun' | 'nothing' | 'later' {
    const volume = this.#volume;
    const { name } = file;
    // Removed here since.
    if ((directory.negatives.get(name) ?? NEVER_MS) >= file.takenMs) return 'nothing';
    const record = volume.table.child(directory.id, name);
    const node = record === undefined ? undefined : volume.nodes.get(record.id);
    if (node !== undefined && (node.kind !== 'file' || node.unpublished || node.relocating)) return 'nothing';
    const version = this.#gets.versionOf(directory, name, node, file);
    if (version === undefined) return 'nothing';
    const object = { key: volume.prefixOf(directory) + name, etag: version.etag, size: version.size };
    if (!this.#gets.mayFetch(object)) return 'nothing';
    const answer = this.#gets.ahead(object, directory, node);
    if (answer === undefined) return 'later';
    stretch.fetched.set(position, object);
    answer
      .then((told) => {
        if (told === undefined) {
          walk.missed(position);
          stretch.fetched.delete(position);
        } else this.#apply(directory, name, node, told);
        this.#goOn(directory, stretch, walk);
      })
      .catch((error: unknown) => volume.log.debug({ err: error, key: object.key }, 'fetched ahead in vain'));
    return 'begun';
  }

  /** The attributes that came with a file: as a HEAD of that time would have told them. */
  #apply(directory: DirectoryNode, name: string, asked: FileNode | undefined, told: ToldHead): void {
    const volume = this.#volume;
    if (directory.gone || volume.prefixOf(directory) + name !== told.head.key) return;
    const record = volume.table.child(directory.id, name);
    if (record === undefined && asked !== undefined) return;
    const node =
      record === undefined ? volume.nodes.entry(directory, name, 'file') : volume.nodes.get(record.id);
    if (node?.kind !== 'file' || node.unpublished || node.relocating) return;
    if (asked === undefined ? node.epoch !== 0 : node !== asked) return;
    if (node.validatedMs <= told.askedMs) this.#freshness.applyHead(node, told.head, told.askedMs);
  }

  /** The next page, before the walk reaches the end of this one. */
  async #extend(directory: DirectoryNode, stretch: Stretch, walk: Walk): Promise<void> {
    const { route } = stretch;
    const { next } = route;
    if (next === undefined || stretch.listing || walk.next + LEFT_FILES < route.end) return;
    if (!this.#scans.isListed(directory)) return;
    stretch.listing = true;
    try {
      route.append(await this.#scans.pageAfter(directory, next));
    } finally {
      stretch.listing = false;
    }
    this.#goOn(directory, stretch, walk);
  }

  #giveUp(stretch: Stretch, position: number): void {
    const version = stretch.fetched.get(position);
    if (version === undefined) return;
    stretch.fetched.delete(position);
    this.#gets.giveUp(version);
  }

  #leave(stretch: Stretch): void {
    for (const position of stretch.walks.end()) this.#giveUp(stretch, position);
  }

  #trailOf(directory: DirectoryNode): Trail {
    const known = this.#trails.get(directory.id);
    if (known !== undefined) return known;
    const trail: Trail = { recent: [], stretches: [], opened: 0, listedInVain: 0, listing: false };
    this.#trails.set(directory.id, trail);
    return trail;
  }

  get #horizonMs(): number {
    const { metadataTtlMs } = this.#volume;
    return metadataTtlMs === 0 ? HORIZON_MS_MAX : Math.min(metadataTtlMs / 2, HORIZON_MS_MAX);
  }
}

/** The first of three names or more that were opened in order, up to the last one. */
function beginningOf(recent: readonly string[]): string | undefined {
  let next = recent.at(-1);
  let count = 0;
  for (const name of [...recent].reverse()) {
    if (next !== undefined && count > 0 && compareKeys(name, next) >= 0) continue;
    next = name;
    count += 1;
  }
  return count >= EVIDENCE_FILES ? next : undefined;
}
