/**
 * File handles: what they name, sealed with a keyed MAC, so that a client can use only handles that it was given (RFC 1813
 * 2.5 calls them opaque). Layout, 36 bytes of the 64 that NFSv3 allows:
 *
 *   0 version (1)   1..3 zero   4..11 export id   12..19 node id   20..35 HMAC-SHA256 of 0..19, first 16 bytes
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { KeyedHash, WORDS_OF_MANY } from './keyed-hash.js';
import { Recent } from './recent.js';

const VERSION = 1;
const BODY_BYTES = 20;
/** 128 bits: forging one handle takes 2^127 calls on average. */
const MAC_BYTES = 16;
/** A handle. */
export const HANDLE_BYTES = BODY_BYTES + MAC_BYTES;
/** An HMAC costs about 1 us, a hit here 0.1 us. An entry is about 300 bytes. */
const REMEMBERED_MAX = 16_384;
/** Handles kept in one piece of memory. */
const SLAB_HANDLES = 256;

export interface HandleFields {
  /** u64. */
  readonly exportId: bigint;
  /** u64. */
  readonly nodeId: bigint;
}

/** A handle that this key has sealed or opened: one object, found by its node id and by its MAC. */
interface Known {
  readonly fields: HandleFields;
  readonly handle: Buffer;
}

export class HandleKey {
  readonly #key: KeyedHash;
  /** By the first 48 bits of the MAC: which only tells where to look. */
  readonly #opened = new Recent<number, Known>(REMEMBERED_MAX);
  /** By node id: of a node in several exports the last one's. */
  readonly #sealed = new Recent<bigint, Known>(REMEMBERED_MAX);

  /** Of the handle that is being made. */
  readonly #body = new DataView(new ArrayBuffer(BODY_BYTES));
  readonly #bodyBytes = new Uint8Array(this.#body.buffer);

  /** Memory for the handles kept next, and how many were kept so far. */
  #slab = Buffer.alloc(0);
  #slabUsed = 0;

  /** `secret` may serve other purposes too: the MAC's key is derived from it. */
  constructor(secret: Buffer) {
    this.#key = new KeyedHash(createHmac('sha256', secret).update('s3nfsd handle key, version 1').digest());
  }

  /** The handle of these fields, always the same bytes. Shared: it must not be changed. */
  seal(fields: HandleFields): Buffer {
    const { exportId, nodeId } = fields;
    const known = this.#sealed.get(nodeId);
    if (known?.fields.exportId === exportId) return known.handle;
    // A client that is given a handle comes back with it.
    return this.#keep(fields, this.sealOnce(fields)).handle;
  }

  /** The same bytes as `seal`, not remembered: for listings, which may have a million of them. */
  sealOnce({ exportId, nodeId }: HandleFields): Buffer {
    // A view of its own: Buffer's methods make several bigints of each.
    this.#body.setUint32(0, VERSION << 24);
    this.#body.setBigUint64(4, exportId);
    this.#body.setBigUint64(12, nodeId);
    const words = this.#key.words(this.#bodyBytes);
    const handle = Buffer.allocUnsafe(HANDLE_BYTES);
    handle.set(this.#bodyBytes);
    for (let at = 0; at < MAC_BYTES; at += 4) handle.writeInt32BE(words[at / 4] ?? 0, BODY_BYTES + at);
    return handle;
  }

  /** As `sealOnce`, of many nodes of one export: HANDLE_BYTES of each, one behind the other. */
  sealMany(exportId: bigint, nodeIds: ArrayLike<bigint>): Buffer {
    const count = nodeIds.length;
    const handles = Buffer.allocUnsafe(count * HANDLE_BYTES);
    const view = new DataView(handles.buffer, handles.byteOffset, handles.length);
    const bodies = new Uint8Array(count * BODY_BYTES);
    const ends = new Uint32Array(count);
    this.#body.setUint32(0, VERSION << 24);
    this.#body.setBigUint64(4, exportId);
    for (let at = 0; at < count; at++) {
      this.#body.setBigUint64(12, nodeIds[at] ?? 0n);
      bodies.set(this.#bodyBytes, at * BODY_BYTES);
      handles.set(this.#bodyBytes, at * HANDLE_BYTES);
      ends[at] = (at + 1) * BODY_BYTES;
    }
    const words = this.#key.many(bodies, ends, count);
    for (let at = 0; at < count; at++)
      for (let word = 0; word < WORDS_OF_MANY; word++)
        view.setInt32(at * HANDLE_BYTES + BODY_BYTES + 4 * word, words[WORDS_OF_MANY * at + word] ?? 0);
    return handles;
  }

  /** What a handle names; undefined if this key never sealed it. */
  open(handle: Uint8Array): HandleFields | undefined {
    if (handle.length !== HANDLE_BYTES) return undefined;
    const bytes = Buffer.isBuffer(handle) ? handle : Buffer.from(handle);
    const known = this.#opened.get(startOf(bytes));
    if (known !== undefined && sameBytes(known.handle, bytes)) return known.fields;
    if (bytes.readUInt32BE(0) !== VERSION << 24) return undefined;
    const fields = { exportId: bytes.readBigUInt64BE(4), nodeId: bytes.readBigUInt64BE(12) };
    if (!timingSafeEqual(this.sealOnce(fields), bytes)) return undefined;
    return this.#keep(fields, bytes).fields;
  }

  /**
   * Remembers a copy of the handle, in slabs that hold nothing else. In Node's pool each copy would keep 8 KiB of other buffers alive (16 MiB for 30,000
   * handles), and a buffer of its own costs 200 bytes more.
   */
  #keep(fields: HandleFields, bytes: Buffer): Known {
    const from = this.#slabUsed % SLAB_HANDLES;
    if (from === 0) this.#slab = Buffer.allocUnsafeSlow(SLAB_HANDLES * HANDLE_BYTES);
    this.#slabUsed += 1;
    const handle = this.#slab.subarray(from * HANDLE_BYTES, (from + 1) * HANDLE_BYTES);
    bytes.copy(handle);
    const known = { fields, handle };
    this.#sealed.set(fields.nodeId, known);
    this.#opened.set(startOf(handle), known);
    return known;
  }
}

/** The first 48 bits of the MAC, which index `#opened`. */
const startOf = (handle: Buffer): number => handle.readUIntBE(BODY_BYTES, 6);

/** timingSafeEqual for a handle, without leaving JavaScript: the time doesn't tell where they differ. */
function sameBytes(a: Buffer, b: Buffer): boolean {
  let differences = 0;
  for (let at = 0; at < HANDLE_BYTES; at++) differences |= (a[at] ?? 0) ^ (b[at] ?? 0);
  return differences === 0;
}
