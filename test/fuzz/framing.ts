/** Messages as a byte stream in every way that record marking allows, and in ways that it doesn't (RFC 5531 section 11). */
import { encodeRecord, recordMark } from '../../protocol/record-marking.js';
import { DEFAULT_RPC_LIMITS } from '../../src/rpc/limits.js';
import type { Random } from './random.js';

const mark = (length: number, last: boolean): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(recordMark(length, last));
  return bytes;
};

/** One record: whole, in fragments of one size or of many, with empty fragments between, within the server's bounds. */
export function framed(message: Buffer, random: Random): Buffer {
  const kind = random.below(10);
  if (kind < 6) return encodeRecord(message);
  if (kind < 8) return encodeRecord(message, 1 + Math.ceil(message.length / (1 + random.below(20))));
  const pieces: Buffer[] = [];
  let empty = random.below(DEFAULT_RPC_LIMITS.emptyFragmentsMax);
  for (let at = 0; at < message.length;) {
    if (empty > 0 && random.oneIn(3)) {
      pieces.push(mark(0, false));
      empty--;
    }
    const length = Math.min(1 + random.below(64), message.length - at);
    pieces.push(mark(length, false), message.subarray(at, at + length));
    at += length;
  }
  // The last fragment may well be empty.
  pieces.push(mark(0, true));
  return Buffer.concat(pieces);
}

/** Bytes after which the server must cut the connection, whatever else comes. */
export function fatal(noCall: Buffer, random: Random): Buffer {
  const { recordBytesMax, emptyFragmentsMax, fragmentsMax } = DEFAULT_RPC_LIMITS;
  switch (random.below(7)) {
    case 0:
    case 1:
      return encodeRecord(noCall);
    case 2:
      return mark(recordBytesMax + 1 + random.below(1 << 20), true);
    case 3:
      return mark(0x7fff_ffff, random.oneIn(2));
    case 4:
      return Buffer.concat(Array.from({ length: emptyFragmentsMax + 1 }, () => mark(0, false)));
    case 5:
      return Buffer.concat(
        Array.from({ length: fragmentsMax + 1 }, () => Buffer.concat([mark(1, false), Buffer.from('x')])),
      );
    default:
      return Buffer.concat([
        mark(recordBytesMax, false),
        Buffer.alloc(recordBytesMax),
        mark(1, true),
        Buffer.alloc(1),
      ]);
  }
}

/** The beginning of a record, and no more. */
export function partial(message: Buffer, random: Random): Buffer {
  const record = framed(message, random);
  return record.subarray(0, random.below(record.length));
}

/** The same bytes in the pieces that they are written in: at once, in some pieces, or byte by byte. */
export function pieces(stream: Buffer, random: Random): readonly Buffer[] {
  const kind = random.below(10);
  if (kind < 6) return [stream];
  const size = kind === 9 && stream.length < 2000 ? 1 : 1 + random.below(stream.length);
  const cut: Buffer[] = [];
  for (let at = 0; at < stream.length; at += size) cut.push(stream.subarray(at, at + size));
  return cut;
}
