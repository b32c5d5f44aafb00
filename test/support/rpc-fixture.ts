/** A running server with the echo program, its client, and its end. */
import type { Test } from 'tap';
import { RpcServer, type RpcServerOptions } from '../../src/rpc/server.js';
import { collectLog } from './collected-log.js';
import { EchoService } from './echo-program.js';
import { RpcClient, type RpcClientOptions } from './rpc-client.js';

export interface RpcFixture {
  readonly echo: EchoService;
  readonly server: RpcServer;
  readonly port: number;
  readonly lines: Record<string, unknown>[];
  readonly connect: (options?: Partial<RpcClientOptions>) => Promise<RpcClient>;
}

export interface FixtureOptions extends Pick<RpcServerOptions, 'limits' | 'allow' | 'onCall'> {
  readonly udp?: boolean;
}

export async function startEchoServer(t: Test, options: FixtureOptions = {}): Promise<RpcFixture> {
  const { udp = false, ...serverOptions } = options;
  const echo = new EchoService();
  const { log, lines } = collectLog();
  const server = new RpcServer({ services: [echo.service], log, ...serverOptions });
  const { port } = await server.listen({ host: '127.0.0.1', port: 0, udp });
  const clients: RpcClient[] = [];
  t.teardown(async () => {
    echo.releaseAll();
    await Promise.all(clients.map((client) => client.close()));
    await server.close(0);
  });
  return {
    echo,
    server,
    port,
    lines,
    connect: async (clientOptions = {}) => {
      const client = await RpcClient.connect({ host: '127.0.0.1', port, ...clientOptions });
      clients.push(client);
      return client;
    },
  };
}

/**
 * Resolves when `holds` is true, looked at after each turn of the event loop. For states that show themselves by no event;
 * a state that never comes ends in the test's timeout.
 */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => setImmediate(resolve));
}
