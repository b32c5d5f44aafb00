/** An RPC server as a client of one call at a time sees it: messages go out, replies come back, by a stream or by datagrams. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, isIPv6, type NetConnectOpts, type Socket } from 'node:net';
import { encodeRecord, RecordAssembler } from '../../protocol/record-marking.js';

export interface RpcPeer {
  /** Resolves to the next message that begins with the xid of this one. Rejects with the socket's error, or RpcPeerSilent. */
  exchange(message: Buffer): Promise<Buffer>;
  close(): void;
}

/** Nothing came back in time, or the peer hung up. */
export class RpcPeerSilent extends Error {
  override readonly name = 'RpcPeerSilent';
}

export interface PeerAddress {
  readonly host: string;
  readonly port: number;
  /** Calls from a port that only root may bind, where this process may. */
  readonly reservedPort?: boolean;
}

export interface PeerLimits {
  /** Milliseconds until a datagram is sent again, or a stream is given up. */
  readonly timeoutMs: number;
  /** Times that a datagram is sent. */
  readonly attempts: number;
}

/** The ports that bindresvport(3) looks through, and how many are tried. */
const RESERVED_FIRST = 600;
const RESERVED_LAST = 1023;
const RESERVED_TRIES = 16;

const REPLY_BYTES_MAX = 4 * 1024 * 1024;

/** By TCP, or by the Unix socket at a path. Rejects with the system's error. */
export async function streamPeer(
  target: PeerAddress | { readonly path: string },
  { timeoutMs }: Pick<PeerLimits, 'timeoutMs'>,
): Promise<RpcPeer> {
  if ('path' in target) return new StreamPeer(await connected({ path: target.path }), timeoutMs);
  const { host, port, reservedPort = false } = target;
  const socket = await fromPorts(
    reservedPort,
    async (localPort) => await connected({ host, port, localAddress: loopbackOf(host), localPort }),
    async () => await connected({ host, port }),
  );
  return new StreamPeer(socket, timeoutMs);
}

/** By UDP. Rejects with the system's error. */
export async function datagramPeer(target: PeerAddress, limits: PeerLimits): Promise<RpcPeer> {
  const { host, port, reservedPort = false } = target;
  const socket = await fromPorts(
    reservedPort,
    async (localPort) => await bound(host, port, localPort),
    async () => await bound(host, port),
  );
  return new DatagramPeer(socket, limits);
}

class StreamPeer implements RpcPeer {
  readonly #socket: Socket;
  readonly #timeoutMs: number;

  constructor(socket: Socket, timeoutMs: number) {
    this.#socket = socket;
    this.#timeoutMs = timeoutMs;
    // A failure between exchanges shows in the next one.
    socket.on('error', () => socket.destroy());
  }

  async exchange(message: Buffer): Promise<Buffer> {
    const socket = this.#socket;
    const xid = message.readUInt32BE(0);
    return await new Promise<Buffer>((resolve, reject) => {
      const settle = (outcome: () => void): void => {
        clearTimeout(timer);
        socket.off('data', onData).off('close', onClose).off('error', reject);
        outcome();
      };
      const assembler = new RecordAssembler({
        recordBytesMax: REPLY_BYTES_MAX,
        fragmentsMax: 65_536,
        emptyFragmentsMax: 0,
        reusesChunks: false,
        onRecord: (reply) => {
          if (reply.length >= 4 && reply.readUInt32BE(0) === xid) settle(() => resolve(reply));
        },
      });
      const onData = (chunk: Buffer): void => {
        try {
          assembler.push(chunk);
        } catch (error) {
          settle(() => reject(error instanceof Error ? error : new Error(String(error))));
        }
      };
      const onClose = (): void => settle(() => reject(new RpcPeerSilent('the connection was closed')));
      const timer = setTimeout(
        () => settle(() => reject(new RpcPeerSilent(`no answer within ${this.#timeoutMs} ms`))),
        this.#timeoutMs,
      );
      if (socket.destroyed) return onClose();
      socket.on('data', onData).once('close', onClose).once('error', reject);
      socket.write(encodeRecord(message));
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}

class DatagramPeer implements RpcPeer {
  readonly #socket: UdpSocket;
  readonly #limits: PeerLimits;

  constructor(socket: UdpSocket, limits: PeerLimits) {
    this.#socket = socket;
    this.#limits = limits;
    // A refusal that comes in between exchanges comes again with the next one.
    socket.on('error', () => undefined);
  }

  async exchange(message: Buffer): Promise<Buffer> {
    const { timeoutMs, attempts } = this.#limits;
    for (let attempt = 0; attempt < attempts; attempt++) {
      const reply = await this.#once(message, timeoutMs);
      if (reply !== undefined) return reply;
    }
    throw new RpcPeerSilent(`no answer to ${attempts} calls of ${timeoutMs} ms`);
  }

  close(): void {
    this.#socket.close();
  }

  #once(message: Buffer, timeoutMs: number): Promise<Buffer | undefined> {
    const socket = this.#socket;
    const xid = message.readUInt32BE(0);
    return new Promise((resolve, reject) => {
      const settle = (outcome: () => void): void => {
        clearTimeout(timer);
        socket.off('message', onMessage).off('error', onError);
        outcome();
      };
      const onMessage = (reply: Buffer): void => {
        if (reply.length >= 4 && reply.readUInt32BE(0) === xid) settle(() => resolve(reply));
      };
      const onError = (error: Error): void => settle(() => reject(error));
      const timer = setTimeout(() => settle(() => resolve(undefined)), timeoutMs);
      socket.on('message', onMessage).on('error', onError);
      socket.send(message);
    });
  }
}

/** Opens from a reserved port if that is wanted and allowed, else from any. */
async function fromPorts<S>(
  reserved: boolean,
  open: (localPort: number) => Promise<S>,
  openAny: () => Promise<S>,
): Promise<S> {
  const span = RESERVED_LAST - RESERVED_FIRST + 1;
  const start = Math.floor(Math.random() * span);
  for (let tries = 0; reserved && tries < RESERVED_TRIES; tries++) {
    try {
      return await open(RESERVED_FIRST + ((start + tries) % span));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EACCES' || code === 'EPERM') break;
      if (code !== 'EADDRINUSE' && code !== 'EADDRNOTAVAIL') throw error;
    }
  }
  return await openAny();
}

async function connected(options: NetConnectOpts): Promise<Socket> {
  const socket = connect(options);
  try {
    await once(socket, 'connect');
  } catch (error) {
    socket.destroy();
    throw error;
  }
  return socket;
}

async function bound(host: string, port: number, localPort = 0): Promise<UdpSocket> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  try {
    socket.bind({ port: localPort, address: localPort === 0 ? undefined : loopbackOf(host) });
    await once(socket, 'listening');
    socket.connect(port, host);
    await once(socket, 'connect');
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

/** Reserved ports are used towards this machine alone. */
function loopbackOf(host: string): string {
  return isIPv6(host) ? '::1' : '127.0.0.1';
}
