/**
 * Runs of entries as READDIR and READDIRPLUS send them: encoded once for each form, for all calls that are answered from the run. The bytes are those that the codecs
 * of entry3 and entryplus3 make of entries without attributes.
 */
import type { EntryRun } from '../fs/file-system.js';

export interface EncodedRun {
  readonly bytes: Buffer;
  /** Where each entry begins in the bytes, and behind the last where it ends. */
  readonly starts: Uint32Array;
  /** Bytes of names, cookies and fileids before each entry. */
  readonly directoryStarts: Uint32Array;
}

/** Bytes of an opaque with its length and padding (RFC 4506 4.10). */
export const opaqueBytes = (length: number): number => 4 + ((length + 3) & ~3);

const U32_BYTES = 4;
const U64_BYTES = 8;

/** Encodes runs, and keeps what it made of each for as long as the run is there. */
export class RunEncoder {
  readonly #has: 'names' | 'handles';
  readonly #made = new WeakMap<EntryRun, EncodedRun>();

  /** For READDIR names alone, for READDIRPLUS handles as well. */
  constructor(has: 'names' | 'handles') {
    this.#has = has;
  }

  encoded(run: EntryRun): EncodedRun {
    const known = this.#made.get(run);
    if (known !== undefined) return known;
    const made = encodedOf(run, this.#has === 'handles' ? run.handles : undefined);
    this.#made.set(run, made);
    return made;
  }
}

function encodedOf({ ids, names, nameEnds }: EntryRun, handles: Buffer | undefined): EncodedRun {
  const count = ids.length;
  const handleBytes = handles === undefined ? 0 : handles.length / count;
  const behindCookie = handles === undefined ? 0 : 2 * U32_BYTES + opaqueBytes(handleBytes);
  const starts = new Uint32Array(count + 1);
  const directoryStarts = new Uint32Array(count + 1);
  for (let at = 0; at < count; at++) {
    const nameBytes = (nameEnds[at] ?? 0) - (at === 0 ? 0 : (nameEnds[at - 1] ?? 0));
    const directoryBytes = U64_BYTES + opaqueBytes(nameBytes) + U64_BYTES;
    directoryStarts[at + 1] = (directoryStarts[at] ?? 0) + directoryBytes;
    starts[at + 1] = (starts[at] ?? 0) + U32_BYTES + directoryBytes + behindCookie;
  }
  // Zeros are padding, and that no attributes follow.
  const bytes = Buffer.alloc(starts[count] ?? 0);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0, nameAt = 0; at < count; at++) {
    const nameEnd = nameEnds[at] ?? 0;
    const id = ids[at] ?? 0n;
    let to = starts[at] ?? 0;
    view.setUint32(to, 1);
    view.setBigUint64((to += U32_BYTES), id);
    view.setUint32((to += U64_BYTES), nameEnd - nameAt);
    copy(names, nameAt, nameEnd, bytes, to + U32_BYTES);
    to += opaqueBytes(nameEnd - nameAt);
    view.setBigUint64(to, id);
    nameAt = nameEnd;
    if (handles === undefined) continue;
    view.setUint32((to += U64_BYTES + U32_BYTES), 1);
    view.setUint32((to += U32_BYTES), handleBytes);
    copy(handles, at * handleBytes, (at + 1) * handleBytes, bytes, to + U32_BYTES);
  }
  return { bytes, starts, directoryStarts };
}

/** Of so few bytes that a call of `Buffer.copy` would take longer. */
function copy(from: Uint8Array, begin: number, end: number, to: Uint8Array, at: number): void {
  for (let byte = begin; byte < end; byte++) to[at + byte - begin] = from[byte] ?? 0;
}
