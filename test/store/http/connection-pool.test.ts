/** Connections as they are kept, dropped, opened to several addresses and given up, at servers of bare sockets. */
import t, { type Test } from 'tap';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Addresses } from '../../../src/store/s3/http/addresses.js';
import { ConnectionPool } from '../../../src/store/s3/http/connection-pool.js';
import type { ExchangeRequest } from '../../../src/store/s3/http/connection.js';
import { serve } from '../../support/bare-server.js';

function poolOf(
  t: Test,
  options: Partial<ConstructorParameters<typeof ConnectionPool>[0]> = {},
): ConnectionPool {
  const pool = new ConnectionPool({ connectMs: 2000, ...options });
  t.teardown(() => pool.close());
  return pool;
}

/** The sockets that are opened from now on. */
function socketsOpened(t: Test): Socket[] {
  const opened: Socket[] = [];
  const onSocket = (message: unknown): void => void opened.push((message as { socket: Socket }).socket);
  subscribe('net.client.socket', onSocket);
  t.teardown(() => unsubscribe('net.client.socket', onSocket));
  return opened;
}

interface Asked {
  readonly status: number;
  readonly body: string;
}

async function ask(
  pool: ConnectionPool,
  origin: URL,
  options: Partial<ExchangeRequest> & { readonly repeatable?: boolean } = {},
): Promise<Asked> {
  let status = 0;
  let body = '';
  const request = {
    method: 'GET',
    head: 'GET / HTTP/1.1\r\nhost: x\r\n\r\n',
    body: [],
    signal: new AbortController().signal,
    silenceMs: 5000,
    ...options,
  };
  const handler = {
    head: (head: { status: number }) => (status = head.status),
    body: (chunk: Buffer) => (body += chunk.toString('latin1')),
  };
  await pool.exchange(origin, request, handler, options.repeatable ?? true);
  return { status, body };
}

const ok = (body: string, more = ''): string =>
  `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\n${more}\r\n${body}`;
const code = async (failing: Promise<unknown>): Promise<unknown> =>
  failing.then(
    () => 'no failure',
    (error: { code?: unknown; message: string }) => error.code ?? error.message,
  );

await t.test('a connection carries one request after another', async (t) => {
  const server = await serve(t, (socket, _, piece) => socket.write(ok(`answer ${piece}`)));
  const pool = poolOf(t);
  t.equal((await ask(pool, server.origin)).body, 'answer 0');
  t.equal((await ask(pool, server.origin)).body, 'answer 1');
  t.equal(server.connections.length, 1);
});

await t.test('requests at the same time have connections of their own, and both are kept', async (t) => {
  const waiting: Socket[] = [];
  const server = await serve(t, (socket) => {
    waiting.push(socket);
    if (waiting.length % 2 === 0) for (const each of waiting.slice(-2)) each.write(ok('x'));
  });
  const pool = poolOf(t);
  await Promise.all([ask(pool, server.origin), ask(pool, server.origin)]);
  await Promise.all([ask(pool, server.origin), ask(pool, server.origin)]);
  t.equal(server.connections.length, 2);
});

await t.test('a connection that the answer closes, or whose rest is over, is not used again', async (t) => {
  for (const header of ['connection: close\r\n', 'keep-alive: timeout=1\r\n']) {
    const server = await serve(t, (socket) => socket.write(ok('x', header)));
    const pool = poolOf(t);
    await ask(pool, server.origin);
    await ask(pool, server.origin);
    t.equal(server.connections.length, 2, header.trim());
  }
});

await t.test('a connection that is never idle is not kept for ever', async (t) => {
  const server = await serve(t, (socket) => socket.write(ok('x')));
  let nowMs = 0;
  const pool = poolOf(t, { now: () => nowMs });
  for (nowMs = 0; nowMs < 200_000; nowMs += 10_000) await ask(pool, server.origin);
  t.equal(server.connections.length, 1);
  for (; nowMs < 440_000; nowMs += 10_000) await ask(pool, server.origin);
  t.equal(server.connections.length, 2);
});

await t.test(
  'a kept connection that was closed meanwhile: what may be repeated goes over a new one',
  async (t) => {
    // The server closes when the second request comes: this side can't have known.
    const server = await serve(t, (socket, connection, piece) => {
      if (connection === 0 && piece === 1) socket.resetAndDestroy();
      else socket.write(ok('x'));
    });
    const pool = poolOf(t);
    await ask(pool, server.origin);
    t.equal((await ask(pool, server.origin)).body, 'x');
    t.equal(server.connections.length, 2);
  },
);

await t.test('what may not be repeated fails instead', async (t) => {
  const server = await serve(t, (socket, connection, piece) => {
    if (connection === 0 && piece === 1) socket.resetAndDestroy();
    else socket.write(ok('x'));
  });
  const pool = poolOf(t);
  await ask(pool, server.origin);
  t.equal(await code(ask(pool, server.origin, { repeatable: false })), 'ECONNRESET');
  t.equal(server.connections.length, 1);
});

