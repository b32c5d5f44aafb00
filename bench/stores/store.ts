/** What the cases want of a store: where it is, and what it has been used for. */

/** Since its start. */
export interface StoreUse {
  /** By S3 operation. */
  readonly requests: Readonly<Record<string, number>>;
  /** Bytes of objects that went over the wire. */
  readonly bytes: number;
  /** Of all its processes. */
  readonly cpuSeconds: number;
}

export interface Store {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  use(): Promise<StoreUse>;
  close(): Promise<void>;
}

export function requestsBetween(before: StoreUse, after: StoreUse): Record<string, number> {
  return Object.fromEntries(
    Object.entries(after.requests)
      .map(([name, count]) => [name, count - (before.requests[name] ?? 0)] as const)
      .filter(([, count]) => count > 0),
  );
}
