/**
 * How clients that name no ports find them: a portmapper of our own on port 111, or the system's rpcbind, or none.
 *
 *   auto:      111 free -> own;  else rpcbind takes the registration -> registered there;  else -> none, and why
 *   embedded:  111 free -> own;  anything else -> StartError
 */
import { MOUNT1, MOUNT3 } from '../../protocol/mount3/program.js';
import { NFS3 } from '../../protocol/nfs3/program.js';
import { PMAP_PORT, PORTMAP2 } from '../../protocol/portmap/program.js';
import { RPCBIND3, RPCBIND4, type rpcb } from '../../protocol/portmap/rpcbind.js';
import { oneForEachNetid, registrationsOf, type Served } from '../portmap/registrations.js';
import { SUPERUSER } from '../portmap/caller.js';
import { PortRegistry } from '../portmap/registry.js';
import { SystemRpcbindError } from '../portmap/rpcbind-client.js';
import { portmapServices } from '../portmap/service.js';
import { registerWithRpcbind, unregisterFromRpcbind } from '../portmap/system-rpcbind.js';
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
  const { listening, log } = options;
  try {
    return await startEmbedded(options);
  } catch (error) {
    if (options.mode === 'embedded' || !isSystemError(error)) {
      throw listenFailure('the portmapper', '--portmap', listening.hosts[0] ?? '', PMAP_PORT, error);
    }
    // Without root the port may be taken as well: the system says EACCES before it looks.
    if (error.code !== 'EADDRINUSE' && error.code !== 'EACCES') return none(failureLine(error));
    log.info({ code: error.code }, 'port 111 is not to be had: asking the rpcbind of the system');
    return await startRegistered(listening, error.code, log);
  }
}

async function startEmbedded({ listening, allow, log }: PortmapOptions): Promise<RunningPortmap> {
  const places = listening.hosts.map((host) => ({ host, port: PMAP_PORT }));
  const itself = registrationsOf(portmapperAt(places), owner());
  const own = [...itself.filter(isNotVersion2OverIPv6), ...registrationsOf(servedBy(listening), owner())];
  const services = Object.values(portmapServices(new PortRegistry({ own })));
  const server = new RpcServer({ services, log, ...(allow === undefined ? {} : { allow }) });
  try {
    for (const { host, port } of places) await server.listen({ host, port, udp: true });
  } catch (error) {
    await server.close(0);
    throw error;
  }
  // Its calls take no time: there is nothing to drain.
  return { report: { mode: 'embedded' }, stop: () => server.close(0) };
}

async function startRegistered(
  listening: Listening,
  code: 'EADDRINUSE' | 'EACCES',
  log: Logger,
): Promise<RunningPortmap> {
  const entries = oneForEachNetid(registrationsOf(servedBy(listening), owner()));
  try {
    await registerWithRpcbind(entries, { log });
  } catch (error) {
    if (!(error instanceof SystemRpcbindError)) throw error;
    log.info({ reason: error.message }, 'not registered with rpcbind');
    return none(
      code === 'EACCES'
        ? `port 111 needs root, and ${error.message}`
        : `port 111 is in use, and ${error.message}`,
    );
  }
  return { report: { mode: 'system' }, stop: async () => await unregister(entries, log) };
}

/** An rpcbind that is gone, or was told otherwise by others, is no failure of this process's end. */
async function unregister(entries: readonly rpcb[], log: Logger): Promise<void> {
  try {
    await unregisterFromRpcbind(entries, { log });
  } catch (error) {
    if (!(error instanceof SystemRpcbindError)) throw error;
    log.warn({ reason: error.message }, 'not unregistered from rpcbind');
  }
}

function none(reason: string): RunningPortmap {
  return { report: { mode: 'off', reason }, stop: () => Promise.resolve() };
}

/** NFS by TCP; MOUNT by both, because mount.nfs asks mountd by UDP first. */
function servedBy({ nfs, mount }: Listening): readonly Served[] {
  return [
    { program: NFS3, transports: ['tcp'], places: nfs },
    { program: MOUNT3, transports: ['tcp', 'udp'], places: mount },
    { program: MOUNT1, transports: ['tcp', 'udp'], places: mount },
  ];
}

function portmapperAt(places: Served['places']): readonly Served[] {
  return [RPCBIND4, RPCBIND3, PORTMAP2].map((program) => ({ program, transports: ['tcp', 'udp'], places }));
}

/** Version 2 has no words for IPv6, and rpcbind doesn't list it there either. */
function isNotVersion2OverIPv6({ r_vers, r_netid }: rpcb): boolean {
  return r_vers !== PORTMAP2.version || !r_netid.endsWith('6');
}

/** Of this process's registrations, as rpcbind names owners. */
function owner(): string {
  const uid = process.getuid?.() ?? 0;
  return uid === 0 ? SUPERUSER : String(uid);
}
