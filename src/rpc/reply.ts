/** A reply on its way: encoded once, with the four bytes of its record mark in front, which UDP leaves off. */
import { RECORD_MARK_BYTES, recordMark } from '../../protocol/record-marking.js';
import { XdrWriter } from '../../protocol/xdr-cursors.js';

export interface Reply {
  /** The record mark and the message. */
  readonly chunks: readonly Buffer[];
  /** Bytes in all chunks. */
  readonly length: number;
  /** Called once, when the bytes were handed to the kernel or dropped. */
  readonly settle: () => void;
}

const nothing = (): void => undefined;

/** What small replies share: about a hundred of them. */
const SCRATCH_BYTES = 16 * 1024;

/** Encodes replies one behind the other, so that those that leave together lie together. */
export class ReplyEncoder {
  readonly #writer = new XdrWriter(SCRATCH_BYTES);

  /** A reply of what `write` appends. Throws what that throws. */
  encode(write: (writer: XdrWriter) => void, settle: () => void = nothing): Reply {
    const writer = this.#writer;
    const before = writer.length;
    try {
      writer.u32(0);
      write(writer);
    } catch (error) {
      writer.discard();
      throw error;
    }
    const length = writer.length - before;
    const chunks = writer.finish();
    // The writer's first bytes are always its own, so that the mark can be filled in behind it.
    chunks[0]?.writeUInt32BE(recordMark(length - RECORD_MARK_BYTES), 0);
    return { chunks, length, settle };
  }
}

/** The same reply in one buffer that nobody else has a part of: what may be kept. */
export function copyReply(reply: Reply): Reply & { readonly chunks: readonly [Buffer] } {
  // Not from Node's pool: a kept reply of 200 bytes must not hold 8 KiB.
  const bytes = Buffer.allocUnsafeSlow(reply.length);
  let at = 0;
  for (const chunk of reply.chunks) at += chunk.copy(bytes, at);
  return { chunks: [bytes], length: bytes.length, settle: reply.settle };
}

/** Chunks below this size are copied together; larger ones are worth a place of their own in the write. */
const COPIED_BYTES_MAX = 4096;

/** The chunks of several replies for one write: runs of small ones joined, large ones as they are. */
export function gatherChunks(replies: readonly Reply[]): Buffer[] {
  const gathered: Buffer[] = [];
  let run: Buffer[] = [];
  const endRun = (): void => {
    const [first] = run;
    if (first === undefined) return;
    gathered.push(run.length === 1 ? first : Buffer.concat(run));
    run = [];
  };
  for (const stretch of stretchesOf(replies)) {
    if (stretch.length <= COPIED_BYTES_MAX) {
      run.push(stretch);
    } else {
      endRun();
      gathered.push(stretch);
    }
  }
  endRun();
  return gathered;
}

/** The chunks; those that lie one behind the other, as replies encoded in turn do, are one. */
function stretchesOf(replies: readonly Reply[]): Buffer[] {
  const stretches: Buffer[] = [];
  let memory: ArrayBufferLike | undefined;
  let from = 0;
  let to = 0;
  let first: Buffer | undefined;
  const end = (): void => {
    // One chunk is a stretch as it is: views are what is dear here.
    if (first?.length === to - from) stretches.push(first);
    else if (memory !== undefined) stretches.push(Buffer.from(memory, from, to - from));
  };
  for (const { chunks } of replies) {
    for (const chunk of chunks) {
      if (chunk.buffer !== memory || chunk.byteOffset !== to) {
        end();
        first = chunk;
        memory = chunk.buffer;
        from = chunk.byteOffset;
      }
      to = chunk.byteOffset + chunk.length;
    }
  }
  end();
  return stretches;
}
