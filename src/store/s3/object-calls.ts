/**
 * The calls that carry nearly all the traffic, each one attempt and in plain values: made by the SDK (sdk-calls.ts) or by our own
 * transport (direct-calls.ts). Both give the same answers and the same errors (error-map.ts); retries and checks are above them.
 */
import type {
  Body,
  ListRequest,
  ObjectChecksum,
  ObjectHeaders,
  PartChecksum,
  WriteCondition,
  WrittenObject,
} from '../object-store.js';
import type { Attempt } from './attempt.js';

/** What the head of an answer tells of an object. */
export interface AnsweredObject {
  readonly headers: ObjectHeaders;
  /** With its quotes. */
  readonly etag: string | undefined;
  /** Bytes of the body, of the object for HEAD. */
  readonly contentLength: number | undefined;
  readonly contentRange: string | undefined;
  /** Milliseconds since the epoch, as the two below. */
  readonly lastModifiedMs: number | undefined;
  /** The server's clock. */
  readonly dateMs: number | undefined;
  /** Where they were asked for and are there. */
  readonly checksums: readonly PartChecksum[];
  /** That of all bytes in one, likewise. */
  readonly fullChecksum?: ObjectChecksum | undefined;
}

export interface ListedPage {
  /** Keys are spelled by `encoding-type=url`. */
  readonly encoded: boolean;
  readonly contents: readonly {
    readonly key: string | undefined;
    readonly size: number;
    readonly etag: string;
    readonly lastModifiedMs: number;
  }[];
  readonly prefixes: readonly (string | undefined)[];
  /** There is more, from the token on. */
  readonly truncated: boolean;
  readonly continuationToken: string | undefined;
}

export interface GetOptions {
  /** First and last byte. */
  readonly first: number;
  readonly last: number;
  readonly ifMatch: string | undefined;
  /** No range is asked for, as it is all of the object, but the checksum is: S3 tells none with most ranges. */
  readonly whole: boolean;
}

export interface GetHandler {
  /** Before the first byte; what it throws ends the call. */
  head(head: AnsweredObject): void;
  /** In order. The buffer is used again after the call; what it throws ends the call. */
  body(chunk: Buffer): void;
  /** Where the next bytes of the body are wanted, asked after its head: they may be read there and be handed to `body` from there. */
  room?(): Buffer | undefined;
}

export interface PartRequest {
  readonly uploadId: string;
  readonly partNumber: number;
  readonly checksum: PartChecksum | undefined;
}

export interface CopyRequest {
  /** As of `x-amz-copy-source`. */
  readonly source: string;
  readonly sourceEtag: string | undefined;
  /** What the copy is to have: storage class, encryption and redirection never go along by themselves. */
  readonly headers: ObjectHeaders;
  /** Metadata and content headers are these; otherwise the source's go along. */
  readonly replaces: boolean;
  readonly condition: WriteCondition;
}

export interface ObjectCalls {
  /** GetObject; resolves when the answer is whole, or fails. */
  get(key: string, options: GetOptions, attempt: Attempt, handler: GetHandler): Promise<void>;
  /** HeadObject. */
  head(key: string, options: { readonly checksums: boolean }, attempt: Attempt): Promise<AnsweredObject>;
  /** ListObjectsV2, url-encoded. */
  list(request: ListRequest, attempt: Attempt): Promise<ListedPage>;
  /** PutObject; the ETag. */
  put(
    key: string,
    body: Body,
    options: {
      readonly headers: ObjectHeaders;
      /** As of `x-amz-tagging`. */
      readonly tagging: string | undefined;
      readonly condition: WriteCondition;
      readonly checksum: PartChecksum | undefined;
    },
    attempt: Attempt,
  ): Promise<string | undefined>;
  /** DeleteObject. */
  delete(key: string, condition: WriteCondition, attempt: Attempt): Promise<void>;
  /** CopyObject: ETag and LastModified of the copy. */
  copy(key: string, request: CopyRequest, attempt: Attempt): Promise<WrittenObject>;
  /** UploadPart; the ETag. */
  uploadPart(key: string, part: PartRequest, body: Body, attempt: Attempt): Promise<string | undefined>;
}
