/** An address as the rest of the server knows it: IPv4-mapped IPv6 (RFC 4291 section 2.5.5.2) as the IPv4 address that it is. */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  return mapped?.[1] ?? address;
}
