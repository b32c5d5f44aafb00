/**
 * XDR (RFC 4506) codec combinators. A codec is a value that knows how to read and write one wire type; its TypeScript
 * type is inferred from it, so a type is written once:
 *
 *   const diropargs3 = struct({ dir: nfs_fh3, name: filename3 });
 *   type diropargs3 = Infer<typeof diropargs3>;
 *
 * Every length is checked against the type's maximum and against the bytes that remain before anything is allocated.
 * Decoded opaques are views into the record that was decoded: whoever keeps one beyond the call copies it.
 */

import { XdrError, XdrReader, XdrWriter } from './xdr-cursors.js';

/** One wire type: `decode` reads a value from a reader, `encode` appends it to a writer. Both throw XdrError. */
export interface Codec<T> {
  decode(reader: XdrReader): T;
  encode(writer: XdrWriter, value: T): void;
}

/** The TypeScript type that a codec carries. */
export type Infer<C> = C extends Codec<infer T> ? T : never;

/** `codec`'s value from exactly these bytes. */
export function decode<T>(codec: Codec<T>, bytes: Uint8Array): T {
  const reader = new XdrReader(bytes);
  const value = codec.decode(reader);
  reader.end();
  return value;
}

/** `value` as one buffer. */
export function encode<T>(codec: Codec<T>, value: T): Buffer {
  const writer = new XdrWriter();
  codec.encode(writer, value);
  return Buffer.concat(writer.finish());
}

/** Void (RFC 4506 4.16): no bytes. */
export const xvoid: Codec<undefined> = {
  decode: () => undefined,
  encode: () => undefined,
};

/** Unsigned integer (RFC 4506 4.2). */
export const u32: Codec<number> = {
  decode: (reader) => reader.u32(),
  encode: (writer, value) => {
    if (!Number.isInteger(value) || value < 0 || value > 0xffffffff)
      throw new XdrError(`not a uint32: ${value}`);
    writer.u32(value);
  },
};

/** Integer (RFC 4506 4.1). */
export const i32: Codec<number> = {
  decode: (reader) => reader.i32(),
  encode: (writer, value) => {
    if (!Number.isInteger(value) || value < -0x80000000 || value > 0x7fffffff)
      throw new XdrError(`not an int32: ${value}`);
    writer.i32(value);
  },
};

/** Unsigned hyper integer (RFC 4506 4.5). */
export const u64: Codec<bigint> = {
  decode: (reader) => reader.u64(),
  encode: (writer, value) => {
    if (value < 0n || value > 0xffffffffffffffffn) throw new XdrError(`not a uint64: ${value}`);
    writer.u64(value);
  },
};

/** Hyper integer (RFC 4506 4.5). */
export const i64: Codec<bigint> = {
  decode: (reader) => reader.i64(),
  encode: (writer, value) => {
    if (value < -0x8000000000000000n || value > 0x7fffffffffffffffn)
      throw new XdrError(`not an int64: ${value}`);
    writer.i64(value);
  },
};

/** Boolean (RFC 4506 4.4): 0 or 1, nothing else. */
export const bool: Codec<boolean> = {
  decode: (reader) => {
    const value = reader.u32();
    if (value > 1) throw new XdrError(`expected a boolean, got ${value}`);
    return value === 1;
  },
  encode: (writer, value) => writer.u32(value ? 1 : 0),
};

/** Enumeration (RFC 4506 4.3) as the RFC's names: `xenum({ NF3REG: 1, NF3DIR: 2 })` is a `Codec<'NF3REG' | 'NF3DIR'>`. */
export function xenum<const M extends Readonly<Record<string, number>>>(
  names: M,
): Codec<Extract<keyof M, string>> {
  type Name = Extract<keyof M, string>;
  const byValue = new Map(Object.entries(names).map(([name, value]) => [value, name as Name]));
  return {
    decode: (reader) => {
      const value = reader.i32();
      const name = byValue.get(value);
      if (name === undefined) throw new XdrError(`unknown enum value ${value}`);
      return name;
    },
    encode: (writer, name) => {
      const value = names[name];
      if (value === undefined) throw new XdrError(`unknown enum name ${name}`);
      writer.i32(value);
    },
  };
}

