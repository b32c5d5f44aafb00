/** dirlist3 and dirlistplus3 (RFC 1813 3.3.16, 3.3.17). A sender may have some entries as the bytes that they are sent as: those of a directory's page don't change from call to call. */
import { bool, type Codec } from '../xdr.js';
import { XdrError } from '../xdr-cursors.js';

/** Entries as a list has them, the mark before each included; they come before the entry at that index. */
export interface EncodedEntries {
  readonly before: number;
  readonly bytes: Buffer;
}

export interface DirectoryList<T> {
  entries: T[];
  eof: boolean;
  /** In order. What was received has none. */
  encoded?: readonly EncodedEntries[] | undefined;
}

/** At most `max` entries, but for those that are encoded. */
export function directoryList<T>(entry: Codec<T>, max: number): Codec<DirectoryList<T>> {
  return {
    decode: (reader) => {
      const entries: T[] = [];
      while (bool.decode(reader)) {
        if (entries.length >= max) throw new XdrError(`expected at most ${max} items`);
        entries.push(entry.decode(reader));
      }
      return { entries, eof: bool.decode(reader) };
    },
    encode: (writer, { entries, eof, encoded = [] }) => {
      let next = 0;
      for (const [at, value] of entries.entries()) {
        for (let part = encoded[next]; part?.before === at; part = encoded[++next]) writer.raw(part.bytes);
        writer.u32(1);
        entry.encode(writer, value);
      }
      for (const { bytes } of encoded.slice(next)) writer.raw(bytes);
      writer.u32(0);
      bool.encode(writer, eof);
    },
  };
}
