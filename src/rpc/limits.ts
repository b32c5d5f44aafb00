/** The bounds of the RPC layer. Past a bound the server stops reading a socket, drops a datagram or cuts a client; it doesn't grow. */

export interface RpcLimits {
  /** Bytes of one record, summed over its fragments. */
  readonly recordBytesMax: number;
  /** Fragments of one record. */
  readonly fragmentsMax: number;
  /** Fragments without a byte in one record. */
  readonly emptyFragmentsMax: number;
  /** TCP connections at a time; one more is closed at once. */
  readonly connectionsMax: number;
  /** Calls of one connection that run at a time. */
  readonly callsPerConnectionMax: number;
  /** Bytes of the calls of one connection that run at a time. The call that passes the bound still runs. */
  readonly requestBytesPerConnectionMax: number;
  /** Bytes of replies that one connection has not taken yet. */
  readonly replyBytesPerConnectionMax: number;
  /** Bytes of the calls of all connections that run at a time. */
  readonly requestBytesMax: number;
  /** Milliseconds without a call after which a connection is closed. */
  readonly idleTimeoutMs: number;
  /** Milliseconds for a record from its first byte to its last. */
  readonly partialRecordTimeoutMs: number;
  /**
   * While other connections wait for a buffer for a large record, those that have one for a record that isn't complete must move
   * `contendedRecordBytesMin` within each `contendedRecordTimeoutMs` milliseconds.
   */
  readonly contendedRecordTimeoutMs: number;
  readonly contendedRecordBytesMin: number;
  /** Milliseconds within which a client must take some of the replies that wait for it. */
  readonly drainTimeoutMs: number;
  /** Datagrams that are being answered at a time; others are dropped. */
  readonly udpCallsMax: number;
  /** Bytes of a reply by UDP; a longer one is dropped, so that a forged source address gains little. */
  readonly udpReplyBytesMax: number;
  /** Bytes of replies kept for retransmissions, of all calls but bulk ones (WRITE). */
  readonly replyCacheBytesMax: number;
  /** Their number. */
  readonly replyCacheEntriesMax: number;
  /** Bytes of the replies to bulk calls that are kept. */
  readonly bulkReplyCacheBytesMax: number;
  readonly bulkReplyCacheEntriesMax: number;
  /** Milliseconds for which a reply is kept. Two timeouts of a Linux client over TCP (`timeo=600`, 60 s). */
  readonly replyCacheAgeMs: number;
}

const MIB = 1024 * 1024;

export const DEFAULT_RPC_LIMITS: RpcLimits = {
  // A WRITE of 1 MiB (the most that Linux sends) and room for the headers.
  recordBytesMax: MIB + 64 * 1024,
  fragmentsMax: 4096,
  emptyFragmentsMax: 16,
  connectionsMax: 1024,
  // Twice the 128 slots that a Linux client usually fills on one connection.
  callsPerConnectionMax: 256,
  requestBytesPerConnectionMax: 16 * MIB,
  replyBytesPerConnectionMax: 8 * MIB,
  requestBytesMax: 256 * MIB,
  // Linux closes an idle connection itself after 5 minutes.
  idleTimeoutMs: 10 * 60_000,
  partialRecordTimeoutMs: 60_000,
  // A quarter of a Mbit/s, and longer than TCP takes to repair a loss.
  contendedRecordTimeoutMs: 2_000,
  contendedRecordBytesMin: 64 * 1024,
  drainTimeoutMs: 60_000,
  udpCallsMax: 64,
  udpReplyBytesMax: 8192,
  replyCacheBytesMax: 16 * MIB,
  replyCacheEntriesMax: 16_384,
  // A WRITE's reply has 160 bytes; with its entry it counts for 360.
  bulkReplyCacheBytesMax: 8 * MIB,
  bulkReplyCacheEntriesMax: 16_384,
  replyCacheAgeMs: 120_000,
};
