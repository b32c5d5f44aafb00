/**
 * How clients that name no ports find them: a portmapper of our own on port 111, or the system's rpcbind, or none.
 *
 *   auto:      111 free -> own;  else rpcbind takes the registration -> registered there;  else -> none, and why
 *   embedded:  111 free -> own;  anything else -> StartError
 */
import { MOUNT1, MOUNT3 } from '../../protocol/mount3/program.js';
import { NFS3 } from '../../protocol/nfs3/program.js';
import { IPPROTO_TCP, IPPROTO_UDP, PMAP_PORT, type mapping } from '../../protocol/portmap/program.js';
import { PortRegistry } from '../portmap/registry.js';
import { portmapService } from '../portmap/service.js';
import { registerWithRpcbind, SystemRpcbindError, unregisterFromRpcbind } from '../portmap/system-rpcbind.js';
import { RpcServer } from '../rpc/server.js';
import type { Logger } from '../telemetry/log.js';
import type { Listening } from './listeners.js';
import { listenFailure } from './ports.js';
import { failureLine, isSystemError } from './start-error.js';

export interface PortmapReport {
  readonly mode: 'embedded' | 'system' | 'off';
  /** Why there is none. */
  readonly reason?: string;
}

export interface PortmapOptions {
  readonly mode: 'auto' | 'embedded' | 'off';
  readonly listening: Listening;
  readonly allow?: (address: string) => boolean;
  readonly log: Logger;
}

export interface RunningPortmap {
  readonly report: PortmapReport;
  stop(): Promise<void>;
}

export async function startPortmap(options: PortmapOptions): Promise<RunningPortmap> {
  if (options.mode === 'off') return none('switched off');
  const mappings = mappingsOf(options.listening);
  try {
    return await startEmbedded(mappings, options);
  } catch (error) {
    if (options.mode === 'embedded' || !isSystemError(error)) {
      throw listenFailure('the portmapper', '--portmap', options.listening.hosts[0] ?? '', PMAP_PORT, error);
    }
    // Without root the port may be taken as well: the system says EACCES before it looks.
    if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') return none(failureLine(error));
    return await startRegistered(mappings, error.code, options.log);
  }
}

async function startEmbedded(mappings: readonly mapping[], options: PortmapOptions): Promise<RunningPortmap> {
  const { listening, allow, log } = options;
  const services = [portmapService(new PortRegistry({ own: mappings }))];
  const server = new RpcServer({ services, log, ...(allow === undefined ? {} : { allow }) });
  try {
    for (const host of listening.hosts) await server.listen({ host, port: PMAP_PORT, udp: true });
  } catch (error) {
    await server.close(0);
    throw error;
  }
  // Its calls take no time: there is nothing to drain.
  return { report: { mode: 'embedded' }, stop: () => server.close(0) };
}

async function startRegistered(
  mappings: readonly mapping[],
  code: 'EADDRINUSE' | 'EACCES',
  log: Logger,
): Promise<RunningPortmap> {
  try {
    await registerWithRpcbind(mappings);
  } catch (error) {
    if (!(error instanceof SystemRpcbindError)) throw error;
    log.info({ reason: error.message }, 'not registered with rpcbind');
    return none(code === 'EACCES' ? 'port 111 needs root' : `port 111 is in use, and ${error.message}`);
  }
  return { report: { mode: 'system' }, stop: () => unregisterFromRpcbind(mappings) };
}

function none(reason: string): RunningPortmap {
  return { report: { mode: 'off', reason }, stop: () => Promise.resolve() };
}

/** NFS by TCP; MOUNT by both, because mount.nfs asks mountd by UDP first. */
function mappingsOf({ nfsPort, mountPort }: Listening): readonly mapping[] {
  const mount = [MOUNT3, MOUNT1].flatMap(({ number: prog, version: vers }) =>
    [IPPROTO_TCP, IPPROTO_UDP].map((prot) => ({ prog, vers, prot, port: mountPort })),
  );
  return [{ prog: NFS3.number, vers: NFS3.version, prot: IPPROTO_TCP, port: nfsPort }, ...mount];
}
