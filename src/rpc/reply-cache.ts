/**
 * The duplicate request cache: a retransmission of a call that changed something is answered with the first reply instead of
 * being executed again. Keyed by what identifies a call whatever connection it comes by: after a timeout a client sends the
 * same xid again, perhaps on a new connection.
 *
 *   first ──▶ running ──▶ kept (SUCCESS and cacheable) ──▶ forgotten by age or size
 *   duplicate: joins what is running, is given what is kept
 *
 * Replies of bulk calls (WRITE) are kept apart: thousands of them a second would push out the reply of a RENAME.
 */
import { crc32 } from 'node:zlib';
import { KeptReplies, type KeptRepliesOptions } from './kept-replies.js';
import { copyReply, type Reply } from './reply.js';

/** Bytes of the arguments that tell one call from another, besides their length: a WRITE's data needn't be summed. */
const CHECKSUMMED_BYTES = 256;

/** What identifies a call. `args` are the bytes behind the header. */
export function duplicateKey(
  remoteAddress: string,
  xid: number,
  target: { readonly prog: number; readonly vers: number; readonly proc: number },
  args: Buffer,
): string {
  const { prog, vers, proc } = target;
  const { length } = args;
  const sum = crc32(args.subarray(0, CHECKSUMMED_BYTES));
  // Six numbers as 16-bit units. V8 would keep a text put together of them as a tree of its pieces: 500 bytes for each reply kept.
  const call = String.fromCharCode(
    xid >>> 16,
    xid & 0xffff,
    prog >>> 16,
    prog & 0xffff,
    vers >>> 16,
    vers & 0xffff,
    proc >>> 16,
    proc & 0xffff,
    length >>> 16,
    length & 0xffff,
    sum >>> 16,
    sum & 0xffff,
  );
  return remoteAddress + call;
}

export interface ReplyCacheOptions {
  /** Of all calls but bulk ones. */
  readonly replies: KeptRepliesOptions;
  readonly bulkReplies: KeptRepliesOptions;
}

/** A call as the cache takes it. */
export interface CacheableCall {
  /** The caller's address. */
  readonly client: string;
  /** By duplicateKey. */
  readonly key: string;
  readonly isBulk: boolean;
}

/** A reply, and whether a retransmission may be given it. */
export interface Executed {
  readonly reply: Reply;
  readonly keep: boolean;
}

/** What the first of several equal calls is answered, and its bytes for the others. */
interface First {
  readonly reply: Reply;
  readonly bytes: Buffer;
}

const nothing = (): void => undefined;

export class ReplyCache {
  readonly #replies: KeptReplies;
  readonly #bulkReplies: KeptReplies;
  readonly #running = new Map<string, Promise<First>>();
  #duplicates = 0;

  constructor({ replies, bulkReplies }: ReplyCacheOptions) {
    this.#replies = new KeptReplies(replies);
    this.#bulkReplies = new KeptReplies(bulkReplies);
  }

  /** Replies kept. */
  get size(): number {
    return this.#replies.size + this.#bulkReplies.size;
  }

  /** Retransmissions seen. */
  get duplicates(): number {
    return this.#duplicates;
  }

  /** Executes the call unless the same one runs or its reply is kept. `execute` doesn't reject. */
  async answer(call: CacheableCall, execute: () => Promise<Executed>): Promise<Reply> {
    const { client, key } = call;
    const kept = this.#keptFor(call).get(client, key);
    if (kept !== undefined) return this.#again(Buffer.from(kept, 'latin1'));
    const running = this.#running.get(key);
    if (running !== undefined) return this.#again((await running).bytes);
    const first = this.#first(call, execute);
    this.#running.set(key, first);
    try {
      return (await first).reply;
    } finally {
      this.#running.delete(key);
    }
  }

  #keptFor({ isBulk }: CacheableCall): KeptReplies {
    return isBulk ? this.#bulkReplies : this.#replies;
  }

  #again(bytes: Buffer): Reply {
    this.#duplicates++;
    return { chunks: [bytes], length: bytes.length, settle: nothing };
  }

  async #first(call: CacheableCall, execute: () => Promise<Executed>): Promise<First> {
    const executed = await execute();
    // Duplicates are sent after the first reply's buffers were given back, so they never share them.
    const reply = copyReply(executed.reply);
    const [bytes] = reply.chunks;
    // As Latin-1: a small Buffer of its own takes 300 bytes more of the heap and the allocator, and the collector lets the heap grow by as
    // much again.
    if (executed.keep) this.#keptFor(call).set(call.client, call.key, bytes.toString('latin1'));
    return { reply, bytes };
  }
}
