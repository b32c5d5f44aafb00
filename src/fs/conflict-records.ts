/**
 * Who is to hear of which conflict, over restarts: in the journal from before the bytes that lost are moved, until everybody was told and has begun
 * anew or waited a minute, the file was removed, or nobody has asked for a week. By file, so that it outlives the node.
 *
 *   met -> foreseen, synced -> the bytes that lost are kept -> added, synced -> told, without being waited for -> ended
 *                                     the store failed -> as it was
 */
import { ConflictNews } from './conflict-news.js';
import { FsError } from './errors.js';
import type { Intent } from './intent-log.js';
import type { JournaledVolume } from './journaled-volume.js';
import type { FileNode } from './node.js';
import { toFsError } from './store-errors.js';

type ConflictIntent = Extract<Intent, { kind: 'conflict' }>;

/** A client that hasn't written or committed in a week has no page of that file left. */
const KEPT_MS = 7 * 24 * 3_600_000;

const conflictRef = (id: bigint): string => `conflict:${id}`;

export class ConflictRecords {
  readonly #volume: JournaledVolume;
  /** By the file's id. */
  readonly #news = new Map<bigint, ConflictNews>();

  constructor(volume: JournaledVolume) {
    this.#volume = volume;
  }

  /** What is told of the file's conflict. */
  errorOf({ id }: FileNode): FsError | undefined {
    return this.#news.get(id)?.error;
  }

  /**
   * Those whose bytes are about to lose hear of it even if this process ends now. Returns how to take that back where they don't lose. Errors: the
   * journal's, as FsError.
   */
  async foresee(node: FileNode, message: string): Promise<() => void> {
    const earlier = this.#news.get(node.id);
    const news = new ConflictNews(this.#error(message), node.unpublishedWriters, this.#nowMs, earlier);
    try {
      await this.#put(node.id, news);
    } catch (error) {
      throw toFsError(error);
    }
    return () => {
      if (earlier === undefined) this.#volume.intents.end(conflictRef(node.id));
      else this.#save(node.id, earlier);
    };
  }

  /** The bytes of those who wrote the file have lost, and `error` tells so. Resolves when the journal has it, or what was foreseen has to do. */
  async add(node: FileNode, error: FsError): Promise<void> {
    const news = new ConflictNews(error, node.takeWriters(), this.#nowMs, this.#news.get(node.id));
    this.#news.set(node.id, news);
    await this.#put(node.id, news).catch((failure: unknown) => this.#warn(failure));
  }

  /** What a WRITE or COMMIT of a client is answered with; undefined where it may go on. */
  refusal({ id }: FileNode, client: string): FsError | undefined {
    const news = this.#news.get(id);
    if (news === undefined) return undefined;
    const refusal = news.refusal(client, this.#nowMs);
    this.#changed(id, news);
    return refusal;
  }

  /** The client makes the file anew or cuts it: what it writes from now on isn't what lost. */
  begunAnew({ id }: FileNode, client: string): void {
    const news = this.#news.get(id);
    if (news === undefined) return;
    news.begunAnew(client);
    this.#changed(id, news);
  }

  /** What an earlier run left in the journal. */
  restore(ref: string, { nodeId, ...record }: ConflictIntent): void {
    const id = BigInt(nodeId);
    if (this.#volume.table.get(id)?.removed === true) this.#volume.intents.end(ref);
    else this.#news.set(id, ConflictNews.from(record, this.#error(record.message)));
  }

  /** Ends what nobody will hear of. */
  collect(): void {
    for (const [id, news] of this.#news) {
      const isOld = this.#nowMs - news.metMs >= KEPT_MS;
      if (isOld || news.isOver(this.#nowMs) || this.#volume.table.get(id)?.removed === true) this.#end(id);
    }
  }

  get #nowMs(): number {
    return this.#volume.clock.nowMs();
  }

  #error(message: string): FsError {
    return new FsError('EIO', message);
  }

  #changed(id: bigint, news: ConflictNews): void {
    if (news.isOver(this.#nowMs)) this.#end(id);
    else if (news.takeChange()) this.#save(id, news);
  }

  #end(id: bigint): void {
    this.#news.delete(id);
    this.#volume.intents.end(conflictRef(id));
  }

  /** Not waited for: after a crash a client may be told once more. */
  #save(id: bigint, news: ConflictNews): void {
    this.#put(id, news).catch((error: unknown) => this.#warn(error));
  }

  async #put(id: bigint, news: ConflictNews): Promise<void> {
    const { name, intents } = this.#volume;
    await intents.put(conflictRef(id), {
      kind: 'conflict',
      volume: name,
      nodeId: String(id),
      ...news.record(),
    });
  }

  #warn(error: unknown): void {
    this.#volume.log.warn({ err: error }, 'after a restart clients may hear of a conflict again, or late');
  }
}
