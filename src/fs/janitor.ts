/**
 * What is left in a bucket and belongs to nobody's file: unfinished uploads of this daemon, and what conflicts left that has become old. At the
 * start, when files are recovered, and on an interval; not for buckets that are exported read-only alone.
 *
 *   upload in the journal, nobody works with it, no COMMIT rests on it -> aborted
 *   upload not in the journal, initiated by the principal that is said to be this daemon's alone, old -> aborted
 *   removed file that a client had open and hasn't used for long -> let go
 *   loser of a conflict that was journaled with a time, old -> removed, as long as it is what was left
 *
 * S3 tells key, id, initiator and time of an upload and nothing else that an owner could mark. So an upload that the journal doesn't know is
 * another writer's, unless its initiator is one that nobody else has.
 */
import { StoreError } from '../store/errors.js';
import type { Intent } from './intent-log.js';
import { uploadRef } from './journaling.js';
import type { Namespace } from './namespace.js';
import type { Volume } from './volume.js';
import type { VolumeOperations } from './volume-operations.js';

export interface JanitorRules {
  /** Between two rounds, in milliseconds; 0: the start's alone. */
  readonly intervalMs: number;
  /** As ListMultipartUploads tells it: a user's or a role session's ARN, or an account's canonical id. Undefined: nobody's. */
  readonly initiator: string | undefined;
  /** Least age of an upload of that initiator, in milliseconds. */
  readonly uploadAgeMs: number;
  /** Age at which losers of conflicts are removed, in milliseconds. Undefined: never. */
  readonly conflictAgeMs: number | undefined;
  /** Removed files that no client has used for so long, in milliseconds, are let go. Infinity: never. */
  readonly sillyAgeMs: number;
}

export const JANITOR_RULES_DEFAULT: JanitorRules = {
  intervalMs: 3_600_000,
  initiator: undefined,
  uploadAgeMs: 7 * 24 * 3_600_000,
  conflictAgeMs: undefined,
  sillyAgeMs: 7 * 24 * 3_600_000,
};

type IntentOf<K extends Intent['kind']> = Extract<Intent, { kind: K }>;

export class Janitor {
  readonly #volume: Volume;
  readonly #namespace: Namespace;
  readonly #rules: JanitorRules;
  /** Key prefixes of the exports that may be written to. */
  readonly #prefixes: readonly string[];
  #cancel: (() => void) | undefined;
  #running: Promise<void> = Promise.resolve();
  #ended = false;

