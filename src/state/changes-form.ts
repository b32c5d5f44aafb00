/**
 * The binary format of changes of the inode tree in the log of names. Most changes are names that a listing showed for the first time: those are written
 * in a short form, grouped by directory. All others follow as V8 serializes them. Logs of earlier versions have V8's form alone, whose first byte is 0xff.
 *
 *   FORM u8 | length of facts u32 | facts | { parent u64 | count u32 | { id u64 | index of its facts u8 | length u16 | name UTF-8 } ... } ... | 0 u64 | others
 *
 * Numbers are big-endian, lengths in bytes. `facts` are the distinct facts of the names, as V8 serializes them.
 */
import { deserialize, serialize } from 'node:v8';
import { NAME_HEAD_BYTES } from './listed-names.js';
import {
  NodeChanges,
  type ChildChanges,
  type NodeChange,
  type NodeRecord,
  type Removal,
} from './node-changes.js';
import type { NameBatch } from './staged-names.js';

const FORM = 1;
const GROUP_HEAD_BYTES = 8 + 4;
/** Bytes of UTF-8 that one UTF-16 code unit takes at most. */
const UNIT_BYTES_MAX = 3;
const NAME_BYTES_MAX = 0xffff;
const FACTS_MAX = 256;

interface NewName {
  readonly record: NodeRecord;
  readonly facts: number;
}

/** The bytes that `decodeChanges` reads; of the listed names as well, if any. */
export function encodeChanges(
  { nodes, children, removals, burials }: NodeChanges,
  listed?: NameBatch,
): Buffer {
  const numbers = new Map(listed?.names.facts.map((facts, number) => [facts, number]));
  const named = new Map<bigint, NewName[]>();
  const otherNodes = new Map(nodes);
  const otherChildren = new Map<bigint, ChildChanges>();
  let bytes = 0;
  for (const [parent, changes] of children) {
    const names: NewName[] = [];
    const others: ChildChanges = new Map();
    for (const [name, id] of changes) {
      const record = nodes.get(id);
      const facts = isNewName(record, parent, name) ? numberOf(record.facts, numbers) : undefined;
      if (facts === undefined) others.set(name, id);
      else {
        names.push({ record: record as NodeRecord, facts });
        otherNodes.delete(id);
        bytes += NAME_HEAD_BYTES + UNIT_BYTES_MAX * name.length;
      }
    }
    if (names.length > 0) named.set(parent, names);
    if (others.size > 0) otherChildren.set(parent, others);
  }
  const groups = listed === undefined ? [] : [...listed.names.groups(listed.from, listed.end)];
  for (const group of groups) bytes += GROUP_HEAD_BYTES + group.bytes.length;
  const facts = serialize([...numbers.keys()]);
  const head = Buffer.allocUnsafe(1 + 4 + facts.length + GROUP_HEAD_BYTES * named.size + bytes + 8);
  head.writeUInt8(FORM, 0);
  head.writeUInt32BE(facts.length, 1);
  facts.copy(head, 5);
  let at = 5 + facts.length;
  for (const group of groups) {
    at = writeGroupHead(head, at, group.parent, group.count);
    at += group.bytes.copy(head, at);
  }
  for (const [parent, names] of named) {
    at = writeGroupHead(head, at, parent, names.length);
    for (const name of names) at = writeName(head, at, name);
  }
  head.writeBigUInt64BE(0n, at);
  return Buffer.concat([head.subarray(0, at + 8), serialize([otherNodes, otherChildren, removals, burials])]);
}

/** Takes bytes that `encodeChanges` made and that a checksum has confirmed. */
export function decodeChanges(bytes: Buffer): NodeChanges {
  const changes = new NodeChanges();
  const at = bytes[0] === FORM ? readNames(bytes, changes) : 0;
  const [nodes, children, removals, burials] = deserialize(bytes.subarray(at)) as [
    Map<bigint, NodeChange>,
    Map<bigint, ChildChanges>,
    Removal[],
    Removal[],
  ];
  for (const [id, change] of nodes) changes.nodes.set(id, change);
  for (const [parent, names] of children) for (const [name, id] of names) changes.setChild(parent, name, id);
  changes.removals.push(...removals);
  changes.burials.push(...burials);
  return changes;
}

/** Whether the change fits the short form: a new node with the first id of its path, of which nothing is known but its name and facts. */
export function isNewName(
  record: NodeChange | undefined,
  parent: bigint,
  name: string,
): record is NodeRecord {
  return (
    typeof record === 'object' &&
    record.parent === parent &&
    record.name === name &&
    parent !== 0n &&
    !record.removed &&
    !record.drawn &&
    record.place === undefined &&
    record.cookie === undefined &&
    UNIT_BYTES_MAX * name.length <= NAME_BYTES_MAX
  );
}

/** Index of the facts, by identity, since names that share facts share the object. Undefined when there are too many. */
function numberOf(facts: unknown, numbers: Map<unknown, number>): number | undefined {
  const known = numbers.get(facts);
  if (known !== undefined || numbers.size === FACTS_MAX) return known;
  numbers.set(facts, numbers.size);
  return numbers.size - 1;
}

/** Writes what a directory's names begin with; returns where the first of them stands. */
function writeGroupHead(bytes: Buffer, at: number, parent: bigint, count: number): number {
  bytes.writeBigUInt64BE(parent, at);
  bytes.writeUInt32BE(count, at + 8);
  return at + GROUP_HEAD_BYTES;
}

/** Writes one name at `at`; returns where the next one begins. */
function writeName(bytes: Buffer, at: number, { record: { id, name }, facts }: NewName): number {
  const length = bytes.write(name, at + NAME_HEAD_BYTES);
  bytes.writeBigUInt64BE(id, at);
  bytes.writeUInt8(facts, at + 8);
  bytes.writeUInt16BE(length, at + 9);
  return at + NAME_HEAD_BYTES + length;
}

/** Reads the short form into `changes`; returns where the others begin. */
function readNames(bytes: Buffer, changes: NodeChanges): number {
  const begin = 5 + bytes.readUInt32BE(1);
  const shared = deserialize(bytes.subarray(5, begin)) as readonly unknown[];
  for (let at = begin; ;) {
    const parent = bytes.readBigUInt64BE(at);
    at += 8;
    if (parent === 0n) return at;
    const count = bytes.readUInt32BE(at);
    at += 4;
    for (let name = 0; name < count; name++) at = readName(bytes, at, parent, shared, changes);
  }
}

function readName(
  bytes: Buffer,
  at: number,
  parent: bigint,
  shared: readonly unknown[],
  changes: NodeChanges,
): number {
  const id = bytes.readBigUInt64BE(at);
  const facts = shared[bytes.readUInt8(at + 8)];
  const end = at + NAME_HEAD_BYTES + bytes.readUInt16BE(at + 9);
  const name = bytes.toString('utf8', at + NAME_HEAD_BYTES, end);
  changes.nodes.set(id, {
    ...{ id, parent, name, removed: false, drawn: false },
    ...(facts !== undefined && { facts }),
  });
  changes.setChild(parent, name, id);
  return end;
}
