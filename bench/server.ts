/** What a case measures: the daemon, or a peer, another NFS server over the same store. */
import type { NfsClient } from '../test/support/nfs-client.js';

/** What calls are counted of. */
export interface MeasuredServer {
  readonly pid: number;
  /** Of NFS and MOUNT. */
  readonly port: number;
  cpuSeconds(): number;
  /** How late the event loop was since the last time, in milliseconds; where there is one. */
  eventLoopP99Ms?(): Promise<number>;
  /** Resolves when the store has all that was written, where an answer to COMMIT doesn't say so: whether that took waiting. */
  stored?(): Promise<boolean>;
  /** What it keeps in files, where that isn't in its memory. */
  cachedMiB?(): Promise<number>;
  close(): Promise<void>;
}

export interface NfsServer extends MeasuredServer {
  /** A client with all procedures, and the root of the export. */
  mount(): Promise<{ readonly nfs: NfsClient; readonly root: Buffer }>;
}

export interface ServerOptions {
  readonly storeUrl: string;
  /** PEM file of the store's certificate. */
  readonly certificateFile?: string;
  /** As of `--memory-limit` of the daemon. */
  readonly memoryLimit: string;
  /** Options for Node before the daemon's program. */
  readonly nodeArguments?: readonly string[];
  /** Further options of `s3nfsd serve`; a peer has none of them. */
  readonly serveArguments?: readonly string[];
}

export type StartServer = (options: ServerOptions) => Promise<NfsServer>;

/** A server to compare with. */
export interface Peer {
  readonly name: string;
  readonly version: string;
  /** What it is started with, but for addresses and keys. */
  readonly options: readonly string[];
  readonly start: StartServer;
}
