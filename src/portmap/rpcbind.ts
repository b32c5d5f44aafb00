/** rpcbind, versions 3 and 4 (RFC 1833 section 2): universal addresses, by whatever transport the call came. */
import type { ArgsOf, Handlers } from '../../protocol/program.js';
import {
  NC_TPI_CLTS,
  NC_TPI_COTS_ORD,
  type rpcb,
  type rpcb_entry,
  type RPCBIND3,
  type RPCBIND4,
} from '../../protocol/portmap/rpcbind.js';
import { IPPROTO_TCP } from '../../protocol/portmap/program.js';
import { internetTransport } from '../../protocol/portmap/universal-address.js';
import type { Call } from '../rpc/service.js';
import { callerNetid, isLocal, ownerOf } from './caller.js';
import { mergedAddress, type InterfaceAddress } from './reached-address.js';
import { refuse, refuseQuietly } from './refusals.js';
import type { PortRegistry } from './registry.js';
import type { PortmapStatistics } from './statistics.js';
import { sockaddrOf, universalAddressOf } from './transport-address.js';

export interface RpcbindOptions {
  readonly registry: PortRegistry;
  readonly statistics: PortmapStatistics;
  readonly interfaces: () => readonly InterfaceAddress[];
}

type Rpcbind3 = Handlers<typeof RPCBIND3, Call>;
type CommonHandlers = Omit<Rpcbind3, 'CALLIT'>;

export function rpcbind3Handlers(options: RpcbindOptions): Rpcbind3 {
  return { ...commonHandlers(3, options), CALLIT: (_args, call) => refuseQuietly(call) };
}

export function rpcbind4Handlers(options: RpcbindOptions): Handlers<typeof RPCBIND4, Call> {
  return {
    ...commonHandlers(4, options),
    BCAST: (_args, call) => refuseQuietly(call),
    GETVERSADDR: (wanted, call) => addressOf(4, wanted, call, { ...options, exact: true }),
    INDIRECT: () => refuse(),
    GETADDRLIST: (wanted, call) => addressList(wanted, call, options),
    GETSTAT: () => options.statistics.byVersion(),
  };
}

function commonHandlers(version: 3 | 4, options: RpcbindOptions): CommonHandlers {
  const { registry, statistics } = options;
  return {
    NULL: () => undefined,
    // What the caller says of the owner is ignored, as in rpcbind.
    SET: (entry, call) =>
      statistics.set(version, isLocal(call) && registry.set({ ...entry, r_owner: ownerOf(call) })),
    UNSET: (entry, call) => statistics.unset(version, isLocal(call) && registry.unset(entry, ownerOf(call))),
    GETADDR: (wanted, call) => addressOf(version, wanted, call, { ...options, exact: false }),
    DUMP: () => [...registry.entries()],
    GETTIME: () => Math.floor(Date.now() / 1000),
    UADDR2TADDR: (address, call) => {
      const buf = sockaddrOf(address, callerNetid(call));
      return { maxlen: buf.length, buf };
    },
    TADDR2UADDR: ({ buf }, call) => universalAddressOf(buf, callerNetid(call)),
  };
}

/** GETADDR and GETVERSADDR: empty if the program isn't registered. The network id is the call's own (RFC 1833 2.2.1). */
function addressOf(
  version: 3 | 4,
  { r_prog: prog, r_vers: vers, r_addr: hint }: ArgsOf<typeof RPCBIND4, 'GETADDR'>,
  call: Call,
  { registry, statistics, interfaces, exact }: RpcbindOptions & { readonly exact: boolean },
): string {
  const netid = callerNetid(call);
  const found = registry.find({ prog, vers, netid, at: call.localAddress, exact });
  statistics.asked(version, prog, vers, netid, found !== undefined);
  return found === undefined ? '' : merged(found, call, hint, interfaces);
}

/** GETADDRLIST: this version by all transports of the call's protocol family. */
function addressList(
  { r_prog: prog, r_vers: vers, r_addr: hint }: rpcb,
  call: Call,
  { registry, interfaces }: RpcbindOptions,
): rpcb_entry[] {
  const family = internetTransport(callerNetid(call))?.family;
  const netids = family === 6 ? ['tcp6', 'udp6'] : ['tcp', 'udp'];
  return netids.flatMap((netid) => {
    const found = registry.find({ prog, vers, netid, at: call.localAddress, exact: true });
    const transport = internetTransport(netid);
    if (found === undefined || transport === undefined) return [];
    const isTcp = transport.protocol === IPPROTO_TCP;
    return [
      {
        r_maddr: merged(found, call, hint, interfaces),
        r_nc_netid: netid,
        r_nc_semantics: isTcp ? NC_TPI_COTS_ORD : NC_TPI_CLTS,
        r_nc_protofmly: transport.family === 6 ? 'inet6' : 'inet',
        r_nc_proto: isTcp ? 'tcp' : 'udp',
      },
    ];
  });
}

function merged(
  { r_addr }: rpcb,
  { localAddress, remoteAddress }: Call,
  hint: string,
  interfaces: RpcbindOptions['interfaces'],
): string {
  return mergedAddress(r_addr, { localAddress, remoteAddress, hint, interfaces });
}
