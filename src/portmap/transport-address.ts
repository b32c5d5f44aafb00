/** Transport addresses for UADDR2TADDR and TADDR2UADDR (RFC 1833 2.2.1): Linux's sockaddr_in and sockaddr_in6. */
import { endianness } from 'node:os';
import {
  formatUniversalAddress,
  internetTransport,
  parseUniversalAddress,
  type InternetNetid,
} from '../../protocol/portmap/universal-address.js';

/** Linux's numbers of the families, and the sizes of its structures. */
const AF_INET = 2;
const AF_INET6 = 10;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

/** Where the address lies in them; the port is at 2 in both. */
const IN_ADDRESS_OFFSET = 4;
const IN6_ADDRESS_OFFSET = 8;

/** The sockaddr of a universal address by this network id; no bytes, as rpcbind has it, for what is none. */
export function sockaddrOf(text: string, netid: InternetNetid): Buffer {
  const address = parseUniversalAddress(text);
  const isIPv6 = internetTransport(netid)?.family === 6;
  if (address === undefined || address.host.includes(':') !== isIPv6) return Buffer.alloc(0);
  const sockaddr = Buffer.alloc(isIPv6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES);
  writeFamily(sockaddr, isIPv6 ? AF_INET6 : AF_INET);
  sockaddr.writeUInt16BE(address.port, 2);
  const bytes = isIPv6 ? bytesOfIPv6(address.host) : Buffer.from(address.host.split('.').map(Number));
  bytes.copy(sockaddr, isIPv6 ? IN6_ADDRESS_OFFSET : IN_ADDRESS_OFFSET);
  return sockaddr;
}

/** The universal address of a sockaddr by this network id; empty for what is none. */
export function universalAddressOf(sockaddr: Buffer, netid: InternetNetid): string {
  const isIPv6 = internetTransport(netid)?.family === 6;
  if (sockaddr.length < (isIPv6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES)) return '';
  if (readFamily(sockaddr) !== (isIPv6 ? AF_INET6 : AF_INET)) return '';
  const port = sockaddr.readUInt16BE(2);
  const host = isIPv6
    ? Array.from({ length: 8 }, (_, group) =>
        sockaddr.readUInt16BE(IN6_ADDRESS_OFFSET + 2 * group).toString(16),
      ).join(':')
    : [...sockaddr.subarray(IN_ADDRESS_OFFSET, IN_ADDRESS_OFFSET + 4)].join('.');
  return formatUniversalAddress({ host, port });
}

/** The sixteen bytes of an IPv6 address in its canonical form, which may end in an IPv4 address. */
function bytesOfIPv6(host: string): Buffer {
  const [before = '', after] = host.split('::', 2);
  const [head, tail] = [groupsOf(before), groupsOf(after ?? '')];
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => 0);
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...head, ...zeros, ...tail].entries()) bytes.writeUInt16BE(group, 2 * index);
  return bytes;
}

function groupsOf(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (!group.includes('.')) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split('.').map(Number);
    return [a * 0x100 + b, c * 0x100 + d];
  });
}

/** `sa_family` is in the order of this machine. */
function writeFamily(sockaddr: Buffer, family: number): void {
  if (endianness() === 'LE') sockaddr.writeUInt16LE(family, 0);
  else sockaddr.writeUInt16BE(family, 0);
}

function readFamily(sockaddr: Buffer): number {
  return endianness() === 'LE' ? sockaddr.readUInt16LE(0) : sockaddr.readUInt16BE(0);
}
