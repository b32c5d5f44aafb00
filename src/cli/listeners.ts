/** Where the daemon listens: NFS and MOUNT on every address, on one port or two. */
import type { ListenAddress } from '../../config/addresses.js';
import type { HostAndPort } from '../../protocol/portmap/universal-address.js';
import type { RpcServer } from '../rpc/server.js';
import type { Service } from '../rpc/service.js';
import { freePort, listenFailure, presentAddresses } from './ports.js';

export interface Listening {
  /** Numeric addresses that NFS is on, in the order they were configured. */
  readonly hosts: readonly string[];
  /** NFS's port on the first address; addresses with a port of their own may have another. */
  readonly nfsPort: number;
  readonly mountPort: number;
  /** Where each is, in the same order. */
  readonly nfs: readonly HostAndPort[];
  readonly mount: readonly HostAndPort[];
  /** `127.0.0.1:2049`, `[::1]:2049`. */
  readonly addresses: readonly string[];
}

export interface ListenPlan {
  readonly listen: readonly ListenAddress[];
  /** 0: any free one, the same on every address. */
  readonly port: number;
  /** Undefined: NFS's port. */
  readonly mountPort: number | undefined;
  readonly nfs: readonly Service[];
  readonly mount: readonly Service[];
}

/** Listens as planned. Fails with StartError, one line, at the first address that can't be had. */
export async function listenOnAll(server: RpcServer, plan: ListenPlan): Promise<Listening> {
  const present = await presentAddresses(withoutCovered(plan.listen));
  const hosts = present.map(({ host }) => host);
  const port = plan.port === 0 ? await freePort(hosts) : plan.port;
  const separate = plan.mountPort !== undefined && plan.mountPort !== port;
  const mountPort = plan.mountPort === 0 ? await freePort(hosts) : (plan.mountPort ?? port);
  const bound: HostAndPort[] = [];
  const mounts: HostAndPort[] = [];
  for (const address of present) {
    // MOUNT is on UDP as well, because mount.nfs asks mountd there first; NFS over UDP comes with it where they share a port.
    const services = separate ? plan.nfs : [...plan.nfs, ...plan.mount];
    const at = { host: address.host, port: address.port ?? port };
    const nfs = await listening(server, 'NFS', '--port', { ...at, udp: !separate, services });
    bound.push(nfs);
    const apart = { host: at.host, port: mountPort, udp: true, services: plan.mount };
    mounts.push(separate ? await listening(server, 'MOUNT', '--mount-port', apart) : nfs);
  }
  const nfsPort = bound[0]?.port ?? port;
  return {
    hosts,
    nfsPort,
    mountPort: separate ? mountPort : nfsPort,
    nfs: bound,
    mount: mounts,
    addresses: bound.map(addressText),
  };
}

async function listening(
  server: RpcServer,
  what: string,
  flag: string,
  at: Parameters<RpcServer['listen']>[0],
): Promise<HostAndPort> {
  try {
    return await server.listen(at);
  } catch (error) {
    throw listenFailure(what, flag, at.host, at.port, error);
  }
}

export function addressText({ host, port }: HostAndPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** A socket on `::` takes IPv4 as well, so that one on 0.0.0.0 beside it would find the port taken. */
function withoutCovered(addresses: readonly ListenAddress[]): readonly ListenAddress[] {
  return addresses.filter(
    ({ host, port }) =>
      host !== '0.0.0.0' || !addresses.some((other) => other.host === '::' && other.port === port),
  );
}
