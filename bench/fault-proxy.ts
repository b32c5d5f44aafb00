/** A TCP proxy that delays what it passes on and cuts connections: a bad road to the store. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { once } from 'node:events';

export interface Faults {
  /** Added to each chunk of either direction, in milliseconds. */
  readonly delayMs: number;
  /** One of so many connections is cut, somewhere within its first 12 MiB. */
  readonly cutOneOf: number;
  /** Numbers in [0, 1). */
  readonly random: () => number;
}

const CUT_WITHIN_BYTES = 12 * 1024 * 1024;

export interface FaultProxy {
  /** `http://host:port`. */
  readonly endpoint: string;
  /** Connections cut so far. */
  readonly cuts: () => number;
  close(): void;
}

export async function startFaultProxy(endpoint: string, faults: Faults): Promise<FaultProxy> {
  const { hostname, port } = new URL(endpoint);
  const open = new Set<Socket>();
  let cuts = 0;
  const server = createServer((near) => {
    const far = connect({ host: hostname, port: Number(port) });
    const cut = (): void => {
      near.resetAndDestroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      open.add(socket);
      socket.once('close', () => {
        open.delete(socket);
        cut();
      });
      // 'close' follows.
      socket.on('error', cut);
    }
    const doomed = faults.random() * faults.cutOneOf < 1;
    let left = doomed ? Math.floor(faults.random() * CUT_WITHIN_BYTES) : Infinity;
    const passed = (bytes: number): void => {
      left -= bytes;
      if (left >= 0 || near.destroyed) return;
      cuts++;
      cut();
    };
    near.pipe(delayed(faults.delayMs, passed)).pipe(far);
    far.pipe(delayed(faults.delayMs, passed)).pipe(near);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cuts: () => cuts,
    close: () => {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

function delayed(delayMs: number, passed: (bytes: number) => void): Transform {
  return new Transform({
    highWaterMark: 1024 * 1024,
    transform(chunk: Buffer, _encoding, done) {
      setTimeout(() => {
        passed(chunk.length);
        done(undefined, chunk);
      }, delayMs);
    },
  });
}