await t.test('a kept connection that was closed while it rested is not tried', async (t) => {
  const server = await serve(t, (socket) => socket.write(ok('x')));
  const pool = poolOf(t);
  await ask(pool, server.origin);
  const [first] = server.connections;
  first?.end();
  // Its end is known here once the other side has seen this side's.
  if (first !== undefined) await once(first, 'close');
  t.equal((await ask(pool, server.origin, { repeatable: false })).status, 200);
  t.equal(server.connections.length, 2);
});

await t.test('an answer that ends too early is a broken connection', async (t) => {
  const server = await serve(t, (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'));
  t.equal(await code(ask(poolOf(t), server.origin)), 'ECONNRESET');
});

await t.test('an answer that is none closes the connection', async (t) => {
  const server = await serve(t, (socket) => socket.write('nonsense\r\n\r\n'));
  t.equal(await code(ask(poolOf(t), server.origin)), 'HPE_INVALID_ANSWER');
});

await t.test(
  'bytes beyond an answer close the connection, and the next request does not meet them',
  async (t) => {
    const server = await serve(t, (socket, connection) =>
      socket.write(connection === 0 ? ok('x') + ok('stray') : ok('y')),
    );
    const pool = poolOf(t);
    await ask(pool, server.origin).catch(() => undefined);
    t.equal((await ask(pool, server.origin)).body, 'y');
  },
);

await t.test('silence is cut off after its time; a trickle is not', async (t) => {
  const silent = await serve(t, () => undefined);
  t.equal(await code(ask(poolOf(t), silent.origin, { silenceMs: 50 })), 'ETIMEDOUT');
  const server = await serve(t, (socket) => {
    const letters = [...ok('slow but steady')];
    const next = (): void => {
      const letter = letters.shift();
      if (letter !== undefined) socket.write(letter, () => setImmediate(next));
    };
    next();
  });
  t.equal((await ask(poolOf(t), server.origin, { silenceMs: 5000 })).body, 'slow but steady');
});

await t.test('the signal ends a request at once, and its connection with it', async (t) => {
  const controller = new AbortController();
  const server = await serve(t, () => controller.abort());
  await t.rejects(ask(poolOf(t), server.origin, { signal: controller.signal }), { message: 'cut off' });
  const [connection] = server.connections;
  if (connection !== undefined && !connection.closed) await once(connection, 'close');
  await t.rejects(ask(poolOf(t), server.origin, { signal: AbortSignal.abort() }), { message: 'cut off' });
});

await t.test('a body leaves as it lies, in order and whole', async (t) => {
  const length = 3_000_000;
  const server = await serve(t, (socket, connection) => {
    if ((server.received[connection] ?? '').length >= length + 4) socket.write(ok(''));
  });
  const slices = Array.from({ length: 30 }, (_, at) => Buffer.alloc(length / 30, 0x41 + at));
  await ask(poolOf(t), server.origin, {
    method: 'PUT',
    head: '\r\n\r\n',
    body: [Buffer.alloc(0), ...slices],
  });
  t.ok(server.received[0]?.slice(4) === Buffer.concat(slices).toString('latin1'), 'every byte in its place');
});

await t.test(
  'an error that comes before the request has left is told, and the connection is not used again',
  async (t) => {
    const server = await serve(t, (socket, connection, piece) => {
      if (connection > 0) socket.write(ok('next'));
      else if (piece === 0) {
        socket.pause();
        socket.write('HTTP/1.1 503 Slow Down\r\ncontent-length: 4\r\n\r\nbusy');
      }
    });
    const pool = poolOf(t);
    const body = Array.from({ length: 64 }, () => Buffer.alloc(1024 * 1024));
    t.strictSame(await ask(pool, server.origin, { method: 'PUT', body, repeatable: false }), {
      status: 503,
      body: 'busy',
    });
    t.equal((await ask(pool, server.origin)).body, 'next');
    t.equal(server.connections.length, 2);
  },
);

await t.test('what the handler throws is the result', async (t) => {
  const server = await serve(t, (socket) => socket.write(ok('x')));
  const request = {
    method: 'GET',
    head: 'GET / HTTP/1.1\r\n\r\n',
    body: [],
    signal: new AbortController().signal,
    silenceMs: 5000,
  };
  const failing = poolOf(t).exchange(
    server.origin,
    request,
    {
      head: () => undefined,
      body: () => {
        throw new Error('no room');
      },
    },
    true,
  );
  await t.rejects(failing, { message: 'no room' });
});

await t.test('a refused connection tells its error, and one that never stands is given up', async (t) => {
  t.equal(await code(ask(poolOf(t), new URL('http://127.0.0.1:1'))), 'ECONNREFUSED');
});

await t.test('the addresses of a host are used in turn; one that refuses is left aside', async (t) => {
  const server = await serve(t, (socket) => socket.write(ok('x', 'connection: close\r\n')));
  let nowMs = 0;
  let asked = 0;
  const addresses = new Addresses({
    resolve: async () => {
      asked++;
      // Nobody listens at the second: Linux gives the whole of 127.0.0.0/8 to the loopback.
      return ['127.0.0.1', '127.0.0.2'];
    },
    now: () => nowMs,
  });
  const pool = poolOf(t, { addresses });
  const origin = new URL(`http://store.example:${server.origin.port}`);
  for (let round = 0; round < 6; round++) t.equal((await ask(pool, origin)).body, 'x');
  t.equal(asked, 1, 'the resolver is asked once');
  nowMs = 5_000;
  const next = new Set([await addresses.next('store.example'), await addresses.next('store.example')]);
  t.strictSame([...next], ['127.0.0.1'], 'left aside');
  nowMs = 40_000;
  const later = new Set([await addresses.next('store.example'), await addresses.next('store.example')]);
  t.strictSame([...later].sort(), ['127.0.0.1', '127.0.0.2'], 'and tried again later');
  t.equal(asked, 2);
});

await t.test(
  'addresses once known serve while the resolver fails; a host without any is an error',
  async (t) => {
    let nowMs = 0;
    const addresses = new Addresses({
      resolve: async (host) => {
        if (host === 'nowhere') return [];
        if (nowMs > 0) throw Object.assign(new Error('resolver down'), { code: 'EAI_AGAIN' });
        return ['192.0.2.1'];
      },
      now: () => nowMs,
    });
    t.equal(await addresses.next('host'), '192.0.2.1');
    nowMs = 60_000;
    t.equal(await addresses.next('host'), '192.0.2.1');
    t.equal(await code(addresses.next('another')), 'EAI_AGAIN');
    t.equal(await code(addresses.next('nowhere')), 'ENOTFOUND');
    t.equal(await addresses.next('::1'), '::1');
  },
);

await t.test('closing ends requests under way, and none begins', async (t) => {
  const pool = poolOf(t);
  const server = await serve(t, () => pool.close());
  t.equal(await code(ask(pool, server.origin)), 'ECONNRESET');
  t.equal(await code(ask(pool, server.origin)), 'ECONNRESET');
});

await t.test('nothing connects once the pool is closed, nor for a request that is over', async (t) => {
  const server = await serve(t, (socket) => socket.write(ok('x')));
  const pool = poolOf(t);
  await ask(pool, server.origin);
  await t.rejects(ask(pool, server.origin, { signal: AbortSignal.abort() }), { message: 'cut off' });
  await ask(pool, server.origin);
  t.equal(server.connections.length, 1, 'the kept connection has outlived a request that never began');
  const opened = socketsOpened(t);
  await t.rejects(ask(poolOf(t), server.origin, { signal: AbortSignal.abort() }), { message: 'cut off' });
  pool.close();
  t.equal(await code(ask(pool, server.origin)), 'ECONNRESET');
  t.equal(opened.length, 0);
});

await t.test('a connection at rest holds no process', async (t) => {
  const held = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  let duringRequest = 0;
  const server = await serve(t, (socket) => {
    socket.unref();
    duringRequest = held();
    socket.write(ok('x'));
  });
  const pool = poolOf(t);
  for (let round = 0; round < 2; round++) {
    await ask(pool, server.origin);
    t.equal(duringRequest, 1);
    t.equal(held(), 0);
  }
  t.equal(server.connections.length, 1);
});

await t.test('requests at the same time ask the resolver once', async (t) => {
  let asked = 0;
  const addresses = new Addresses({
    resolve: async () => {
      asked++;
      return ['192.0.2.1'];
    },
  });
  await Promise.all(Array.from({ length: 20 }, () => addresses.next('store.example')));
  t.equal(asked, 1);
});

await t.test('a thousand requests leave nothing behind on their connection', async (t) => {
  const warnings: Error[] = [];
  const onWarning = (warning: Error): void => void warnings.push(warning);
  process.on('warning', onWarning);
  t.teardown(() => process.off('warning', onWarning));
  const opened = socketsOpened(t);
  const server = await serve(t, (socket) => socket.write(ok('x')));
  const pool = poolOf(t);
  const { signal } = new AbortController();
  await ask(pool, server.origin, { signal });
  const listeners = (): number =>
    (opened[0]?.eventNames() ?? []).reduce((sum, name) => sum + (opened[0]?.listenerCount(name) ?? 0), 0);
  const before = listeners();
  for (let round = 0; round < 1000; round++) await ask(pool, server.origin, { signal });
  t.equal(listeners(), before);
  t.equal(server.connections.length, 1);
  t.strictSame(warnings, []);
});
