/** Addresses to listen on and networks to let in. */
import ipaddr from 'ipaddr.js';

/** An address to listen on; the port where it says one, otherwise the configured port goes. */
export interface ListenAddress {
  /** Numeric address, without brackets. */
  readonly host: string;
  readonly port?: number;
  /** May be missing on this machine: `localhost` asks for ::1 where there is IPv6. */
  readonly optional?: true;
}

/** `127.0.0.1`, `0.0.0.0:2049`, `::`, `[::1]:2049`, `localhost` (both loopbacks). */
export function parseListenAddress(text: string): readonly ListenAddress[] | undefined {
  const match =
    /^\[(?<bracketed>[^\]]+)\](?::(?<port6>\d+))?$/.exec(text) ??
    /^(?<plain>localhost|[\d.]+)(?::(?<port4>\d+))?$/.exec(text);
  const host = match?.groups?.['bracketed'] ?? match?.groups?.['plain'] ?? text;
  const portText = match?.groups?.['port6'] ?? match?.groups?.['port4'];
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && port > 65535) return undefined;
  const withPort = port === undefined ? {} : { port };
  if (host === 'localhost') {
    return [
      { host: '127.0.0.1', ...withPort },
      { host: '::1', ...withPort, optional: true },
    ];
  }
  const valid = ipaddr.IPv4.isValidFourPartDecimal(host) || ipaddr.IPv6.isValid(host);
  return valid ? [{ host, ...withPort }] : undefined;
}

/** A network such as `10.0.0.0/8`, or one address; normalised to CIDR. */
export function parseNetwork(text: string): string | undefined {
  const [address = '', prefix] = text.split('/');
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return undefined;
  const bits = ipaddr.parse(address).kind() === 'ipv4' ? 32 : 128;
  if (prefix === undefined) return `${address}/${bits}`;
  return ipaddr.isValidCIDR(text) ? text : undefined;
}

export function isLoopback(host: string): boolean {
  return ipaddr.process(host).range() === 'loopback';
}

/** Tests numeric addresses against networks; no networks let nobody in. IPv4-mapped IPv6 addresses count as IPv4. */
export function networkMatcher(networks: readonly string[]): (address: string) => boolean {
  const parsed = networks.map((network) => ipaddr.parseCIDR(network));
  return (address) => {
    // A zone (fe80::1%eth0) says which link, not which host.
    const bare = address.split('%')[0] ?? '';
    if (!ipaddr.isValid(bare)) return false;
    const candidate = ipaddr.process(bare);
    return parsed.some(([network, bits]) => {
      if (candidate instanceof ipaddr.IPv4) {
        return network instanceof ipaddr.IPv4 && candidate.match(network, bits);
      }
      return network instanceof ipaddr.IPv6 && candidate.match(network, bits);
    });
  };
}
