/**
 * Nodes of listed names as the database has them (node-form.ts), without a record and a run of the encoder for each: what the encoder makes of a nameless
 * node of the same directory and facts is the same but for the name in its middle. Values lie one behind the other in blocks.
 */
import type { ListedNames } from './listed-names.js';
import type { StoredNode } from './node-form.js';

/** MessagePack of `[parent, '', ...]`: the head of an array, a number of eight bytes with its head, and the empty text. */
const NAME_AT = 1 + 9;
const EMPTY_TEXT = 0xa0;
const TEXT_HEADS = { short: 0xa0, bytes8: 0xd9, bytes16: 0xda } as const;
const TEXT_HEAD_BYTES_MAX = 3;
const BLOCK_BYTES = 64 * 1024;

export class ListedValues {
  readonly #listed: ListedNames;
  readonly #encode: (stored: StoredNode) => Uint8Array;
  /** By the kind of value: of a nameless node. Undefined where it isn't as expected. */
  readonly #nameless = new Map<number, Buffer | undefined>();
  #block = Buffer.alloc(0);
  #used = 0;

  constructor(listed: ListedNames, encode: (stored: StoredNode) => Uint8Array) {
    this.#listed = listed;
    this.#encode = encode;
  }

  /** The value of the node at a place; undefined where it was taken out. It stays as it is. */
  at(place: number): Buffer | undefined {
    const kind = this.#listed.kindAt(place);
    if (kind === undefined) return undefined;
    const nameless = this.#namelessOf(kind, place);
    return nameless === undefined ? this.#plain(place) : this.#named(nameless, place);
  }

  #plain(place: number): Buffer | undefined {
    const stored = this.#listed.storedAt(place);
    return stored === undefined ? undefined : Buffer.from(this.#encode(stored));
  }

  #namelessOf(kind: number, place: number): Buffer | undefined {
    const known = this.#nameless.get(kind);
    if (known !== undefined || this.#nameless.has(kind)) return known;
    const stored = this.#listed.storedAt(place, '');
    const nameless = stored === undefined ? undefined : Buffer.from(this.#encode(stored));
    const made = nameless?.[NAME_AT] === EMPTY_TEXT ? nameless : undefined;
    this.#nameless.set(kind, made);
    return made;
  }

  #named(nameless: Buffer, place: number): Buffer {
    const nameBytes = this.#listed.nameBytesAt(place);
    const most = nameless.length + TEXT_HEAD_BYTES_MAX + nameBytes;
    if (this.#used + most > this.#block.length) {
      this.#block = Buffer.allocUnsafeSlow(Math.max(BLOCK_BYTES, most));
      this.#used = 0;
    }
    const block = this.#block;
    const begin = this.#used;
    let at = begin;
    for (let byte = 0; byte < NAME_AT; byte++) block[at++] = nameless[byte] ?? 0;
    if (nameBytes < 0x20) block[at++] = TEXT_HEADS.short | nameBytes;
    else if (nameBytes < 0x100) {
      block[at++] = TEXT_HEADS.bytes8;
      block[at++] = nameBytes;
    } else {
      block[at++] = TEXT_HEADS.bytes16;
      block[at++] = nameBytes >>> 8;
      block[at++] = nameBytes;
    }
    at += this.#listed.copyName(place, block, at);
    for (let byte = NAME_AT + 1; byte < nameless.length; byte++) block[at++] = nameless[byte] ?? 0;
    this.#used = at;
    return block.subarray(begin, at);
  }
}