function boundedLength(reader: XdrReader, max: number): number {
  const length = reader.u32();
  if (length > max) throw new XdrError(`expected at most ${max} bytes, got ${length}`);
  return length;
}

/** Fixed-length opaque (RFC 4506 4.9). */
export function fixedOpaque(length: number): Codec<Buffer> {
  return {
    decode: (reader) => reader.bytes(length),
    encode: (writer, value) => {
      if (value.length !== length) throw new XdrError(`expected ${length} bytes, got ${value.length}`);
      writer.bytes(value);
    },
  };
}

/** Variable-length opaque of at most `max` bytes (RFC 4506 4.10). */
export function opaque(max: number): Codec<Buffer> {
  return {
    decode: (reader) => reader.bytes(boundedLength(reader, max)),
    encode: (writer, value) => {
      if (value.length > max) throw new XdrError(`expected at most ${max} bytes, got ${value.length}`);
      writer.u32(value.length);
      writer.bytes(value);
    },
  };
}

/** The same bytes as `opaque`, given as slices that are sent without joining them. Decodes to one slice. */
export function opaqueSlices(max: number): Codec<readonly Buffer[]> {
  return {
    decode: (reader) => [reader.bytes(boundedLength(reader, max))],
    encode: (writer, slices) => {
      const length = slices.reduce((sum, slice) => sum + slice.length, 0);
      if (length > max) throw new XdrError(`expected at most ${max} bytes, got ${length}`);
      writer.u32(length);
      for (const slice of slices) writer.raw(slice);
      writer.pad(length);
    },
  };
}

/**
 * String of at most `max` bytes (RFC 4506 4.11), as bytes: names are compared as bytes, and whether they are UTF-8 is for
 * the file system to judge.
 */
export const bytestring = (max: number): Codec<Buffer> => opaque(max);

/** String of at most `max` bytes that must be UTF-8. */
export function utf8(max: number): Codec<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  const bytes = opaque(max);
  return {
    decode: (reader) => {
      const raw = bytes.decode(reader);
      try {
        return decoder.decode(raw);
      } catch (cause) {
        throw new XdrError('expected UTF-8', { cause });
      }
    },
    encode: (writer, value) => bytes.encode(writer, Buffer.from(value, 'utf8')),
  };
}

/** Variable-length array of at most `max` items (RFC 4506 4.13). `itemBytesMin` bounds the count by the bytes that remain. */
export function array<T>(item: Codec<T>, max: number, itemBytesMin = 4): Codec<T[]> {
  return {
    decode: (reader) => {
      const count = reader.u32();
      if (count > max) throw new XdrError(`expected at most ${max} items, got ${count}`);
      if (count * itemBytesMin > reader.remaining)
        throw new XdrError(`${count} items don't fit ${reader.remaining} bytes`);
      const items: T[] = [];
      for (let i = 0; i < count; i++) items.push(item.decode(reader));
      return items;
    },
    encode: (writer, items) => {
      if (items.length > max) throw new XdrError(`expected at most ${max} items, got ${items.length}`);
      writer.u32(items.length);
      for (const value of items) item.encode(writer, value);
    },
  };
}

/** Fixed-length array (RFC 4506 4.12). */
export function fixedArray<T>(item: Codec<T>, count: number): Codec<T[]> {
  return {
    decode: (reader) => Array.from({ length: count }, () => item.decode(reader)),
    encode: (writer, items) => {
      if (items.length !== count) throw new XdrError(`expected ${count} items, got ${items.length}`);
      for (const value of items) item.encode(writer, value);
    },
  };
}

/** Linked list as the RFCs write it (`entry *next`): a boolean before each item, false at the end; at most `max` items. */
export function list<T>(item: Codec<T>, max: number): Codec<T[]> {
  return {
    decode: (reader) => {
      const items: T[] = [];
      while (bool.decode(reader)) {
        if (items.length >= max) throw new XdrError(`expected at most ${max} items`);
        items.push(item.decode(reader));
      }
      return items;
    },
    encode: (writer, items) => {
      for (const value of items) {
        writer.u32(1);
        item.encode(writer, value);
      }
      writer.u32(0);
    },
  };
}

/** Optional data (RFC 4506 4.19). */
export function optional<T>(item: Codec<T>): Codec<T | undefined> {
  return {
    decode: (reader) => (bool.decode(reader) ? item.decode(reader) : undefined),
    encode: (writer, value) => {
      bool.encode(writer, value !== undefined);
      if (value !== undefined) item.encode(writer, value);
    },
  };
}

