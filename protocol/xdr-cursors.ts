/** The two ends of XDR coding (RFC 4506): a cursor over one record, and a list of buffers that grows. */

/** Bytes that don't decode: what the RPC layer answers with GARBAGE_ARGS (RFC 5531 section 9). */
export class XdrError extends Error {
  override readonly name = 'XdrError';
}

/** A cursor over one record. */
export class XdrReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.isBuffer(bytes)
      ? bytes
      : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u32(): number {
    const at = this.#advance(4);
    return this.#bytes.readUInt32BE(at);
  }

  i32(): number {
    const at = this.#advance(4);
    return this.#bytes.readInt32BE(at);
  }

  u64(): bigint {
    const at = this.#advance(8);
    return this.#bytes.readBigUInt64BE(at);
  }

  i64(): bigint {
    const at = this.#advance(8);
    return this.#bytes.readBigInt64BE(at);
  }

  /** `length` bytes and their padding, as a view into the record. What the padding holds is not looked at. */
  bytes(length: number): Buffer {
    const padding = paddingOf(length);
    const at = this.#advance(length + padding);
    return this.#bytes.subarray(at, at + length);
  }

  /** Goes past these bytes if they are what comes next. */
  skip(expected: Uint8Array): boolean {
    const { length } = expected;
    if (length > this.remaining) return false;
    for (let at = 0; at < length; at++) {
      if (this.#bytes[this.#offset + at] !== expected[at]) return false;
    }
    this.#offset += length;
    return true;
  }

  /** The bytes that were read since `remaining` was this, as a view into the record. */
  readSince(remaining: number): Buffer {
    return this.#bytes.subarray(this.#bytes.length - remaining, this.#offset);
  }

  /** The bytes not read yet, as a view into the record. */
  rest(): Buffer {
    return this.#bytes.subarray(this.#offset);
  }

  /** Fails unless every byte was read. */
  end(): void {
    if (this.remaining !== 0) throw new XdrError(`expected the end, ${this.remaining} bytes are left`);
  }

  #advance(length: number): number {
    if (length > this.remaining) {
      throw new XdrError(`expected ${length} more bytes, the record has ${this.remaining}`);
    }
    const at = this.#offset;
    this.#offset += length;
    return at;
  }
}

/** Opaques of at least this many bytes are passed on by reference: below it a copy is cheaper than another buffer in the write. */
const REFERENCE_BYTES_MIN = 2048;
const SCRATCH_BYTES = 512;

/** Appends values and gives the encoded bytes as a list of buffers. Large opaques are referenced, not copied. */
export class XdrWriter {
  readonly #scratchBytes: number;
  #chunks: Buffer[] = [];
  #scratch: Buffer;
  #view: DataView;
  #start = 0;
  #offset = 0;
  #length = 0;
  /** Bytes of the messages that are finished. */
  #finished = 0;

  /** One for several messages takes a scratch that they share. */
  constructor(scratchBytes = SCRATCH_BYTES) {
    this.#scratchBytes = scratchBytes;
    this.#scratch = Buffer.allocUnsafe(scratchBytes);
    this.#view = viewOf(this.#scratch);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
  }

  i32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setInt32(at, value);
  }

  u64(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigUint64(at, value);
  }

  i64(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigInt64(at, value);
  }

  /** Bytes and their zero padding. Buffers of 2 KiB and more are referenced: they must not change until the reply is sent. */
  bytes(value: Uint8Array): void {
    this.raw(value);
    this.pad(value.length);
  }

  /** Bytes without padding. */
  raw(value: Uint8Array): void {
    if (value.length >= REFERENCE_BYTES_MIN) {
      this.#flush();
      // A view of a view costs as much as a small reply.
      const isBuffer = Buffer.isBuffer(value);
      this.#chunks.push(isBuffer ? value : Buffer.from(value.buffer, value.byteOffset, value.byteLength));
      this.#length += value.length;
    } else {
      const at = this.#reserve(value.length);
      this.#scratch.set(value, at);
    }
  }

  /** The zero bytes that follow an opaque of `length` bytes. */
  pad(length: number): void {
    const padding = paddingOf(length);
    if (padding === 0) return;
    const at = this.#reserve(padding);
    this.#scratch.fill(0, at, at + padding);
  }

  /** The encoded bytes. What is written from now on is another message, with room left for it in the same scratch. */
  finish(): Buffer[] {
    this.#flush();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#finished = this.#length;
    return chunks;
  }

  /** Forgets what was written since the last message. */
  discard(): void {
    this.#chunks = [];
    this.#offset = this.#start;
    this.#length = this.#finished;
  }

  /** The offset of `length` bytes in the scratch buffer: called before the buffer is named, since it may replace it. */
  #reserve(length: number): number {
    if (this.#offset + length > this.#scratch.length) this.#replaceScratch(length);
    const at = this.#offset;
    this.#offset += length;
    this.#length += length;
    return at;
  }

  #replaceScratch(length: number): void {
    this.#flush();
    const written = Math.min(this.#length - this.#finished, 65536);
    this.#scratch = Buffer.allocUnsafe(Math.max(this.#scratchBytes, length, written));
    this.#view = viewOf(this.#scratch);
    this.#start = 0;
    this.#offset = 0;
  }

  #flush(): void {
    if (this.#offset === this.#start) return;
    this.#chunks.push(this.#scratch.subarray(this.#start, this.#offset));
    this.#start = this.#offset;
  }
}

const viewOf = (buffer: Buffer): DataView =>
  new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);

const paddingOf = (length: number): number => (4 - (length & 3)) & 3;
