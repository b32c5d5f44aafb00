/**
 * Registration with the rpcbind that already has port 111 of this machine, by PMAP SET and UNSET over UDP. (rpcbind takes them from loopback only and,
 * unless it was started with -i, from a privileged port: without root it may answer false, which is reported.)
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { ArgsOf, ResultOf } from '../../protocol/program.js';
import { IPPROTO_TCP, PMAP_PORT, PORTMAP2, type mapping } from '../../protocol/portmap/program.js';
import { NULL_AUTH, RPC_VERSION, rpc_msg } from '../../protocol/rpc.js';
import { XdrReader } from '../../protocol/xdr-cursors.js';
import { encode } from '../../protocol/xdr.js';

/** rpcbind didn't do what it was asked. The message says what, and what can be done. */
export class SystemRpcbindError extends Error {
  override readonly name = 'SystemRpcbindError';
}

export interface SystemRpcbindOptions {
  /** Default 127.0.0.1 and 111. */
  readonly host?: string;
  readonly port?: number;
  /** Milliseconds until a call is sent again. Default 500: it never leaves the machine. */
  readonly timeoutMs?: number;
  /** Times that a call is sent. Default 4. */
  readonly attempts?: number;
}

type ProcedureOfMapping = 'SET' | 'UNSET' | 'GETPORT';

/**
 * Registers the mappings, all or none. A mapping of a server that is gone (nobody listens at its TCP port) is replaced; one of a server
 * that lives is left alone: SystemRpcbindError.
 */
export async function registerWithRpcbind(
  mappings: readonly mapping[],
  options: SystemRpcbindOptions = {},
): Promise<void> {
  const done: mapping[] = [];
  try {
    for (const mapping of mappings) {
      await register(mapping, options);
      done.push(mapping);
    }
  } catch (error) {
    await unregisterFromRpcbind(done, options);
    throw error;
  }
}

/** Takes the mappings away again. Those that aren't there are no error. */
export async function unregisterFromRpcbind(
  mappings: readonly mapping[],
  options: SystemRpcbindOptions = {},
): Promise<void> {
  const versions = new Map(mappings.map((mapping) => [`${mapping.prog}.${mapping.vers}`, mapping]));
  for (const mapping of versions.values()) await call('UNSET', mapping, options);
}

async function register(mapping: mapping, options: SystemRpcbindOptions): Promise<void> {
  if (await call('SET', mapping, options)) return;
  const { prog, vers } = mapping;
  const tcpPort = await call('GETPORT', { ...mapping, prot: IPPROTO_TCP }, options);
  const stale = tcpPort !== 0 && tcpPort !== mapping.port && !(await listens(options.host, tcpPort));
  if (stale && (await call('UNSET', mapping, options)) && (await call('SET', mapping, options))) return;
  const why =
    tcpPort === 0 || tcpPort === mapping.port
      ? 'it takes registrations from privileged callers only'
      : `port ${tcpPort} is registered for it: another NFS server on this machine`;
  throw new SystemRpcbindError(`rpcbind refused to register program ${prog} version ${vers}: ${why}`);
}

/** One procedure by UDP: sent again until it is answered or the attempts are used up. */
async function call<N extends ProcedureOfMapping>(
  name: N,
  args: ArgsOf<typeof PORTMAP2, N>,
  options: SystemRpcbindOptions,
): Promise<ResultOf<typeof PORTMAP2, N>> {
  const { host = '127.0.0.1', port = PMAP_PORT, timeoutMs = 500, attempts = 4 } = options;
  const procedure = PORTMAP2.procedures[name];
  const xid = Math.floor(Math.random() * 0x1_0000_0000);
  const message = Buffer.concat([callHeader(xid, procedure.number), encode(procedure.args, args)]);
  const socket = createSocket('udp4');
  try {
    socket.connect(port, host);
    await once(socket, 'connect');
    for (let attempt = 0; attempt < attempts; attempt++) {
      const reply = await exchange(() => socket.send(message), socket, xid, timeoutMs);
      if (reply !== undefined) return procedure.result.decode(reply) as ResultOf<typeof PORTMAP2, N>;
    }
  } catch (cause) {
    if (cause instanceof SystemRpcbindError) throw cause;
    throw new SystemRpcbindError(`rpcbind at ${host}:${port} could not be asked: ${String(cause)}`, {
      cause,
    });
  } finally {
    socket.close();
  }
  throw new SystemRpcbindError(
    `rpcbind at ${host}:${port} did not answer ${attempts} calls of ${timeoutMs} ms`,
  );
}

function callHeader(xid: number, proc: number): Buffer {
  const { number: prog, version: vers } = PORTMAP2;
  const cbody = { rpcvers: RPC_VERSION, prog, vers, proc, cred: NULL_AUTH, verf: NULL_AUTH };
  return encode(rpc_msg, { xid, body: { mtype: 'CALL', cbody } });
}

/** Sends and waits: a reader at the results of the reply; undefined when none came in time. Rejects with the socket's error. */
function exchange(
  send: () => void,
  socket: Socket,
  xid: number,
  timeoutMs: number,
): Promise<XdrReader | undefined> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      socket.off('message', onMessage);
      socket.off('error', onError);
      settle();
    };
    const onMessage = (message: Buffer): void => {
      try {
        const results = resultsOf(message, xid);
        if (results !== undefined) end(() => resolve(results));
      } catch (error) {
        end(() => reject(error instanceof Error ? error : new Error(String(error))));
      }
    };
    const onError = (error: Error): void => end(() => reject(error));
    const timer = setTimeout(() => end(() => resolve(undefined)), timeoutMs);
    socket.on('message', onMessage);
    socket.on('error', onError);
    send();
  });
}

/** The results in a reply to `xid`; undefined for a message that isn't one. SystemRpcbindError for a refusal. */
function resultsOf(message: Buffer, xid: number): XdrReader | undefined {
  const reader = new XdrReader(message);
  const reply = rpc_msg.decode(reader);
  if (reply.xid !== xid || reply.body.mtype !== 'REPLY') return undefined;
  const { rbody } = reply.body;
  if (rbody.reply_stat === 'MSG_DENIED') {
    throw new SystemRpcbindError(`rpcbind denied a call with ${rbody.rreply.stat}`);
  }
  const { stat } = rbody.areply.reply_data;
  if (stat !== 'SUCCESS') throw new SystemRpcbindError(`rpcbind answered a call with ${stat}`);
  return reader;
}

/** Whether somebody accepts connections at the port. What can't be told counts as yes: the registration is then left alone. */
function listens(host: string | undefined, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: host ?? '127.0.0.1', port });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}
