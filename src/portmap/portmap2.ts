/** The port mapper, version 2 (RFC 1833 section 3): ports over IPv4. */
import { IPPROTO_TCP, IPPROTO_UDP, type PORTMAP2 } from '../../protocol/portmap/program.js';
import type { Handlers } from '../../protocol/program.js';
import type { Call } from '../rpc/service.js';
import { isLocal, ownerOf } from './caller.js';
import { refuseQuietly } from './refusals.js';
import { mappingOf, type PortRegistry } from './registry.js';
import type { PortmapStatistics } from './statistics.js';

export interface Portmap2Options {
  readonly registry: PortRegistry;
  readonly statistics: PortmapStatistics;
}

export function portmap2Handlers({ registry, statistics }: Portmap2Options): Handlers<typeof PORTMAP2, Call> {
  return {
    NULL: () => undefined,
    SET: (mapping, call) => statistics.set(2, isLocal(call) && registry.setMapping(mapping, ownerOf(call))),
    UNSET: (mapping, call) =>
      statistics.unset(2, isLocal(call) && registry.unsetMapping(mapping, ownerOf(call))),
    GETPORT: ({ prog, vers, prot }, { localAddress }) => {
      const netid = netidOfProtocol(prot);
      const found = netid === undefined ? undefined : registry.find({ prog, vers, netid, at: localAddress });
      const port = (found === undefined ? undefined : mappingOf(found)?.port) ?? 0;
      if (netid !== undefined) statistics.asked(2, prog, vers, netid, port !== 0);
      return port;
    },
    DUMP: () => [...registry.mappings()],
    CALLIT: (_args, call) => refuseQuietly(call),
  };
}

/** The network id over IPv4 of a mapping's `prot`. */
function netidOfProtocol(prot: number): 'tcp' | 'udp' | undefined {
  switch (prot) {
    case IPPROTO_TCP:
      return 'tcp';
    case IPPROTO_UDP:
      return 'udp';
    default:
      return undefined;
  }
}
