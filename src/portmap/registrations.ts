/** Registrations of programs by where they listen. */
import type { Program } from '../../protocol/program.js';
import type { rpcb } from '../../protocol/portmap/rpcbind.js';
import {
  formatUniversalAddress,
  netidOf,
  type HostAndPort,
} from '../../protocol/portmap/universal-address.js';

/** A program of this server, and where it listens. */
export interface Served {
  readonly program: Pick<Program, 'number' | 'version'>;
  readonly transports: readonly ('tcp' | 'udp')[];
  readonly places: readonly HostAndPort[];
}

/** One for each program, transport and place. A place on `::` takes IPv4 as well, and is registered for both. */
export function registrationsOf(served: readonly Served[], owner: string): rpcb[] {
  return served.flatMap(({ program, transports, places }) =>
    places.flatMap(withIPv4).flatMap((place) =>
      transports.map((transport) => ({
        r_prog: program.number,
        r_vers: program.version,
        r_netid: netidOf(transport, place.host),
        r_addr: formatUniversalAddress(place),
        r_owner: owner,
      })),
    ),
  );
}

function withIPv4(place: HostAndPort): readonly HostAndPort[] {
  return place.host === '::' ? [place, { host: '0.0.0.0', port: place.port }] : [place];
}

/**
 * For an rpcbind, which knows one address for each network id: the first. It sends callers to its port at the address that they reached
 * rpcbind by, whatever was registered.
 */
export function oneForEachNetid(entries: readonly rpcb[]): rpcb[] {
  const firsts = new Map<string, rpcb>();
  for (const entry of entries) {
    const key = `${entry.r_prog}.${entry.r_vers}.${entry.r_netid}`;
    if (!firsts.has(key)) firsts.set(key, entry);
  }
  return [...firsts.values()];
}
