/** What a command is answered, in one form for the server under test and for the reference, so that the two can be compared. */
import type { Attributes, ChangeReport } from '../../src/fs/file-system.js';

/** A file that an answer tells of. */
export interface Told {
  /** Which of the answer's files: `object`, `directory`, or an entry's name. */
  readonly role: string;
  readonly attributes: Attributes;
  readonly handle?: Buffer;
}

export interface Entry {
  readonly name: string;
  readonly fileid: bigint;
  readonly attributes?: Attributes | undefined;
  readonly handle?: Buffer;
}

export interface Answer {
  /** nfsstat3, or what is wrong with the answer itself. */
  readonly status: string;
  /** What the client reads from it: must be equal. */
  readonly data?: unknown;
  /** Bytes of a READ: must be equal. */
  readonly bytes?: Buffer;
  readonly told?: readonly Told[];
  readonly changes?: readonly (ChangeReport & { readonly role: string })[];
  /** Of a listing, in any order. */
  readonly entries?: readonly Entry[];
  /** What the next commands may name by a slot. */
  readonly found?: Buffer;
  /** Write verifier, in hexadecimal. */
  readonly verifier?: string;
  /** Of PAGE: where it goes on, and whether that is the end. */
  readonly page?: { readonly cookie: bigint; readonly end: boolean };
}

/** The answer for a person. */
export function describe({ status, data, bytes, entries }: Answer): string {
  const read =
    bytes === undefined
      ? ''
      : ` ${bytes.length} bytes ${JSON.stringify(bytes.subarray(0, 24).toString('latin1'))}`;
  const listed =
    entries === undefined ? '' : ` [${entries.map(({ name }) => JSON.stringify(name)).join(' ')}]`;
  return `${status}${data === undefined ? '' : ` ${JSON.stringify(data)}`}${read}${listed}`;
}
