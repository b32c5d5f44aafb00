/** What a port mapper tells of its caller: whether it is on this machine, who it is, and by which transport it came. */
import { netidOf, type InternetNetid } from '../../protocol/portmap/universal-address.js';
import type { Call } from '../rpc/service.js';

/** Ports that only root may bind (IPPORT_RESERVED). */
const RESERVED_PORTS = 1024;

/** The owner that may take any registration away, and its name in listings, as rpcbind has it. */
export const SUPERUSER = 'superuser';

/** Who may change registrations: programs on this machine. The kernel drops datagrams from outside that claim such an address. */
export function isLocal({ remoteAddress }: Call): boolean {
  return remoteAddress.startsWith('127.') || remoteAddress === '::1';
}

/**
 * Whose a registration is: the superuser's from a reserved port, else of the user that AUTH_SYS claims. That claim keeps programs from
 * taking each other's registrations away by mistake, not by intent; nobody becomes root by it.
 */
export function ownerOf({ remotePort, credential }: Call): string {
  if (remotePort < RESERVED_PORTS) return SUPERUSER;
  const { uid = 0 } = credential;
  return uid === 0 ? 'unknown' : String(uid);
}

/** The network id that a call came by: what GETADDR answers for (RFC 1833 section 2.2.1), whatever its arguments say. */
export function callerNetid({ transport, remoteAddress }: Call): InternetNetid {
  return netidOf(transport, remoteAddress);
}
