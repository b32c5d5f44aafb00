/** The port mapper service, version 2 (RFC 1833 section 3), for machines without rpcbind. */
import { PORTMAP2 } from '../../protocol/portmap/program.js';
import { RpcRefusal, service, type Call, type Service } from '../rpc/service.js';
import type { PortRegistry } from './registry.js';

export function portmapService(registry: PortRegistry): Service<typeof PORTMAP2> {
  return service(PORTMAP2, {
    NULL: () => undefined,
    SET: (mapping, call) => isLocal(call) && registry.set(mapping),
    UNSET: (mapping, call) => isLocal(call) && registry.unset(mapping),
    GETPORT: (mapping) => registry.port(mapping),
    DUMP: () => [...registry.mappings()],
    // It would make calls in the caller's name from this machine's address: the classic way around address checks, and an amplifier.
    CALLIT: () => {
      throw new RpcRefusal('PROC_UNAVAIL', 'indirect calls are not served');
    },
  });
}

/** Who may change mappings: programs on this machine. The kernel drops datagrams from outside that claim such an address. */
function isLocal({ remoteAddress }: Call): boolean {
  return remoteAddress.startsWith('127.') || remoteAddress === '::1';
}
