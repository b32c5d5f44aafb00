/** Ports that are free, for TCP and UDP, on several addresses at once. */
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import type { ListenAddress } from '../../config/addresses.js';
import { isSystemError, StartError } from './start-error.js';

/** Codes of an address that this machine doesn't have. */
const MISSING_ADDRESS = new Set(['EADDRNOTAVAIL', 'EAFNOSUPPORT']);

/** Tries for a port that one address hands out and the others have free as well. */
const TRIES = 16;

/** Without the optional addresses that this machine doesn't have. */
export async function presentAddresses(
  addresses: readonly ListenAddress[],
): Promise<readonly ListenAddress[]> {
  const present: ListenAddress[] = [];
  for (const address of addresses) {
    if (address.optional === true && MISSING_ADDRESS.has((await bindFailure(address.host, 0)) ?? ''))
      continue;
    present.push(address);
  }
  return present;
}

/** A port that is free on each of `hosts` now. Fails with StartError when there seems to be none. */
export async function freePort(hosts: readonly string[]): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = await anyPort(hosts[0] ?? '127.0.0.1');
    if (await isFree(hosts, port)) return port;
  }
  throw new StartError(`found no port that is free on all of ${hosts.join(', ')}`);
}

/** Whether this process may listen on `port` on each of `hosts` now. */
export async function isFree(hosts: readonly string[], port: number): Promise<boolean> {
  for (const host of hosts) {
    if ((await bindFailure(host, port)) !== undefined) return false;
  }
  return true;
}

/** A failure to listen as a line that says what to do. */
export function listenFailure(
  what: string,
  flag: string,
  host: string,
  port: number,
  error: unknown,
): unknown {
  if (!isSystemError(error)) return error;
  const at = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: `the port is in use; choose another with ${flag} (0: any free one)`,
    EACCES: `not permitted; choose a port above 1023 with ${flag} (0: any free one)`,
    EADDRNOTAVAIL: 'this machine does not have that address',
  };
  const reason = reasons[error.code ?? ''] ?? error.message;
  return new StartError(`cannot listen for ${what} on ${at}: ${reason}`, { cause: error });
}

async function anyPort(host: string): Promise<number> {
  return await new Promise<number>((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host, port: 0, exclusive: true }, () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** The code of the error that listening meets, or undefined when it works. MOUNT has its UDP port beside the one for TCP. */
async function bindFailure(host: string, port: number): Promise<string | undefined> {
  return (await tcpFailure(host, port)) ?? (await udpFailure(host, port));
}

async function tcpFailure(host: string, port: number): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    server.listen({ host, port, exclusive: true, ipv6Only: host.includes(':') }, () => {
      server.close(() => resolve(undefined));
    });
  });
}

async function udpFailure(host: string, port: number): Promise<string | undefined> {
  return await new Promise((resolve) => {
    const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', ipv6Only: host.includes(':') });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      socket.close();
      resolve(error.code ?? error.message);
    });
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.close(() => resolve(undefined));
    });
  });
}
