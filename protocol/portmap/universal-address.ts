/**
 * Universal addresses, which name a host and a port in text (RFC 5665 section 5.2.3): `192.0.2.1.8.1` and `2001:db8::1.8.1` are port 2049.
 * And the network ids that say by which protocol.
 */
import { isIPv4, isIPv6, SocketAddress } from 'node:net';
import { IPPROTO_TCP, IPPROTO_UDP } from './program.js';

/** The network ids of the Internet's transports (RFC 5665 section 5.2.3). Other ids are words like any other. */
const TRANSPORTS = {
  tcp: { protocol: IPPROTO_TCP, family: 4 },
  udp: { protocol: IPPROTO_UDP, family: 4 },
  tcp6: { protocol: IPPROTO_TCP, family: 6 },
  udp6: { protocol: IPPROTO_UDP, family: 6 },
} as const;

export type InternetNetid = keyof typeof TRANSPORTS;

export interface InternetTransport {
  /** IPPROTO_TCP or IPPROTO_UDP. */
  readonly protocol: number;
  /** IP version. */
  readonly family: 4 | 6;
}

export interface HostAndPort {
  /** Numeric address. */
  readonly host: string;
  readonly port: number;
}

/** Undefined for an id that isn't one of the Internet's, such as `local`. */
export function internetTransport(netid: string): InternetTransport | undefined {
  const name = netid.toLowerCase();
  return Object.hasOwn(TRANSPORTS, name) ? TRANSPORTS[name as InternetNetid] : undefined;
}

/** The network id of a transport by which `address` is reached. */
export function netidOf(transport: 'tcp' | 'udp', address: string): InternetNetid {
  return address.includes(':') ? `${transport}6` : transport;
}

/** Host in its canonical form, without zone. */
export function formatUniversalAddress({ host, port }: HostAndPort): string {
  return `${canonicalAddress(host)}.${port >> 8}.${port & 0xff}`;
}

/** Undefined for what is none. */
export function parseUniversalAddress(text: string): HostAndPort | undefined {
  const match = /^(.+)\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  const [, host = '', high = '', low = ''] = match ?? [];
  if (!isIPv4(host) && !isIPv6(host)) return undefined;
  if (Number(high) > 0xff || Number(low) > 0xff) return undefined;
  return { host: canonicalAddress(host), port: Number(high) * 0x100 + Number(low) };
}

/** As inet_ntop writes it: `::1` rather than `0:0:0:0:0:0:0:1`. */
export function canonicalAddress(host: string): string {
  const address = host.split('%', 1)[0] ?? host;
  return new SocketAddress({ address, family: isIPv6(address) ? 'ipv6' : 'ipv4' }).address;
}

/** `0.0.0.0` and `::`: every address of the machine. */
export function isUnspecified(host: string): boolean {
  return host === '0.0.0.0' || host === '::';
}
