/** Which program is at which address: this server's own programs, and those that others on this machine have set. */
import type { mapping } from '../../protocol/portmap/program.js';
import type { rpcb } from '../../protocol/portmap/rpcbind.js';
import {
  formatUniversalAddress,
  internetTransport,
  isUnspecified,
  parseUniversalAddress,
} from '../../protocol/portmap/universal-address.js';
import { SUPERUSER } from './caller.js';

/** Registrations that others may set: far more than a machine runs RPC programs. */
const FOREIGN_MAX = 256;
const PORT_MAX = 65_535;

export interface Wanted {
  readonly prog: number;
  readonly vers: number;
  readonly netid: string;
  /** This server's address that the caller came to: of several registrations, the one there is meant. */
  readonly at?: string;
  /** Never another version. */
  readonly exact?: boolean;
}

export class PortRegistry {
  readonly #own: rpcb[];
  #foreign: rpcb[] = [];

  /** `own` may have a program several times with one network id: at several addresses of this machine. */
  constructor({ own = [] }: { readonly own?: readonly rpcb[] } = {}) {
    this.#own = [...own];
  }

  /** Adds programs of this server, which nobody can take away or shadow. */
  add(...entries: readonly rpcb[]): void {
    this.#own.push(...entries);
  }

  /** All registrations, this server's first. */
  entries(): readonly rpcb[] {
    return [...this.#own, ...this.#foreign];
  }

  /** What version 2 can say of them: those over IPv4. */
  mappings(): readonly mapping[] {
    const mappings = this.entries().flatMap((entry) => {
      const mapping = mappingOf(entry);
      return mapping === undefined ? [] : [mapping];
    });
    return [...new Map(mappings.map((mapping) => [Object.values(mapping).join(), mapping])).values()];
  }

  /**
   * Where a program is. Where the version is not registered, another version's place, as RFC 1833 2.2.1 has it: the caller then learns
   * from the program itself which versions it has (PROG_MISMATCH).
   */
  find({ prog, vers, netid, at, exact = false }: Wanted): rpcb | undefined {
    const candidates = this.entries().filter(
      (known) => known.r_prog === prog && sameNetid(known.r_netid, netid),
    );
    const registered = candidates.some((known) => known.r_vers === vers);
    if (exact && !registered) return undefined;
    const version = registered ? vers : candidates[0]?.r_vers;
    const places = candidates.filter((known) => known.r_vers === version);
    return (
      places.find((known) => hostOf(known) === at) ??
      places.find((known) => isUnspecified(hostOf(known) ?? '')) ??
      places[0]
    );
  }

  /** Sets a registration of another program. False if it is taken by another address, or makes no sense, or is one too many. */
  set(entry: rpcb): boolean {
    const { r_prog, r_vers, r_netid } = entry;
    const known = this.entries().filter(
      (at) => at.r_prog === r_prog && at.r_vers === r_vers && sameNetid(at.r_netid, r_netid),
    );
    if (known.length > 0) return known.some((at) => at.r_addr === entry.r_addr);
    if (!isRegistrable(entry) || this.#foreign.length >= FOREIGN_MAX) return false;
    this.#foreign.push({ ...entry });
    return true;
  }

  /** `set` as version 2 says it: at every IPv4 address of this machine. */
  setMapping({ prog, vers, prot, port }: mapping, owner: string): boolean {
    const r_netid = IPV4_NETIDS.find((netid) => internetTransport(netid)?.protocol === prot);
    if (r_netid === undefined || port > PORT_MAX) return false;
    const own = this.#own.find(
      (known) => known.r_prog === prog && known.r_vers === vers && known.r_netid === r_netid,
    );
    if (own !== undefined) return parseUniversalAddress(own.r_addr)?.port === port;
    const r_addr = formatUniversalAddress({ host: '0.0.0.0', port });
    return this.set({ r_prog: prog, r_vers: vers, r_netid, r_addr, r_owner: owner });
  }

  /**
   * Removes a version of another program, by one network id, or by all for an empty one. False, and nothing is removed, if one of them is
   * this server's or another owner's. True, as rpcbind has it, if nothing was there.
   */
  unset({ r_prog, r_vers, r_netid }: Pick<rpcb, 'r_prog' | 'r_vers' | 'r_netid'>, owner: string): boolean {
    const matches = (known: rpcb): boolean =>
      known.r_prog === r_prog &&
      known.r_vers === r_vers &&
      (r_netid === '' || sameNetid(known.r_netid, r_netid));
    if (this.#own.some(matches)) return false;
    const isOthers = (known: rpcb): boolean => matches(known) && known.r_owner !== owner;
    if (owner !== SUPERUSER && this.#foreign.some(isOthers)) return false;
    this.#foreign = this.#foreign.filter((known) => !matches(known));
    return true;
  }

  /** `unset` as version 2 says it: by both protocols (RFC 1833 3.2), over IPv4 as in rpcbind. */
  unsetMapping({ prog, vers }: Pick<mapping, 'prog' | 'vers'>, owner: string): boolean {
    const results = IPV4_NETIDS.map((r_netid) => this.unset({ r_prog: prog, r_vers: vers, r_netid }, owner));
    return results.every(Boolean);
  }
}

const IPV4_NETIDS = ['tcp', 'udp'] as const;

/** A registration as version 2 has it; undefined for one that isn't over IPv4. */
export function mappingOf({ r_prog, r_vers, r_netid, r_addr }: rpcb): mapping | undefined {
  const transport = internetTransport(r_netid);
  const port = parseUniversalAddress(r_addr)?.port;
  if (transport?.family !== 4 || port === undefined) return undefined;
  return { prog: r_prog, vers: r_vers, prot: transport.protocol, port };
}

/** rpcbind compares them without regard to case. */
function sameNetid(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

function hostOf({ r_addr }: rpcb): string | undefined {
  return parseUniversalAddress(r_addr)?.host;
}

/** One of the Internet's network ids wants an address of its family with a port; of others nothing is known. */
function isRegistrable({ r_netid, r_addr }: rpcb): boolean {
  if (r_netid === '' || r_addr === '') return false;
  const transport = internetTransport(r_netid);
  if (transport === undefined) return true;
  const address = parseUniversalAddress(r_addr);
  if (address === undefined || address.port === 0) return false;
  return address.host.includes(':') === (transport.family === 6);
}
