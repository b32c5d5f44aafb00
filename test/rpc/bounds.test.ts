import { once } from 'node:events';
import t from 'tap';
import { encodeRecord, recordMark } from '../../protocol/record-marking.js';
import { ECHO } from '../support/echo-program.js';
import { encodeCall } from '../support/rpc-client.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

const target = { prog: ECHO.number, vers: ECHO.version, proc: 1 };

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};

await t.test('past the calls in flight nothing more is started until one ends', async (t) => {
  const { echo, connect, server } = await startEchoServer(t, { limits: { callsPerConnectionMax: 4 } });
  const client = await connect();
  const calls = Array.from({ length: 50 }, (_, value) => client.call(ECHO, 'HOLD', value));
  await echo.holding(4);
  // Another connection's call passes through the whole server after the 50 arrived.
  const other = await connect();
  await other.call(ECHO, 'ECHO', Buffer.alloc(0));
  t.equal(server.stats.calls, 4);
  t.equal(echo.held.length, 4);
  let most = 0;
  for (let left = 50; left > 0;) {
    await echo.holding(1);
    most = Math.max(most, echo.held.length);
    left -= echo.held.length;
    echo.releaseAll();
  }
  t.same(
    await Promise.all(calls),
    Array.from({ length: 50 }, (_, value) => value),
    'all are answered in the end',
  );
  t.ok(most <= 4, `${most} calls at a time`);
});

await t.test('a turn of the event loop has as many calls of a connection as may be in flight', async (t) => {
  let executed = 0;
  const { connect } = await startEchoServer(t, {
    limits: { callsPerConnectionMax: 4 },
    onCall: () => executed++,
  });
  const client = await connect();
  let seen = 0;
  let most = 0;
  const look = (): void => {
    most = Math.max(most, executed - seen);
    seen = executed;
    if (executed < 200) setImmediate(look);
  };
  look();
  const calls = Array.from({ length: 200 }, (_, value) => client.call(ECHO, 'ECHO', word(value)));
  t.same(
    await Promise.all(calls),
    Array.from({ length: 200 }, (_, value) => word(value)),
    'all are answered, each with its own bytes',
  );
  // Those read in a turn, and those that waited for its end.
  t.ok(most <= 8, `${most} calls in a turn`);
});

await t.test('past the request bytes in flight the socket is not read', async (t) => {
  const { echo, connect, server } = await startEchoServer(t, {
    limits: { requestBytesPerConnectionMax: 100 },
  });
  const client = await connect();
  const held = client.call(ECHO, 'HOLD', 1);
  const heldToo = client.call(ECHO, 'HOLD', 2);
  await echo.holding(2);
  // More than the kernel's buffers between both ends take.
  const flood = encodeRecord(
    encodeCall(1, target, Buffer.concat([word(1_000_000), Buffer.alloc(1_000_000)])),
  );
  for (let i = 0; i < 40; i++) client.sendRaw(flood);
  await until(() => client.socket.writableLength > 10_000_000);
  const other = await connect();
  await other.call(ECHO, 'ECHO', Buffer.alloc(0));
  t.equal(server.stats.calls, 2);
  t.ok(client.socket.writableLength > 10_000_000, 'the flood stays with the client');
  echo.releaseAll();
  t.same(await Promise.all([held, heldToo]), [1, 2]);
  await until(() => client.replied.length === 42);
  await until(() => server.stats.replyBytes === 0);
  t.match(server.stats, { calls: 0, requestBytes: 0 });
});

await t.test('past the request bytes of all connections others wait, and go on in line', async (t) => {
  const { echo, connect, server } = await startEchoServer(t, { limits: { requestBytesMax: 40 } });
  const [first, second, third] = [await connect(), await connect(), await connect()];
  const held = first.call(ECHO, 'HOLD', 1);
  await echo.holding(1);
  const waiting = [second.call(ECHO, 'HOLD', 2), third.call(ECHO, 'HOLD', 3)];
  for (let left = 2; left > 0; left--) {
    t.equal(server.stats.calls, 1);
    echo.releaseAll();
    await echo.holding(1);
  }
  echo.releaseAll();
  t.same(await Promise.all([held, ...waiting]), [1, 2, 3]);
});

