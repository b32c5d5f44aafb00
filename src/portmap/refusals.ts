/**
 * Calls in the caller's name: CALLIT, BCAST, INDIRECT. They would come from this machine's address, the classic way around address
 * checks, and their answers would make it an amplifier. No version makes them.
 */
import { RpcRefusal, RpcSilence, type Call } from '../rpc/service.js';

/** CALLIT and BCAST: failures aren't answered (RFC 1833 2.2.1), for a broadcast would bring as many as there are machines. */
export function refuseQuietly({ transport }: Call): never {
  if (transport === 'udp') throw new RpcSilence('indirect calls are not served');
  throw new RpcRefusal('PROC_UNAVAIL', 'indirect calls are not served');
}

/** INDIRECT: failures are answered. The answer is shorter than the call. */
export function refuse(): never {
  throw new RpcRefusal('PROC_UNAVAIL', 'indirect calls are not served');
}
