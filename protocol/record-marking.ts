/**
 * Record marking (RFC 5531 section 11): how messages are delimited on a byte stream. A record is a sequence of fragments;
 * each begins with four bytes: the high bit says "last fragment", the others its length.
 *
 *            header            header with the last bit          end of the fragment
 *   between ───────▶ fragment ──┐ ──────────────────▶ last fragment ───────▶ record out, between
 *      ▲──────── end ◀──────────┘
 *
 * The size of a record is bounded on the sum of its fragments as soon as a header tells it, and what a header announces is
 * never allocated on its word: the buffer grows with the bytes that really came.
 */

/** Bytes of a fragment header. */
export const RECORD_MARK_BYTES = 4;

const LAST_FRAGMENT = 0x80000000;
const FRAGMENT_BYTES_MASK = 0x7fffffff;

/** A stream that doesn't follow record marking or exceeds a bound: there is no way to find the next record, so it is closed. */
export class RecordError extends Error {
  override readonly name = 'RecordError';
}

/** The header of a fragment of `length` bytes, as a uint32. */
export function recordMark(length: number, last = true): number {
  if (length < 0 || length > FRAGMENT_BYTES_MASK) throw new RangeError(`not a fragment length: ${length}`);
  return last ? (LAST_FRAGMENT | length) >>> 0 : length;
}

/** `message` as a record of fragments of at most `fragmentBytesMax` bytes. */
export function encodeRecord(message: Buffer, fragmentBytesMax = FRAGMENT_BYTES_MASK): Buffer {
  const fragments = Math.max(1, Math.ceil(message.length / fragmentBytesMax));
  const record = Buffer.allocUnsafe(message.length + fragments * RECORD_MARK_BYTES);
  let to = 0;
  for (let i = 0; i < fragments; i++) {
    const from = i * fragmentBytesMax;
    const length = Math.min(fragmentBytesMax, message.length - from);
    to = record.writeUInt32BE(recordMark(length, i === fragments - 1), to);
    to += message.copy(record, to, from, from + length);
  }
  return record;
}

export interface RecordLimits {
  /** Bytes of a record without its headers, summed over its fragments. */
  readonly recordBytesMax: number;
  /** Fragments of a record. libtirpc sends 1 MiB in about 120, and 1 MiB in single bytes is an attack. */
  readonly fragmentsMax: number;
  /** Fragments without a byte in a record: legal, useless, and endless where nobody counts. */
  readonly emptyFragmentsMax: number;
}

export interface RecordAssemblerOptions extends RecordLimits {
  /** Given each complete record. May be called several times within one `push`. */
  readonly onRecord: (record: Buffer) => void;
  /**
   * True when the caller overwrites its chunks after `push`. Otherwise a record that lies whole within a chunk is given as a
   * view of it.
   */
  readonly reusesChunks: boolean;
  /**
   * A buffer of `recordBytesMax` for a record beyond 64 KiB of which 16 KiB have come; undefined when there is none now. Without this
   * option such buffers are allocated.
   */
  readonly takeBuffer?: () => Buffer | undefined;
}

/**
 * A record's buffer is at most this many times what has arrived of it. 64 KiB, a usual first read of a busy stream, then
 * stand for a whole READ or WRITE of 1 MiB: no second allocation, no second copy.
 */
const GROWTH = 16;

/** Below this many missing bytes a read that also takes the records behind is worth more than the copy it costs. */
const DIRECT_BYTES_MIN = 16 * 1024;

/** Records up to this many bytes are not worth a buffer that may have to be waited for. */
const LARGE_BYTES_MIN = 64 * 1024;

/** Turns chunks of a stream into records. Throws RecordError; after that it is not used again. */
export class RecordAssembler {
  readonly #options: RecordAssemblerOptions;
  /** The header as far as it came. */
  #header = 0;
  #headerBytes = 0;
  /** Bytes of the current fragment that are missing; undefined between fragments. */
  #fragmentLeft: number | undefined;
  #last = false;
  #fragments = 0;
  #emptyFragments = 0;
  /** The record's bytes are the first #length of it. */
  #buffer: Buffer | undefined;
  #length = 0;

  constructor(options: RecordAssemblerOptions) {
    this.#options = options;
  }

  /** True while a record or a header has begun and is not complete. */
  get partial(): boolean {
    return this.#headerBytes > 0 || this.#fragments > 0;
  }

  /** Bytes allocated for the record that is being assembled. */
  get allocatedBytes(): number {
    return this.#buffer?.length ?? 0;
  }

  /**
   * Takes the next bytes of the stream and returns how many: fewer than all when there is no buffer for a large record. The rest
   * is pushed again when there may be one.
   */
  push(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#fragmentLeft === undefined) {
        at = this.#readHeader(chunk, at);
      } else {
        const take = Math.min(this.#fragmentLeft, chunk.length - at);
        if (!this.#take(chunk, at, take)) return at;
        at += take;
      }
    }
    return at;
  }

