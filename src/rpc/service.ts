/**
 * What the RPC layer asks of a program and tells its handlers: the seam between sockets and programs. The RPC layer
 * knows programs, calls and callers; it knows no file systems.
 */
import type { Handlers, Program } from '../../protocol/program.js';

/** Who calls, as the RPC header says it. AUTH_NONE has no ids. */
export interface Credential {
  readonly flavor: 'AUTH_NONE' | 'AUTH_SYS';
  readonly uid?: number;
  readonly gid?: number;
  readonly gids?: readonly number[];
  /** The name the client gives its machine: for logs, never for access. */
  readonly machineName?: string;
}

/** One call, while its handler runs. */
export interface Call {
  /** Transaction id, chosen by the client; a retransmission carries the same. */
  readonly xid: number;
  readonly credential: Credential;
  /** The caller's numeric IP address (IPv4-mapped IPv6 addresses are given as IPv4). */
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** The address and port of this server that the call came to. */
  readonly localAddress: string;
  readonly localPort: number;
  readonly transport: 'tcp' | 'udp';
  /** Aborted when the caller's connection is gone and nobody waits for the reply of an idempotent call, and at shutdown's end. */
  readonly signal: AbortSignal;
  /**
   * Runs `release` once, after the reply has been handed to the kernel or dropped. Buffers that the reply references
   * belong to the reply until then.
   */
  onReplySent(release: () => void): void;
}

/** Thrown by a handler for an RPC-level refusal: AUTH_ERROR with the RFC's auth_stat (RFC 5531 section 9). */
export class RpcAuthError extends Error {
  override readonly name = 'RpcAuthError';
  readonly stat: 'AUTH_BADCRED' | 'AUTH_TOOWEAK' | 'AUTH_REJECTEDCRED';
  constructor(stat: RpcAuthError['stat']) {
    super(`call refused with ${stat}`);
    this.stat = stat;
  }
}

/** Thrown by a handler for accept_stat SYSTEM_ERR where the program's results have no arm for a failure, or PROC_UNAVAIL for a refused procedure. */
export class RpcRefusal extends Error {
  override readonly name = 'RpcRefusal';
  readonly stat: 'SYSTEM_ERR' | 'PROC_UNAVAIL';
  constructor(stat: RpcRefusal['stat'], reason: string) {
    super(reason);
    this.stat = stat;
  }
}

/** Thrown by a handler that wants no reply sent by UDP, where the program says so: a refused CALLIT (RFC 1833). Cuts a TCP connection. */
export class RpcSilence extends Error {
  override readonly name = 'RpcSilence';
}

/** A program with its handlers, ready to be registered with a dispatcher. */
export interface Service<G extends Program = Program> {
  readonly program: G;
  readonly handlers: Handlers<G, Call>;
}

/** Ties the handlers' types to the program's. */
export function service<G extends Program>(program: G, handlers: Handlers<G, Call>): Service<G> {
  return { program, handlers };
}
