/** What the store keeps of objects and uploads: in memory, and as lines of a bucket's journal. */
import type { Checksum, UploadChecksum } from './checksums.js';
import { RenameTokens, type MadeRename } from './rename-tokens.js';
import type { Tags } from './tags.js';

/** Headers kept with an object and given back: lower-case names of HTTP headers, and the user's metadata among them. */
export type StoredHeaders = Readonly<Record<string, string>>;

/** What tells a data file from one changed by hand: a copy that keeps times keeps it. */
export interface Fingerprint {
  readonly size: number;
  readonly mtimeNs: bigint;
}

export interface ObjectRecord extends Fingerprint {
  /** Without quotes. */
  readonly etag: string;
  readonly lastModifiedMs: number;
  readonly headers: StoredHeaders;
  readonly checksum: Checksum | undefined;
  /** Sizes of the parts it was completed from, in order. */
  readonly partSizes: readonly number[] | undefined;
  /** The parts' own checksums, base64, in the algorithm of `checksum`, where it was completed from parts. */
  readonly partChecksums?: readonly string[] | undefined;
  /** The object's tag set; undefined for none. */
  readonly tags?: Tags | undefined;
  /** The upload that made it: a repeated CompleteMultipartUpload is known by it. */
  readonly uploadId: string | undefined;
  /** The side area's file that holds the bytes; undefined when they lie at the key's own path. */
  readonly blob: string | undefined;
}

/** What a new object is, beside its bytes. */
export type ObjectDescription = Pick<
  ObjectRecord,
  'etag' | 'lastModifiedMs' | 'headers' | 'checksum' | 'partSizes' | 'partChecksums' | 'tags' | 'uploadId'
>;

export interface PartRecord {
  readonly partNumber: number;
  readonly blob: string;
  readonly size: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
  /** base64, in the upload's algorithm; undefined in journals older than S3's default checksum. */
  readonly checksum: string | undefined;
}

export interface UploadRecord {
  readonly uploadId: string;
  readonly key: string;
  readonly initiatedMs: number;
  readonly headers: StoredHeaders;
  /** What its creator asked for; undefined for S3's default. */
  readonly checksum: UploadChecksum | undefined;
  readonly tags?: Tags | undefined;
  /** A DELETE of the key succeeded since it began: it can't be completed with If-None-Match any more. */
  readonly overtaken?: boolean;
  readonly parts: Map<number, PartRecord>;
}

/**
 * A journal line. `put` is the moment an object comes to be (and its upload ends): its bytes are in the side area under `blob` then,
 * and may have moved to the key's path since. `delete` is the moment it ends; its file may still be there, `gone` says it isn't.
 */
export type JournalLine =
  | (Omit<ObjectRecord, 'mtimeNs' | 'blob'> & {
      readonly op: 'put';
      readonly key: string;
      readonly mtimeNs: string;
      readonly blob: string;
    })
  | { readonly op: 'delete'; readonly key: string; readonly size: number; readonly mtimeNs: string }
  | { readonly op: 'gone'; readonly key: string }
  | (Omit<UploadRecord, 'parts'> & { readonly op: 'upload' })
  | (PartRecord & { readonly op: 'part'; readonly uploadId: string })
  | { readonly op: 'overtaken'; readonly uploadId: string }
  | { readonly op: 'abort'; readonly uploadId: string }
  | RenameLine
  | (MadeRename & { readonly op: 'renamed' });

/**
 * The object at `from` is at `key` from here on: as a `put` there, whose bytes have a second name in the side area until they are in
 * place, and a `delete` of `from` (whose file has `mtimeNs` of its own where the bytes had to be copied), in one line.
 */
interface RenameLine {
  readonly op: 'rename';
  readonly from: string;
  readonly fromMtimeNs: string;
  readonly put: Extract<JournalLine, { op: 'put' }>;
  readonly made?: MadeRename;
}

export interface BucketState {
  readonly objects: Map<string, ObjectRecord>;
  /** Objects deleted whose files may still be there. */
  readonly deleted: Map<string, Fingerprint>;
  readonly uploads: Map<string, UploadRecord>;
  readonly renames: RenameTokens;
}

export function emptyState(): BucketState {
  return { objects: new Map(), deleted: new Map(), uploads: new Map(), renames: new RenameTokens() };
}

export function putLine(
  key: string,
  record: ObjectRecord,
  blob: string,
): Extract<JournalLine, { op: 'put' }> {
  return { ...record, op: 'put', key, blob, mtimeNs: String(record.mtimeNs) };
}

/** The whole state as lines. Objects without a line of their own (made by hand) need none. */
export function* stateLines(
  objects: ReadonlyMap<string, ObjectRecord>,
  renames: RenameTokens,
  uploads: Iterable<JournalLine>,
): Generator<JournalLine> {
  for (const [key, record] of objects) yield putLine(key, record, record.blob ?? '');
  for (const made of renames.all()) yield { ...made, op: 'renamed' };
  yield* uploads;
}

/** Takes one line into the state: journals are replayed by it. Every object's `blob` is the line's until somebody looks for the file. */
export function applyLine(state: BucketState, line: JournalLine): void {
  switch (line.op) {
    case 'put': {
      const { key } = line;
      // Field by field: a start makes one for each line of the journal, and a copy of what isn't known beforehand takes many times as long.
      state.objects.set(key, {
        size: line.size,
        mtimeNs: BigInt(line.mtimeNs),
        etag: line.etag,
        lastModifiedMs: line.lastModifiedMs,
        headers: line.headers,
        checksum: line.checksum,
        partSizes: line.partSizes,
        partChecksums: line.partChecksums,
        tags: line.tags,
        uploadId: line.uploadId,
        // A line of a rewritten journal: the bytes were at the key's path then.
        blob: line.blob === '' ? undefined : line.blob,
      });
      state.deleted.delete(key);
      if (line.uploadId !== undefined) state.uploads.delete(line.uploadId);
      return;
    }
    case 'delete':
      state.objects.delete(line.key);
      state.deleted.set(line.key, { size: line.size, mtimeNs: BigInt(line.mtimeNs) });
      return;
    case 'gone':
      state.deleted.delete(line.key);
      return;
    case 'upload': {
      const { op: _op, ...upload } = line;
      state.uploads.set(line.uploadId, { ...upload, checksum: upload.checksum, parts: new Map() });
      return;
    }
    case 'part': {
      const { op: _op, uploadId, ...part } = line;
      state.uploads.get(uploadId)?.parts.set(part.partNumber, { ...part, checksum: part.checksum });
      return;
    }
    case 'overtaken': {
      const upload = state.uploads.get(line.uploadId);
      if (upload !== undefined) state.uploads.set(line.uploadId, { ...upload, overtaken: true });
      return;
    }
    case 'abort':
      state.uploads.delete(line.uploadId);
      return;
    case 'rename':
      state.objects.delete(line.from);
      state.deleted.set(line.from, { size: line.put.size, mtimeNs: BigInt(line.fromMtimeNs) });
      applyLine(state, line.put);
      if (line.made !== undefined) state.renames.add(line.made);
      return;
    case 'renamed': {
      const { op: _op, ...made } = line;
      state.renames.add(made);
    }
  }
}