type Fields = Readonly<Record<string, Codec<never> | Codec<unknown>>>;
type StructOf<F> = { [K in keyof F]: Infer<F[K]> };

/** Structure (RFC 4506 4.14): fields in the order written. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the fields' own types are recovered by StructOf
export function struct<const F extends Readonly<Record<string, Codec<any>>>>(fields: F): Codec<StructOf<F>> {
  const entries = Object.entries(fields as Fields) as [string, Codec<unknown>][];
  const members = entries.map(([name, codec]) => ({ name, codec }));
  return {
    decode: (reader) => {
      const value: Record<string, unknown> = {};
      for (const member of members) value[member.name] = member.codec.decode(reader);
      return value as StructOf<F>;
    },
    encode: (writer, value) => {
      const fieldsOf = value as Record<string, unknown>;
      for (const member of members) member.codec.encode(writer, fieldsOf[member.name]);
    },
  };
}

/** An arm of a union: the field that holds the arm's value, and its codec. `arm()` is a void arm. */
export type Arm<N extends string, T> = { readonly field: N; readonly codec: Codec<T> };
type VoidArm = { readonly field?: undefined; readonly codec?: undefined };
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as above
type AnyArm = Arm<string, any> | VoidArm;

export function arm(): VoidArm;
export function arm<const N extends string, T>(field: N, codec: Codec<T>): Arm<N, T>;
export function arm(field?: string, codec?: Codec<unknown>): AnyArm {
  return field === undefined || codec === undefined ? {} : { field, codec };
}

type ArmFields<A> = A extends Arm<infer N, infer T> ? { [K in N]: T } : unknown;
type Tagged<D extends string, K, A> = K extends string ? { [P in D]: K } & ArmFields<A> : never;
/** One member for all the other tags, so that a value whose tag is known as "one of these" is assignable whatever their number. */
type Otherwise<D extends string, K, A> = [K] extends [never] ? never : { [P in D]: K } & ArmFields<A>;
type UnionOf<D extends string, Tag extends string, Arms, Default> =
  | { [K in keyof Arms]: Tagged<D, K, Arms[K]> }[keyof Arms]
  | (Default extends AnyArm ? Otherwise<D, Exclude<Tag, keyof Arms>, Default> : never);

/**
 * Discriminated union (RFC 4506 4.15): `union('status', nfsstat3, { NFS3_OK: arm('resok', ok) }, arm('resfail', fail))` is
 * `{ status: 'NFS3_OK', resok } | { status: <each other name>, resfail }`. Without a default arm an unlisted tag fails.
 */
export function union<
  const D extends string,
  Tag extends string,
  const Arms extends { readonly [K in Tag]?: AnyArm },
  const Default extends AnyArm | undefined = undefined,
>(discriminant: D, tag: Codec<Tag>, arms: Arms, fallback?: Default): Codec<UnionOf<D, Tag, Arms, Default>> {
  type Value = UnionOf<D, Tag, Arms, Default>;
  const armOf = (name: Tag): AnyArm => {
    const found: AnyArm | undefined = arms[name] ?? fallback;
    if (found === undefined) throw new XdrError(`no arm for ${name}`);
    return found;
  };
  return {
    decode: (reader) => {
      const name = tag.decode(reader);
      const { field, codec } = armOf(name);
      const value: Record<string, unknown> = { [discriminant]: name };
      if (field !== undefined) value[field] = (codec as Codec<unknown>).decode(reader);
      return value as Value;
    },
    encode: (writer, value) => {
      const fields = value as Record<string, unknown>;
      const name = fields[discriminant] as Tag;
      tag.encode(writer, name);
      const { field, codec } = armOf(name);
      if (field !== undefined) (codec as Codec<unknown>).encode(writer, fields[field]);
    },
  };
}

/** A codec that refers to one defined later (recursive types). */
export function lazy<T>(make: () => Codec<T>): Codec<T> {
  let codec: Codec<T> | undefined;
  const get = (): Codec<T> => (codec ??= make());
  return { decode: (reader) => get().decode(reader), encode: (writer, value) => get().encode(writer, value) };
}
