/**
 * Names that listings showed for the first time, as few pieces: a million of them as records, in maps by id and by name, would be a million of
 * each for the collector. A name takes some 60 bytes so, outside of the heap. Each is written as the log has it (changes-form.ts):
 *
 *   id u64 | number of its facts u8 | length u16 | name
 *
 * and found by hash tables of its place among them, by id and by name.
 */
import type { NodeRecord } from './node-changes.js';
import { storedForm, type StoredNode } from './node-form.js';

const ID_BYTES = 8;
/** Bytes before a name. */
export const NAME_HEAD_BYTES = ID_BYTES + 1 + 2;
/** Facts that many names share are one object: what a directory's listing tells of files, and of directories. */
const FACTS_MAX = 256;
/** A UTF-16 unit is at most so many bytes of UTF-8. */
const UNIT_BYTES_MAX = 3;
const NAMES_FIRST = 1024;
const BYTES_FIRST = 32 * 1024;
/** In place of a parent, of a name that was taken out. */
const TAKEN = 0xffffffff;
/** FNV-1a. */
const HASH_BASIS = 0x811c9dc5;
const HASH_PRIME = 0x01000193;
/** Of a table that is half full. */
const SLOTS_A_NAME = 2;

/** Names of one directory that stand one behind the other. */
export interface NameGroup {
  readonly parent: bigint;
  readonly count: number;
  /** Shared: good until the next change. */
  readonly bytes: Buffer;
}

export class ListedNames {
  #count = 0;
  #live = 0;
  #bytes = Buffer.allocUnsafeSlow(BYTES_FIRST);
  #used = 0;
  /** Where each begins in the bytes. */
  #starts = new Uint32Array(NAMES_FIRST);
  /** Which of the parents each has. */
  #parentOf = new Uint32Array(NAMES_FIRST);
  #hashes = new Int32Array(NAMES_FIRST);
  /** Open addressing: one more than the place, 0 where nothing is. */
  #byId = new Uint32Array(SLOTS_A_NAME * NAMES_FIRST);
  #byName = new Uint32Array(SLOTS_A_NAME * NAMES_FIRST);
  readonly #parents: bigint[] = [];
  readonly #parentNumbers = new Map<bigint, number>();
  readonly #facts: unknown[] = [];
  /** A bigint in two halves, without a bigint for each. */
  readonly #id = new BigUint64Array(1);
  readonly #halves = new DataView(this.#id.buffer);

  /** Of all that were added, be they taken out again. */
  get count(): number {
    return this.#count;
  }

  /** Names that are there. */
  get live(): number {
    return this.#live;
  }

  /** Bytes of all that were added. */
  get bytes(): number {
    return this.#used;
  }

  /** What the numbers of facts stand for. */
  get facts(): readonly unknown[] {
    return this.#facts;
  }

