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
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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
  #chunks: Buffer[] = [];
  #scratch: Buffer = Buffer.allocUnsafe(SCRATCH_BYTES);
  #start = 0;
  #offset = 0;
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u32(value: number): void {
    const at = this.#reserve(4);
    this.#scratch.writeUInt32BE(value, at);
  }

  i32(value: number): void {
    const at = this.#reserve(4);
    this.#scratch.writeInt32BE(value, at);
  }

  u64(value: bigint): void {
    const at = this.#reserve(8);
    this.#scratch.writeBigUInt64BE(value, at);
  }

  i64(value: bigint): void {
    const at = this.#reserve(8);
    this.#scratch.writeBigInt64BE(value, at);
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
      this.#chunks.push(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
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

  /** The encoded bytes. The writer is not used again. */
  finish(): Buffer[] {
    this.#flush();
    return this.#chunks;
  }

  /** The offset of `length` bytes in the scratch buffer: called before the buffer is named, since it may replace it. */
  #reserve(length: number): number {
    if (this.#offset + length > this.#scratch.length) {
      this.#flush();
      this.#scratch = Buffer.allocUnsafe(Math.max(SCRATCH_BYTES, length, Math.min(this.#length, 65536)));
      this.#start = 0;
      this.#offset = 0;
    }
    const at = this.#offset;
    this.#offset += length;
    this.#length += length;
    return at;
  }

  #flush(): void {
    if (this.#offset === this.#start) return;
    this.#chunks.push(this.#scratch.subarray(this.#start, this.#offset));
    this.#start = this.#offset;
  }
}

const paddingOf = (length: number): number => (4 - (length & 3)) & 3;