  /** `prefixes`: of the exports that may be written to. */
  constructor({ volume, namespace }: VolumeOperations, rules: JanitorRules, prefixes: readonly string[]) {
    this.#volume = volume;
    this.#namespace = namespace;
    this.#rules = rules;
    this.#prefixes = prefixes.filter(
      (prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)),
    );
  }

  /** Makes a round, now and after each interval. */
  begin(): void {
    if (this.#ended || this.#prefixes.length === 0) return;
    this.#running = this.#round().finally(() => {
      const { intervalMs } = this.#rules;
      if (this.#ended || intervalMs === 0) return;
      this.#cancel = this.#volume.clock.after(intervalMs, () => this.begin());
    });
  }

  /** Resolves when the round under way has ended. */
  async end(): Promise<void> {
    this.#ended = true;
    this.#cancel?.();
    await this.#running;
  }

  /** Never rejects: what fails is the next round's. */
  async #round(): Promise<void> {
    const { log, name } = this.#volume;
    this.#volume.conflicts.collect();
    for (const task of [this.#removeOldLosers, this.#removeUnused, abortOrphans, this.#abortStrays]) {
      if (this.#ended) return;
      try {
        await task.call(this, this.#volume);
      } catch (error) {
        log.warn({ err: error, volume: name }, 'the janitor goes on with the next round');
      }
    }
  }

  /** Uploads that no journal knows: of a lost state directory, or whose id never arrived. */
  async #abortStrays({ store, intents, log, uploadsInUse, clock }: Volume): Promise<void> {
    const { initiator, uploadAgeMs } = this.#rules;
    if (initiator === undefined) return;
    for (const prefix of new Set(this.#prefixes)) {
      for (const upload of await store.listUploads(prefix)) {
        const { key, uploadId, initiatedMs } = upload;
        if (upload.initiator !== initiator || clock.nowMs() - initiatedMs < uploadAgeMs) continue;
        if (uploadsInUse.has(uploadId) || intents.live().has(uploadRef(uploadId))) continue;
        if (restedOn(intents.live()).has(uploadId)) continue;
        if (this.#ended) return;
        await store.abortUpload(key, uploadId);
        log.warn(
          { key, uploadId, initiator, initiated: new Date(initiatedMs).toISOString() },
          'an unfinished upload of this daemon, which its journal does not know, was aborted',
        );
      }
    }
  }

  async #removeOldLosers({ name, intents, clock }: Volume): Promise<void> {
    const { conflictAgeMs } = this.#rules;
    if (conflictAgeMs === undefined) return;
    const isOld = ({ keptMs }: { readonly keptMs?: number }): boolean =>
      keptMs !== undefined && clock.nowMs() - keptMs >= conflictAgeMs;
    for (const [ref, intent] of [...intents.live()]) {
      if (intent.volume !== name || this.#ended) continue;
      if (intent.kind === 'sibling' && isOld(intent)) await this.#removeSibling(ref, intent);
      if (intent.kind === 'written' && intent.isLoser === true && isOld(intent))
        await this.#removeLoser(ref, intent);
    }
  }

  /** Their clients were restarted or are gone, or have them open and don't read them: an age tells which. */
  async #removeUnused(volume: Volume): Promise<void> {
    const { sillyAgeMs } = this.#rules;
    for (const node of volume.silly.files()) {
      if (this.#ended || node.silly === undefined) continue;
      // Its path is gone where somebody else removed the whole directory.
      if (node.gone || volume.table.path(node.id) === undefined) {
        volume.silly.end(node);
        continue;
      }
      if (volume.clock.nowMs() - node.silly.usedMs < sillyAgeMs) continue;
      const name = volume.nameOf(node);
      const key = volume.keyOf(node);
      await this.#namespace.remove(volume.parentOf(node), name, () => undefined);
      volume.log.warn({ key, name }, 'a removed file that nobody used for long was let go');
    }
  }

  async #removeSibling(ref: string, { key, etag }: IntentOf<'sibling'>): Promise<void> {
    const { store, intents, log, readers } = this.#volume;
    // Whoever changed it meanwhile made it theirs. Asked first, for stores that delete without a condition.
    const head = await store.head(key);
    if (head?.etag === etag) {
      try {
        await store.delete(key, { ifMatch: etag });
        readers.forget(key);
        log.warn({ key }, 'the loser of a conflict, kept as an object, was removed: it is old');
      } catch (error) {
        if (!(error instanceof StoreError) || error.kind !== 'precondition-failed') throw error;
      }
    }
    await intents.drop(ref);
  }

  /** Its upload then rests on nothing. */
  async #removeLoser(ref: string, { path, record }: IntentOf<'written'>): Promise<void> {
    const { intents, segments, log } = this.#volume;
    await intents.drop(ref);
    segments.free(record.extents.map(({ piece }) => piece));
    log.warn(
      { key: path.join('/'), upload: record.upload?.uploadId },
      'the loser of a conflict, kept in an unfinished upload, was removed: it is old',
    );
  }
}

/** Aborts uploads of the journal that nobody works with and no COMMIT rests on. What fails stays in the journal. */
export async function abortOrphans({ name, store, intents, log, uploadsInUse }: Volume): Promise<void> {
  const needed = restedOn(intents.live());
  for (const [ref, intent] of [...intents.live()]) {
    if (intent.kind !== 'upload' || intent.volume !== name) continue;
    const { key, uploadId } = intent;
    if (uploadsInUse.has(uploadId) || needed.has(uploadId)) continue;
    try {
      await store.abortUpload(key, uploadId);
    } catch (error) {
      log.warn({ err: error, key, uploadId }, 'an unfinished upload could not be aborted and is tried again');
      continue;
    }
    log.info({ key, uploadId }, 'an unfinished upload of this daemon was aborted');
    intents.end(ref);
  }
}

/** Uploads that hold bytes that COMMITs were answered for, of all volumes. */
function restedOn(live: ReadonlyMap<string, Intent>): ReadonlySet<string> {
  const ids = new Set<string>();
  for (const intent of live.values())
    if (intent.kind === 'written' && intent.record.upload !== undefined)
      ids.add(intent.record.upload.uploadId);
  return ids;
}
