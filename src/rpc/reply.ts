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

/** A reply of what `write` appends. */
export function encodeReply(write: (writer: XdrWriter) => void, settle: () => void = nothing): Reply {
  const writer = new XdrWriter();
  writer.u32(0);
  write(writer);
  const length = writer.length;
  const chunks = writer.finish();
  // The writer's first bytes are always its own, so that the mark can be filled in behind it.
  chunks[0]?.writeUInt32BE(recordMark(length - RECORD_MARK_BYTES), 0);
  return { chunks, length, settle };
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
  for (const reply of replies) {
    for (const chunk of reply.chunks) {
      if (chunk.length <= COPIED_BYTES_MAX) {
        run.push(chunk);
      } else {
        endRun();
        gathered.push(chunk);
      }
    }
  }
  endRun();
  return gathered;
}
