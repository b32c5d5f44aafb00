/**
 * Registration with the rpcbind that already has port 111 of this machine. What a former run left behind is replaced; what another
 * program registered and still serves never is.
 */
import type { rpcb } from '../../protocol/portmap/rpcbind.js';
import {
  internetTransport,
  isUnspecified,
  parseUniversalAddress,
} from '../../protocol/portmap/universal-address.js';
import type { Logger } from '../telemetry/log.js';
import { presence } from './liveness.js';
import {
  connectRpcbind,
  SystemRpcbindError,
  type SystemRpcbind,
  type SystemRpcbindOptions,
} from './rpcbind-client.js';

/** Registers, all or none. Fails with SystemRpcbindError. */
export async function registerWithRpcbind(
  entries: readonly rpcb[],
  options: SystemRpcbindOptions,
): Promise<void> {
  await withRpcbind(options, async (rpcbind) => {
    const wanted = entries.filter((entry) => rpcbind.covers(entry));
    const left = entries.length - wanted.length;
    if (left > 0) {
      options.log.warn(
        { rpcbind: rpcbind.name, registrations: left },
        'not registered over IPv6: version 2 has IPv4 only',
      );
    }
    for (const stale of await staleEntries(rpcbind, wanted)) await remove(rpcbind, stale, options.log);
    const done: rpcb[] = [];
    try {
      for (const entry of wanted) {
        if (!(await rpcbind.set(entry))) throw refused(rpcbind, entry);
        done.push(entry);
      }
    } catch (error) {
      for (const entry of done) await rpcbind.unset(entry);
      throw error;
    }
    options.log.info({ rpcbind: rpcbind.name, registrations: wanted.length }, 'registered');
  });
}

/**
 * Takes the registrations away again, but not what somebody else has put in their place. Those that aren't there are no error. Fails with
 * SystemRpcbindError.
 */
export async function unregisterFromRpcbind(
  entries: readonly rpcb[],
  options: SystemRpcbindOptions,
): Promise<void> {
  await withRpcbind(options, async (rpcbind) => {
    const own = (await rpcbind.entries()).filter((known) =>
      entries.some(
        (entry) => sameProgram(known, entry) && sameNetid(known, entry) && isOwnPlace(known, [entry]),
      ),
    );
    for (const entry of own) {
      if (await rpcbind.unset(entry)) continue;
      throw new SystemRpcbindError(`${rpcbind.name} keeps the registration of ${textOf(entry)}`);
    }
  });
}

async function withRpcbind(
  options: SystemRpcbindOptions,
  use: (rpcbind: SystemRpcbind) => Promise<void>,
): Promise<void> {
  const rpcbind = await connectRpcbind(options);
  try {
    await use(rpcbind);
  } catch (cause) {
    if (cause instanceof SystemRpcbindError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SystemRpcbindError(`${rpcbind.name}: ${reason}`, { cause });
  } finally {
    rpcbind.close();
  }
}

/**
 * What is registered for the wanted programs and versions and is nobody's any more: by whatever transport, so that no client is sent to a
 * dead port. Fails with SystemRpcbindError if another program is in the way.
 */
async function staleEntries(rpcbind: SystemRpcbind, wanted: readonly rpcb[]): Promise<readonly rpcb[]> {
  const others = (await rpcbind.entries()).filter(
    (known) =>
      internetTransport(known.r_netid) !== undefined &&
      wanted.some((entry) => sameProgram(known, entry)) &&
      !wanted.some((entry) => sameProgram(known, entry) && isAlready(known, entry)),
  );
  const stale: rpcb[] = [];
  const present: rpcb[] = [];
  for (const known of others) {
    const isGone = isOwnPlace(known, wanted) || (await presence(known)) === 'gone';
    (isGone ? stale : present).push(known);
  }
  const inTheWay = present.find(
    (known) =>
      wanted.some((entry) => sameProgram(known, entry) && sameNetid(known, entry)) ||
      (rpcbind.unsetsVersions && stale.some((entry) => sameProgram(known, entry))),
  );
  if (inTheWay !== undefined) {
    throw new SystemRpcbindError(
      `${textOf(inTheWay)} is registered already and answers: another NFS server of this machine; stop it, or start with --portmap off`,
    );
  }
  return stale;
}

async function remove(rpcbind: SystemRpcbind, stale: rpcb, log: Logger): Promise<void> {
  const { r_prog, r_vers, r_owner } = stale;
  if (await rpcbind.unset(stale)) {
    log.info(
      { rpcbind: rpcbind.name, registration: textOf(stale) },
      'removed a registration that nobody serves',
    );
    return;
  }
  throw new SystemRpcbindError(
    `${textOf(stale)} is registered by ${r_owner}, and nobody serves it any more; as root, \`rpcinfo -d ${r_prog} ${r_vers}\` removes it`,
  );
}

function refused(rpcbind: SystemRpcbind, entry: rpcb): SystemRpcbindError {
  return new SystemRpcbindError(
    `${rpcbind.name} refused to register ${textOf(entry)}: it takes registrations by its socket, or from root`,
  );
}

function textOf({ r_prog, r_vers, r_netid, r_addr }: rpcb): string {
  const port = parseUniversalAddress(r_addr)?.port;
  return `program ${r_prog} version ${r_vers} by ${r_netid} at ${r_addr}${port === undefined ? '' : ` (port ${port})`}`;
}

function sameProgram(one: rpcb, other: rpcb): boolean {
  return one.r_prog === other.r_prog && one.r_vers === other.r_vers;
}

function sameNetid(one: rpcb, other: rpcb): boolean {
  return one.r_netid.toLowerCase() === other.r_netid.toLowerCase();
}

/** Whether the wanted registration is there as it should be. */
function isAlready(known: rpcb, wanted: rpcb): boolean {
  return sameNetid(known, wanted) && known.r_addr === wanted.r_addr;
}

/** Whether this process has what is registered: its port, on an address that it listens on. Nobody else can have it then. */
function isOwnPlace(known: rpcb, own: readonly rpcb[]): boolean {
  const place = parseUniversalAddress(known.r_addr);
  if (place === undefined) return false;
  return own.some((entry) => {
    const ours = parseUniversalAddress(entry.r_addr);
    if (!sameNetid(known, entry) || ours?.port !== place.port) return false;
    return ours.host === place.host || isUnspecified(ours.host) || isUnspecified(place.host);
  });
}