await t.test('a client that takes no replies is not read any more and cut', async (t) => {
  let executed = 0;
  let mostWaiting = 0;
  const { echo, connect, server, lines } = await startEchoServer(t, {
    limits: { drainTimeoutMs: 200, replyBytesPerConnectionMax: 4_000_000 },
    onCall: () => {
      executed++;
      mostWaiting = Math.max(mostWaiting, server.stats.replyBytes);
    },
  });
  const client = await connect();
  client.socket.pause();
  const slices = encodeRecord(encodeCall(1, { ...target, proc: 5 }, word(1_000_000)));
  // More than the bound and the kernel's buffers between both ends take.
  for (let i = 0; i < 100; i++) client.sendRaw(slices);
  await until(() => server.stats.connections === 0);
  t.match(lines.at(-1), { msg: 'connection cut', reason: /not taken within 200 ms/ });
  t.ok(executed < 100, `${executed} calls were started`);
  t.ok(mostWaiting < 4_000_000, `${mostWaiting} bytes waited when a call was started`);
  t.equal(echo.released, executed, 'the buffers of all replies came back');
  t.match(server.stats, { calls: 0, requestBytes: 0, replyBytes: 0 });
});

const hostile: [string, Buffer[]][] = [
  ['a record beyond the maximum', [word(recordMark(0x7fffffff))]],
  ['a record beyond the maximum in fragments', [word(600_000), Buffer.alloc(600_000), word(600_000)]],
  ['a flood of empty fragments', [Buffer.alloc(4 * 100)]],
  ['an empty record', [word(recordMark(0))]],
  ['a record too short for an xid', [encodeRecord(Buffer.from('abc'))]],
  ['a reply', [encodeRecord(Buffer.from('0000000100000001000000000000000000000000', 'hex'))]],
  ['another protocol', [Buffer.from('GET / HTTP/1.1\r\nHost: example\r\n\r\n')]],
];

await t.test('hostile records end their connection, and no other', async (t) => {
  const { connect, server } = await startEchoServer(t);
  const honest = await connect();
  for (const [name, chunks] of hostile) {
    const client = await connect();
    for (const chunk of chunks) client.sendRaw(chunk);
    await client.closed;
    t.same(await honest.call(ECHO, 'ECHO', Buffer.from(name)), Buffer.from(name), name);
  }
  await until(() => server.stats.connections === 1);
  t.match(server.stats, { calls: 0, requestBytes: 0, replyBytes: 0 });
});

await t.test('a record that is never completed ends its connection', async (t) => {
  const { connect, lines } = await startEchoServer(t, { limits: { partialRecordTimeoutMs: 60 } });
  const record = encodeRecord(encodeCall(1, target, word(0)));
  for (const length of [2, 4, 20]) {
    const client = await connect();
    client.sendRaw(record.subarray(0, length));
    await client.closed;
  }
  t.equal(lines.filter((line) => /not complete/.test(String(line['reason']))).length, 3);
});

await t.test('an idle connection is ended; one with a call that runs is not', async (t) => {
  const { echo, connect } = await startEchoServer(t, { limits: { idleTimeoutMs: 80 } });
  const busy = await connect();
  const held = busy.call(ECHO, 'HOLD', 3);
  await echo.holding(1);
  // These two were quiet for as long, one after the other.
  await (
    await connect()
  ).closed;
  await (
    await connect()
  ).closed;
  echo.releaseAll();
  t.equal(await held, 3);
  await busy.closed;
});

await t.test('a client that leaves in the middle of a record leaves nothing behind', async (t) => {
  const { connect, server } = await startEchoServer(t);
  const record = encodeRecord(encodeCall(1, target, Buffer.concat([word(4), word(0)])));
  for (let length = 1; length < record.length; length += 5) {
    const client = await connect();
    client.sendRaw(record.subarray(0, length));
    client.socket.end();
    await client.closed;
  }
  await until(() => server.stats.connections === 0);
  t.match(server.stats, { calls: 0, requestBytes: 0, replyBytes: 0 });
});

await t.test('replies completed in one turn leave in one write', async (t) => {
  const { echo, connect } = await startEchoServer(t);
  const client = await connect();
  const calls = Array.from({ length: 30 }, (_, value) => client.call(ECHO, 'HOLD', value));
  await echo.holding(30);
  const [chunk] = await Promise.all([
    once(client.socket, 'data') as Promise<[Buffer]>,
    Promise.resolve().then(() => echo.releaseAll()),
  ]);
  t.equal(chunk[0].length, 30 * 32, 'one read has all of them');
  await Promise.all(calls);
});
