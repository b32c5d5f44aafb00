import t from 'tap';
import { ECHO } from '../support/echo-program.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

await t.test('a retransmission on another connection is answered, and executed once', async (t) => {
  const { echo, connect, server } = await startEchoServer(t);
  const [first, second] = [await connect(), await connect()];
  const args = Buffer.from('same');
  t.equal(await first.call(ECHO, 'BUMP', args, { xid: 5 }), 1);
  t.equal(await second.call(ECHO, 'BUMP', args, { xid: 5 }), 1, 'the kept reply');
  t.equal(await second.call(ECHO, 'BUMP', Buffer.from('else'), { xid: 5 }), 2, 'other arguments');
  t.equal(await second.call(ECHO, 'BUMP', args, { xid: 6 }), 3, 'another xid');
  t.equal(echo.bumps, 3);
  t.match(server.stats, { duplicates: 1, cachedReplies: 3 });
});

await t.test(
  'a duplicate of a call in progress joins it and both are answered where they came from',
  async (t) => {
    const { echo, connect, server } = await startEchoServer(t);
    const [first, second] = [await connect(), await connect()];
    const original = first.call(ECHO, 'HELD_BUMP', 9, { xid: 5 });
    await echo.holding(1);
    const copy = second.call(ECHO, 'HELD_BUMP', 9, { xid: 5 });
    const again = first.call(ECHO, 'HELD_BUMP', 9, { xid: 5 });
    await until(() => server.stats.calls === 3);
    echo.releaseAll();
    t.same(await Promise.all([original, copy, again]), [9, 9, 9]);
    t.equal(echo.bumps, 1);
    t.equal(second.replied.length, 1);
  },
);

await t.test('a call goes on when its connection dies, and the retransmission gets its reply', async (t) => {
  const { echo, connect, server } = await startEchoServer(t);
  const client = await connect();
  const lost = client.call(ECHO, 'HELD_BUMP', 9, { xid: 5 });
  await echo.holding(1);
  const signal = echo.held[0]?.signal;
  const failed = t.rejects(lost);
  await client.reconnect();
  await failed;
  await until(() => server.stats.connections === 1);
  t.equal(signal?.aborted, false, 'what changes something is not aborted');
  const retransmitted = client.call(ECHO, 'HELD_BUMP', 9, { xid: 5 });
  await until(() => server.stats.calls === 2);
  echo.releaseAll();
  t.equal(await retransmitted, 9);
  t.equal(echo.bumps, 1);
});

await t.test('a call that changes nothing is aborted when its connection dies', async (t) => {
  const { echo, connect, server } = await startEchoServer(t);
  const client = await connect();
  const lost = t.rejects(client.call(ECHO, 'HOLD', 9));
  await echo.holding(1);
  await client.close();
  await lost;
  await until(() => server.stats.connections === 0);
  t.equal(echo.held[0]?.signal.aborted, true);
  echo.releaseAll();
  await until(() => server.stats.calls === 0);
  t.match(server.stats, { requestBytes: 0, replyBytes: 0 });
});

await t.test('"try later" is never kept', async (t) => {
  const { echo, connect } = await startEchoServer(t);
  const client = await connect();
  echo.jukebox = true;
  t.equal(await client.call(ECHO, 'BUMP', Buffer.alloc(0), { xid: 5 }), 0);
  echo.jukebox = false;
  t.equal(await client.call(ECHO, 'BUMP', Buffer.alloc(0), { xid: 5 }), 2, 'executed anew');
  t.equal(await client.call(ECHO, 'BUMP', Buffer.alloc(0), { xid: 5 }), 2, 'and kept then');
});

await t.test('calls that change nothing are executed each time', async (t) => {
  const { connect, server } = await startEchoServer(t);
  const client = await connect();
  for (let i = 0; i < 3; i++) await client.call(ECHO, 'ECHO', Buffer.alloc(0), { xid: 5 });
  t.match(server.stats, { duplicates: 0, cachedReplies: 0 });
});
