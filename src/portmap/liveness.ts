/** Whether a registered program is still there. */
import type { rpcb } from '../../protocol/portmap/rpcbind.js';
import { IPPROTO_UDP } from '../../protocol/portmap/program.js';
import {
  internetTransport,
  isUnspecified,
  parseUniversalAddress,
} from '../../protocol/portmap/universal-address.js';
import { callNull, RpcAnswerError } from './rpc-call.js';
import { datagramPeer, streamPeer, type RpcPeer } from './rpc-peer.js';

/** A live server on the same machine answers at once; one that hangs is given this long. */
const TIMEOUT_MS = 1000;

/**
 * Asks the program's procedure 0. `gone`: nobody listens, or who listens has no such program. Anything else, and what can't be told, is
 * `present`: the registration is then left alone.
 */
export async function presence(entry: rpcb): Promise<'present' | 'gone'> {
  const transport = internetTransport(entry.r_netid);
  const address = parseUniversalAddress(entry.r_addr);
  if (transport === undefined || address === undefined) return 'present';
  const loopback = transport.family === 6 ? '::1' : '127.0.0.1';
  const target = { host: isUnspecified(address.host) ? loopback : address.host, port: address.port };
  const limits = { timeoutMs: TIMEOUT_MS, attempts: 1 };
  let peer: RpcPeer | undefined;
  try {
    peer =
      transport.protocol === IPPROTO_UDP
        ? await datagramPeer(target, limits)
        : await streamPeer(target, limits);
    await callNull(peer, { prog: entry.r_prog, vers: entry.r_vers });
    return 'present';
  } catch (error) {
    if (error instanceof RpcAnswerError) return error.stat === 'PROG_UNAVAIL' ? 'gone' : 'present';
    return (error as NodeJS.ErrnoException).code === 'ECONNREFUSED' ? 'gone' : 'present';
  } finally {
    peer?.close();
  }
}
