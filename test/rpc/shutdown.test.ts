import t from 'tap';
import { ECHO } from '../support/echo-program.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

await t.test('close finishes what runs, sends it, and takes nothing more', async (t) => {
  const { echo, connect, server, port } = await startEchoServer(t, { udp: true });
  const [client, idle] = [await connect(), await connect()];
  const calls = [client.call(ECHO, 'HOLD', 1), client.call(ECHO, 'HELD_BUMP', 2)];
  await echo.holding(2);
  const closed = server.close(60_000);
  await idle.closed;
  const late = t.rejects(client.call(ECHO, 'ECHO', Buffer.alloc(0)));
  await t.rejects(connect({ port }), { code: 'ECONNREFUSED' });
  echo.releaseAll();
  t.same(await Promise.all(calls), [1, 2]);
  await late;
  await client.closed;
  await closed;
  t.match(server.stats, { connections: 0, calls: 0, requestBytes: 0, replyBytes: 0 });
  await t.rejects(server.listen({ host: '127.0.0.1', port: 0, udp: false }), /closed/);
});

await t.test('large replies are flushed before the connection ends', async (t) => {
  const { connect, server } = await startEchoServer(t);
  const client = await connect();
  const calls = Array.from({ length: 8 }, () => client.call(ECHO, 'SLICES', 1024 * 1024));
  await until(() => server.stats.replyBytes > 0);
  const [closed, results] = await Promise.all([server.close(60_000), Promise.allSettled(calls)]);
  t.equal(closed, undefined);
  const answered = results.filter(({ status }) => status === 'fulfilled').length;
  t.ok(answered > 0, `${answered} of 8 were being answered`);
  t.equal(client.replied.length, answered);
});

await t.test('at the deadline everything is cut, and close resolves', async (t) => {
  const { echo, connect, server } = await startEchoServer(t, { udp: true });
  const client = await connect();
  const byUdp = await connect({ transport: 'udp' });
  const lost = [t.rejects(client.call(ECHO, 'HOLD', 1)), t.rejects(client.call(ECHO, 'HELD_BUMP', 2))];
  const unanswered = t.rejects(byUdp.call(ECHO, 'HOLD', 3));
  await echo.holding(3);
  await server.close(20);
  await client.closed;
  await Promise.all(lost);
  t.same(
    echo.held.map(({ signal }) => signal.aborted),
    [true, true, true],
    'every handler is told, also of what changes something',
  );
  echo.releaseAll();
  await until(() => server.stats.calls === 0);
  t.match(server.stats, { connections: 0, requestBytes: 0, replyBytes: 0 });
  await byUdp.close();
  await unanswered;
});

await t.test('close may be called twice, and without a connection', async (t) => {
  const { server } = await startEchoServer(t, { udp: true });
  await Promise.all([server.close(60_000), server.close(60_000)]);
  t.equal(server.stats.connections, 0);
});