  /** False where it can't be one of these: there are too many kinds of facts. Neither the id nor the name is there yet. */
  add(id: bigint, parent: bigint, name: string, facts: unknown): boolean {
    const factsNumber = this.#factsNumber(facts);
    if (factsNumber === undefined) return false;
    this.#makeRoom(UNIT_BYTES_MAX * name.length);
    const at = this.#count++;
    const start = this.#used;
    const bytes = this.#bytes;
    const length = bytes.write(name, start + NAME_HEAD_BYTES);
    this.#id[0] = id;
    bytes.writeUInt32BE(this.#halves.getUint32(4, true), start);
    bytes.writeUInt32BE(this.#halves.getUint32(0, true), start + 4);
    bytes[start + 8] = factsNumber;
    bytes.writeUInt16BE(length, start + 9);
    this.#starts[at] = start;
    this.#used = start + NAME_HEAD_BYTES + length;
    const parentNumber = this.#parentNumber(parent);
    this.#parentOf[at] = parentNumber;
    this.#hashes[at] = hashOf(parentNumber, name);
    this.#enter(at);
    this.#live++;
    return true;
  }

  /** The record of an id. */
  record(id: bigint): NodeRecord | undefined {
    const at = this.#placeOf(id);
    return at === undefined ? undefined : this.recordAt(at);
  }

  /** The record at a place below `count`; undefined where it was taken out. */
  recordAt(at: number): NodeRecord | undefined {
    const parent = this.#parents[this.#parentOf[at] ?? TAKEN];
    if (parent === undefined) return undefined;
    const start = this.#starts[at] ?? 0;
    const id = this.#bytes.readBigUInt64BE(start);
    const facts = this.#facts[this.#bytes[start + 8] ?? 0];
    const name = this.#nameAt(at);
    return facts === undefined
      ? { id, drawn: false, parent, name, removed: false }
      : { id, drawn: false, parent, name, removed: false, facts };
  }

  /** Names with the same have the same facts and parent; undefined where it was taken out. */
  kindAt(at: number): number | undefined {
    const parentNumber = this.#parentOf[at] ?? TAKEN;
    if (parentNumber === TAKEN) return undefined;
    return parentNumber * FACTS_MAX + (this.#bytes[(this.#starts[at] ?? 0) + 8] ?? 0);
  }

  /** As `recordAt`, as the database has it (node-form.ts). */
  storedAt(at: number, name = this.#nameAt(at)): StoredNode | undefined {
    const record = this.recordAt(at);
    return record === undefined ? undefined : storedForm({ ...record, name });
  }

  /** Length of the name, in bytes. */
  nameBytesAt(at: number): number {
    const lengthAt = (this.#starts[at] ?? 0) + 9;
    return ((this.#bytes[lengthAt] ?? 0) << 8) | (this.#bytes[lengthAt + 1] ?? 0);
  }

  /** Copies the name; returns its length in bytes. */
  copyName(at: number, target: Uint8Array, targetAt: number): number {
    const bytes = this.#bytes;
    const from = (this.#starts[at] ?? 0) + NAME_HEAD_BYTES;
    const length = this.nameBytesAt(at);
    // Mostly shorter than a call of `copy` takes.
    for (let index = 0; index < length; index++) target[targetAt + index] = bytes[from + index] ?? 0;
    return length;
  }

  /** The id, eight bytes. It stays as it is. */
  idBytesAt(at: number): Buffer {
    const start = this.#starts[at] ?? 0;
    return this.#bytes.subarray(start, start + ID_BYTES);
  }

  /** Copies the id. */
  copyId(at: number, target: Uint8Array): void {
    const start = this.#starts[at] ?? 0;
    for (let index = 0; index < ID_BYTES; index++) target[index] = this.#bytes[start + index] ?? 0;
  }

  parentAt(at: number): bigint | undefined {
    return this.#parents[this.#parentOf[at] ?? TAKEN];
  }

  /** The id of a name. */
  idOf(parent: bigint, name: string): bigint | undefined {
    const parentNumber = this.#parentNumbers.get(parent);
    if (parentNumber === undefined) return undefined;
    const hash = hashOf(parentNumber, name);
    const mask = this.#byName.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const at = (this.#byName[slot] ?? 0) - 1;
      if (at < 0) return undefined;
      if (this.#hashes[at] !== hash || this.#parentOf[at] !== parentNumber) continue;
      if (this.#nameAt(at) === name) return this.#bytes.readBigUInt64BE(this.#starts[at]);
    }
  }

  has(id: bigint): boolean {
    return this.#placeOf(id) !== undefined;
  }

  /** Names and ids of a directory. */
  *childrenOf(parent: bigint): Generator<readonly [name: string, id: bigint]> {
    const parentNumber = this.#parentNumbers.get(parent);
    if (parentNumber === undefined) return;
    for (let at = 0; at < this.#count; at++)
      if (this.#parentOf[at] === parentNumber)
        yield [this.#nameAt(at), this.#bytes.readBigUInt64BE(this.#starts[at])];
  }

  /** Takes the name of an id out, and returns its record. */
  take(id: bigint): NodeRecord | undefined {
    const at = this.#placeOf(id);
    if (at === undefined) return undefined;
    const record = this.recordAt(at);
    this.#parentOf[at] = TAKEN;
    this.#live--;
    return record;
  }

  /** Those at the places from `from` to `end`, in as few pieces as there are. */
  *groups(from: number, end: number): Generator<NameGroup> {
    for (let first = from; first < end;) {
      const number = this.#parentOf[first] ?? TAKEN;
      let behind = first + 1;
      while (behind < end && this.#parentOf[behind] === number) behind++;
      const parent = this.#parents[number];
      const finish = behind < this.#count ? (this.#starts[behind] ?? 0) : this.#used;
      const bytes = this.#bytes.subarray(this.#starts[first], finish);
      if (parent !== undefined) yield { parent, count: behind - first, bytes };
      first = behind;
    }
  }

  /** Places in the order of their ids. */
  byId(): Uint32Array {
    const count = this.#count;
    // What an id begins with, as far as a number has room for the place behind it: nearly in order is good enough.
    const keys = new Float64Array(count);
    const places = 2 ** Math.ceil(Math.log2(count + 1));
    const shift = 2 ** 52 / places / 2 ** 32;
    for (let at = 0; at < count; at++) {
      const high = this.#bytes.readUInt32BE(this.#starts[at]);
      keys[at] = Math.floor(high * Math.min(1, shift)) * places + at;
    }
    keys.sort();
    return Uint32Array.from(keys, (key) => key % places);
  }

  #nameAt(at: number): string {
    const start = this.#starts[at] ?? 0;
    const end = start + NAME_HEAD_BYTES + this.#bytes.readUInt16BE(start + 9);
    return this.#bytes.toString('utf8', start + NAME_HEAD_BYTES, end);
  }

  #placeOf(id: bigint): number | undefined {
    this.#id[0] = id;
    const low = this.#halves.getUint32(0, true);
    const high = this.#halves.getUint32(4, true);
    const mask = this.#byId.length - 1;
    for (let slot = low & mask; ; slot = (slot + 1) & mask) {
      const at = (this.#byId[slot] ?? 0) - 1;
      if (at < 0) return undefined;
      const start = this.#starts[at] ?? 0;
      const isIt = this.#bytes.readUInt32BE(start + 4) === low && this.#bytes.readUInt32BE(start) === high;
      if (isIt && this.#parentOf[at] !== TAKEN) return at;
    }
  }

  #enter(at: number): void {
    const mask = this.#byId.length - 1;
    // Ids are hashes: any bits of them will do.
    let slot = this.#bytes.readUInt32BE((this.#starts[at] ?? 0) + 4) & mask;
    while (this.#byId[slot] !== 0) slot = (slot + 1) & mask;
    this.#byId[slot] = at + 1;
    slot = (this.#hashes[at] ?? 0) & mask;
    while (this.#byName[slot] !== 0) slot = (slot + 1) & mask;
    this.#byName[slot] = at + 1;
  }

  #factsNumber(facts: unknown): number | undefined {
    const known = this.#facts.indexOf(facts);
    if (known !== -1) return known;
    return this.#facts.length < FACTS_MAX ? this.#facts.push(facts) - 1 : undefined;
  }

  #parentNumber(parent: bigint): number {
    const known = this.#parentNumbers.get(parent);
    if (known !== undefined) return known;
    const number = this.#parents.push(parent) - 1;
    this.#parentNumbers.set(parent, number);
    return number;
  }

  /** For one name more. */
  #makeRoom(nameBytesMax: number): void {
    const bytes = this.#used + NAME_HEAD_BYTES + nameBytesMax;
    if (bytes > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(bytes, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    if (this.#count < this.#starts.length) return;
    const places = 2 * this.#starts.length;
    this.#starts = enlarged(this.#starts, new Uint32Array(places));
    this.#parentOf = enlarged(this.#parentOf, new Uint32Array(places));
    this.#hashes = enlarged(this.#hashes, new Int32Array(places));
    this.#byId = new Uint32Array(SLOTS_A_NAME * places);
    this.#byName = new Uint32Array(SLOTS_A_NAME * places);
    for (let at = 0; at < this.#count; at++) this.#enter(at);
  }
}

function enlarged<Numbers extends Uint32Array | Int32Array>(old: Numbers, larger: Numbers): Numbers {
  larger.set(old);
  return larger;
}

function hashOf(parentNumber: number, name: string): number {
  let hash = HASH_BASIS ^ parentNumber;
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), HASH_PRIME);
  return hash ^ (hash >>> 15);
}
