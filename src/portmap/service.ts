/** The port mapper's program in its versions 2, 3 and 4 (RFC 1833), for machines without rpcbind. */
import { networkInterfaces } from 'node:os';
import type { Handlers, Program } from '../../protocol/program.js';
import { PORTMAP2 } from '../../protocol/portmap/program.js';
import { RPCBIND3, RPCBIND4 } from '../../protocol/portmap/rpcbind.js';
import { service, type Call, type Service } from '../rpc/service.js';
import { portmap2Handlers } from './portmap2.js';
import type { InterfaceAddress } from './reached-address.js';
import type { PortRegistry } from './registry.js';
import { rpcbind3Handlers, rpcbind4Handlers } from './rpcbind.js';
import { PortmapStatistics } from './statistics.js';

export interface PortmapServices {
  readonly portmap2: Service<typeof PORTMAP2>;
  readonly rpcbind3: Service<typeof RPCBIND3>;
  readonly rpcbind4: Service<typeof RPCBIND4>;
}

/** All versions over one registry. `interfaces` lists this machine's addresses. */
export function portmapServices(
  registry: PortRegistry,
  interfaces: () => readonly InterfaceAddress[] = machineAddresses,
): PortmapServices {
  const statistics = new PortmapStatistics();
  const options = { registry, statistics, interfaces };
  const count = (version: 2 | 3 | 4) => (procedure: number) => statistics.called(version, procedure);
  return {
    portmap2: service(PORTMAP2, counted(PORTMAP2, portmap2Handlers(options), count(2))),
    rpcbind3: service(RPCBIND3, counted(RPCBIND3, rpcbind3Handlers(options), count(3))),
    rpcbind4: service(RPCBIND4, counted(RPCBIND4, rpcbind4Handlers(options), count(4))),
  };
}

/** The same handlers, each telling its procedure's number first. */
function counted<G extends Program>(
  { procedures }: G,
  handlers: Handlers<G, Call>,
  count: (procedure: number) => void,
): Handlers<G, Call> {
  const entries = Object.entries(procedures).map(([name, { number }]) => {
    const handler = handlers[name as keyof Handlers<G, Call>] as (args: unknown, call: Call) => unknown;
    const withCount = (args: unknown, call: Call): unknown => {
      count(number);
      return handler(args, call);
    };
    return [name, withCount];
  });
  return Object.fromEntries(entries) as Handlers<G, Call>;
}

function machineAddresses(): readonly InterfaceAddress[] {
  return Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
}
