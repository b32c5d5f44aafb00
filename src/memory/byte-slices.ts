/** Bytes that belong to somebody else until they are released. */
export interface ByteSlices {
  /** In order; unchanged until `release`. */
  readonly slices: readonly Buffer[];
  /** Bytes in all slices. */
  readonly count: number;
  /** Called exactly once. */
  release(): void;
}

/** One version of an object's bytes: what a reader belongs to. */
export interface ObjectVersion {
  readonly key: string;
  /** With its quotes. */
  readonly etag: string;
  /** Bytes. */
  readonly size: number;
}