  /** The buffer of the record that is being assembled: for who ends the stream and takes such buffers back. */
  get buffer(): Buffer | undefined {
    return this.#buffer;
  }

  /** Where the stream's next bytes may be read to without a copy; undefined when they should come through `push`. */
  target(): Buffer | undefined {
    if (this.#fragmentLeft === undefined || this.#fragmentLeft < DIRECT_BYTES_MIN) return undefined;
    // So much must have come for the room that is made for what may come.
    if (this.#length < DIRECT_BYTES_MIN) return undefined;
    const buffer = this.#reserve(1);
    return buffer?.subarray(this.#length, Math.min(buffer.length, this.#length + this.#fragmentLeft));
  }

  /** `length` bytes were read into `target()`. */
  advance(length: number): void {
    if (this.#fragmentLeft === undefined || length > this.#fragmentLeft) {
      throw new RangeError(`advanced ${length} bytes of ${this.#fragmentLeft ?? 0}`);
    }
    this.#length += length;
    this.#fragmentLeft -= length;
    if (this.#fragmentLeft === 0) this.#endFragment();
  }

  #readHeader(chunk: Buffer, from: number): number {
    let at = from;
    if (this.#headerBytes === 0 && chunk.length - at >= RECORD_MARK_BYTES) {
      this.#header = chunk.readUInt32BE(at);
      at += RECORD_MARK_BYTES;
    } else {
      while (this.#headerBytes < RECORD_MARK_BYTES && at < chunk.length) {
        this.#header = ((this.#header << 8) | chunk.readUInt8(at++)) >>> 0;
        this.#headerBytes++;
      }
      if (this.#headerBytes < RECORD_MARK_BYTES) return at;
    }
    const header = this.#header;
    this.#header = 0;
    this.#headerBytes = 0;
    this.#beginFragment((header & LAST_FRAGMENT) !== 0, header & FRAGMENT_BYTES_MASK);
    return at;
  }

  #beginFragment(last: boolean, length: number): void {
    const { recordBytesMax, fragmentsMax, emptyFragmentsMax } = this.#options;
    if (this.#length + length > recordBytesMax) {
      throw new RecordError(
        `expected a record of at most ${recordBytesMax} bytes, got ${this.#length + length}`,
      );
    }
    if (++this.#fragments > fragmentsMax)
      throw new RecordError(`expected at most ${fragmentsMax} fragments in a record`);
    if (length === 0 && ++this.#emptyFragments > emptyFragmentsMax)
      throw new RecordError(`expected at most ${emptyFragmentsMax} empty fragments in a record`);
    this.#last = last;
    this.#fragmentLeft = length;
    if (length === 0) this.#endFragment();
  }

  /** False when there is no buffer. */
  #take(chunk: Buffer, at: number, length: number): boolean {
    const whole = this.#last && this.#length === 0 && length === this.#fragmentLeft;
    if (whole && !this.#options.reusesChunks && this.#buffer === undefined) {
      this.#endRecord(chunk.subarray(at, at + length));
      return true;
    }
    const buffer = this.#reserve(length);
    if (buffer === undefined) return false;
    chunk.copy(buffer, this.#length, at, at + length);
    this.advance(length);
    return true;
  }

  /** The record's buffer with room for `arriving` more bytes; undefined when there is none now. */
  #reserve(arriving: number): Buffer | undefined {
    const needed = this.#length + arriving;
    if (this.#buffer !== undefined && this.#buffer.length >= needed) return this.#buffer;
    const known = this.#last ? this.#length + (this.#fragmentLeft ?? 0) : this.#options.recordBytesMax;
    const grown = this.#bufferFor(needed, known);
    if (grown === undefined) return undefined;
    this.#buffer?.copy(grown, 0, 0, this.#length);
    this.#buffer = grown;
    return grown;
  }

  #bufferFor(needed: number, known: number): Buffer | undefined {
    const { takeBuffer } = this.#options;
    const allocated = Math.max(needed, Math.min(known, needed * GROWTH));
    if (takeBuffer === undefined || known <= LARGE_BYTES_MIN) return Buffer.allocUnsafe(allocated);
    if (needed >= DIRECT_BYTES_MIN) return takeBuffer();
    return Buffer.allocUnsafe(Math.min(allocated, DIRECT_BYTES_MIN));
  }

  #endFragment(): void {
    this.#fragmentLeft = undefined;
    if (this.#last) this.#endRecord(this.#buffer?.subarray(0, this.#length) ?? Buffer.alloc(0));
  }

  #endRecord(record: Buffer): void {
    this.#fragmentLeft = undefined;
    this.#fragments = 0;
    this.#emptyFragments = 0;
    this.#buffer = undefined;
    this.#length = 0;
    this.#options.onRecord(record);
  }
}
