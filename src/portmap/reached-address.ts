/**
 * The address of this machine that a caller should use for a program that listens on all of them ("merging", as rpcbind calls it):
 *
 *   the address that the call came to, where the socket tells
 *   -> the one the caller says it came to, if it is this machine's
 *   -> this machine's in the caller's network
 *   -> the first that isn't loopback -> any
 *
 * TCP always tells; UDP does unless the socket itself listens on all addresses.
 */
import { BlockList, isIPv6 } from 'node:net';
import {
  canonicalAddress,
  formatUniversalAddress,
  isUnspecified,
  parseUniversalAddress,
} from '../../protocol/portmap/universal-address.js';

/** An address of this machine, as os.networkInterfaces() lists them. */
export interface InterfaceAddress {
  readonly address: string;
  readonly family: 'IPv4' | 'IPv6';
  readonly internal: boolean;
  /** `192.0.2.1/24`. */
  readonly cidr: string | null;
}

export interface Reached {
  readonly localAddress: string;
  readonly remoteAddress: string;
  /** Universal address that the caller says it reached this machine by; empty if it says nothing. */
  readonly hint: string;
  readonly interfaces: () => readonly InterfaceAddress[];
}

/** A registered universal address as this caller can use it. What names a host, or is no address of the Internet, stays as it is. */
export function mergedAddress(registered: string, reached: Reached): string {
  const address = parseUniversalAddress(registered);
  if (address === undefined || !isUnspecified(address.host)) return registered;
  const host = reachedHost(reached, address.host === '::' ? 'IPv6' : 'IPv4');
  return host === undefined ? registered : formatUniversalAddress({ host, port: address.port });
}

function reachedHost(
  { localAddress, remoteAddress, hint, interfaces }: Reached,
  family: InterfaceAddress['family'],
): string | undefined {
  if (!isUnspecified(localAddress) && familyOf(localAddress) === family) return localAddress;
  const own = interfaces().filter((known) => known.family === family);
  const hinted = parseUniversalAddress(hint)?.host;
  const found =
    own.find(({ address }) => canonicalAddress(address) === hinted) ??
    own.find(({ cidr }) => cidr !== null && isInNetwork(remoteAddress, cidr)) ??
    own.find(({ internal }) => !internal) ??
    own[0];
  return found?.address;
}

function isInNetwork(address: string, cidr: string): boolean {
  const [network = '', bits = ''] = cidr.split('/');
  const list = new BlockList();
  list.addSubnet(network, Number(bits), isIPv6(network) ? 'ipv6' : 'ipv4');
  return list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}

function familyOf(address: string): InterfaceAddress['family'] {
  return isIPv6(address) ? 'IPv6' : 'IPv4';
}
