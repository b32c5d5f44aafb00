/**
 * The rpcbind of this machine, by the best way there is:
 *
 *   its Unix socket, version 4 -> version 3    who we are is the kernel's word; IPv4 and IPv6
 *   -> UDP from a reserved port, version 2 -> TCP, the same    IPv4 only
 */
import { hostname } from 'node:os';
import { PMAP_PORT, PORTMAP2 } from '../../protocol/portmap/program.js';
import { RPCBIND3, RPCBIND4, type rpcb } from '../../protocol/portmap/rpcbind.js';
import { formatUniversalAddress, internetTransport } from '../../protocol/portmap/universal-address.js';
import { AUTH_SYS, authsys_parms, NULL_AUTH, type opaque_auth } from '../../protocol/rpc.js';
import { encode } from '../../protocol/xdr.js';
import type { Logger } from '../telemetry/log.js';
import { mappingOf } from './registry.js';
import { callProcedure, RpcAnswerError } from './rpc-call.js';
import { datagramPeer, RpcPeerSilent, streamPeer, type RpcPeer } from './rpc-peer.js';

/** Where libtirpc and rpcbind expect the socket (_PATH_RPCBINDSOCK). */
const SOCKET_PATH = '/run/rpcbind.sock';

/** rpcbind didn't do what it was asked. The message says what, and what can be done. */
export class SystemRpcbindError extends Error {
  override readonly name = 'SystemRpcbindError';
}

export interface SystemRpcbindOptions {
  readonly log: Logger;
  /** Default /run/rpcbind.sock. */
  readonly socketPath?: string;
  /** Where it is by UDP and TCP. Default 127.0.0.1 and 111. */
  readonly host?: string;
  readonly port?: number;
  /** Milliseconds until a datagram is sent again. Default 500: it never leaves the machine. */
  readonly timeoutMs?: number;
  /** Times that a datagram is sent. Default 4. */
  readonly attempts?: number;
}

export interface SystemRpcbind {
  /** For messages: `rpcbind at /run/rpcbind.sock (version 4)`. */
  readonly name: string;
  /** False for a registration that this way has no words for. */
  covers(entry: rpcb): boolean;
  /** True if UNSET takes all transports of a version away at once. */
  readonly unsetsVersions: boolean;
  /** What is registered, by network ids of the Internet and others. */
  entries(): Promise<readonly rpcb[]>;
  set(entry: rpcb): Promise<boolean>;
  unset(entry: rpcb): Promise<boolean>;
  close(): void;
}

/** Fails with SystemRpcbindError if there is no rpcbind, or none that answers. */
export async function connectRpcbind(options: SystemRpcbindOptions): Promise<SystemRpcbind> {
  const { log, socketPath = SOCKET_PATH, host = '127.0.0.1', port = PMAP_PORT } = options;
  const { timeoutMs = 500, attempts = 4 } = options;
  const limits = { timeoutMs, attempts };
  const address = { host, port, reservedPort: true };
  const at = `${host}:${port}`;
  const ways: readonly [name: string, open: () => Promise<SystemRpcbind>][] = [
    [socketPath, async () => await bySocket(socketPath, timeoutMs * attempts)],
    [`${at} by UDP`, async () => await byVersion2(`${at} by UDP`, await datagramPeer(address, limits))],
    [
      `${at} by TCP`,
      async () =>
        await byVersion2(`${at} by TCP`, await streamPeer(address, { timeoutMs: timeoutMs * attempts })),
    ],
  ];
  const reasons: string[] = [];
  for (const [name, open] of ways) {
    try {
      return await open();
    } catch (error) {
      const reason = reasonOf(error);
      log.info({ rpcbind: name, reason }, 'rpcbind is not to be had this way');
      reasons.push(`${name}: ${reason}`);
    }
  }
  throw new SystemRpcbindError(`rpcbind could not be asked: ${reasons.join('; ')}`);
}

async function bySocket(path: string, timeoutMs: number): Promise<SystemRpcbind> {
  const peer = await streamPeer({ path }, { timeoutMs });
  try {
    const credential = ownCredential();
    const program = await versionOf(peer, credential);
    return {
      name: `rpcbind at ${path} (version ${program.version})`,
      unsetsVersions: false,
      covers: () => true,
      entries: async () => await callProcedure(peer, program, 'DUMP', undefined, credential),
      set: async (entry) => await callProcedure(peer, program, 'SET', entry, credential),
      unset: async (entry) => await callProcedure(peer, program, 'UNSET', entry, credential),
      close: () => peer.close(),
    };
  } catch (error) {
    peer.close();
    throw error;
  }
}

/** The newest version that it has. */
async function versionOf(peer: RpcPeer, credential: opaque_auth): Promise<typeof RPCBIND4 | typeof RPCBIND3> {
  try {
    await callProcedure(peer, RPCBIND4, 'NULL', undefined, credential);
    return RPCBIND4;
  } catch (error) {
    if (!(error instanceof RpcAnswerError) || error.stat !== 'PROG_MISMATCH') throw error;
    await callProcedure(peer, RPCBIND3, 'NULL', undefined, credential);
    return RPCBIND3;
  }
}

async function byVersion2(name: string, peer: RpcPeer): Promise<SystemRpcbind> {
  const change = async (procedure: 'SET' | 'UNSET', entry: rpcb): Promise<boolean> => {
    const mapping = mappingOf(entry);
    return mapping !== undefined && (await callProcedure(peer, PORTMAP2, procedure, mapping));
  };
  try {
    await callProcedure(peer, PORTMAP2, 'NULL', undefined);
  } catch (error) {
    peer.close();
    throw error;
  }
  return {
    name: `rpcbind at ${name} (version 2)`,
    unsetsVersions: true,
    covers: (entry) => internetTransport(entry.r_netid)?.family === 4,
    entries: async () =>
      (await callProcedure(peer, PORTMAP2, 'DUMP', undefined)).flatMap(({ prog, vers, prot, port }) => {
        const r_netid = (['tcp', 'udp'] as const).find((id) => internetTransport(id)?.protocol === prot);
        if (r_netid === undefined || port > 0xffff) return [];
        const r_addr = formatUniversalAddress({ host: '0.0.0.0', port });
        return [{ r_prog: prog, r_vers: vers, r_netid, r_addr, r_owner: 'unknown' }];
      }),
    set: async (entry) => await change('SET', entry),
    unset: async (entry) => await change('UNSET', entry),
    close: () => peer.close(),
  };
}

/** AUTH_SYS with this process's ids. rpcbind asks the kernel about a Unix socket's other end, and looks at this where it can't. */
function ownCredential(): opaque_auth {
  const { getuid, getgid } = process;
  if (getuid === undefined || getgid === undefined) return NULL_AUTH;
  const machinename = Buffer.from(hostname()).subarray(0, 255);
  const parms = { stamp: 0, machinename, uid: getuid.call(process), gid: getgid.call(process), gids: [] };
  return { flavor: AUTH_SYS, body: encode(authsys_parms, parms) };
}

function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof RpcPeerSilent) return error.message;
  return code ?? (error instanceof Error ? error.message : String(error));
}
