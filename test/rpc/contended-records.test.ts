import t from 'tap';
import { encodeRecord } from '../../protocol/record-marking.js';
import { RecordPace } from '../../src/rpc/record-pace.js';
import { ECHO } from '../support/echo-program.js';
import { encodeCall, type RpcClient } from '../support/rpc-client.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

const KIB = 1024;
const BYTES = 200 * KIB;
/** Room for two large records. */
const TWO_BUFFERS = { requestBytesMax: 2 * (1024 + 64) * KIB };

const word = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
};
const largeEcho = encodeRecord(
  encodeCall(
    1,
    { prog: ECHO.number, vers: ECHO.version, proc: 1 },
    Buffer.concat([word(BYTES), Buffer.alloc(BYTES)]),
  ),
);

/** As many bytes of a large record as make the server take a buffer for it. */
function begin(client: RpcClient): number {
  client.sendRaw(largeEcho.subarray(0, 40 * KIB));
  return 40 * KIB;
}

await t.test('a pace is so many bytes in each stretch', async (t) => {
  const pace = new RecordPace(100, 1000);
  t.notOk(pace.late(0, 5));
  t.notOk(pace.late(1000, 104));
  t.ok(pace.late(1001, 104), 'a byte now and then is no progress');
  t.notOk(pace.late(1001, 105));
  t.notOk(pace.late(2001, 105));
  pace.reset();
  t.notOk(pace.late(2100, 105), 'from when somebody waits');
  t.ok(pace.late(3101, 105));
});

await t.test('large records that make no progress leave their buffers to those who wait', async (t) => {
  const { connect, lines, server } = await startEchoServer(t, {
    limits: { ...TWO_BUFFERS, contendedRecordTimeoutMs: 50 },
  });
  const silent = await connect();
  begin(silent);
  const dripping = await connect();
  let at = begin(dripping);
  const drip = setInterval(() => dripping.sendRaw(largeEcho.subarray(at, ++at)), 5);
  dripping.socket.on('error', () => undefined);
  void dripping.closed.then(() => clearInterval(drip));
  const honest = await connect();
  const data = Buffer.alloc(BYTES, 7);
  t.same(await honest.call(ECHO, 'ECHO', data), data);
  await Promise.race([silent.closed, dripping.closed]);
  const others = [honest.call(ECHO, 'ECHO', data), (await connect()).call(ECHO, 'ECHO', data)];
  t.same(await Promise.all(others), [data, data]);
  clearInterval(drip);
  t.match(lines.find((line) => line['msg'] === 'connection cut')?.['reason'], /while others waited/);
  await until(() => server.stats.replyBytes === 0);
  t.match(server.stats, { calls: 0, requestBytes: 0, replyBytes: 0 });
});

await t.test('while nobody waits a slow record has its whole time', async (t) => {
  const { connect, lines } = await startEchoServer(t, {
    limits: { ...TWO_BUFFERS, contendedRecordTimeoutMs: 10, partialRecordTimeoutMs: 100 },
  });
  const slow = await connect();
  begin(slow);
  await slow.closed;
  t.match(lines.find((line) => line['msg'] === 'connection cut')?.['reason'], /not complete within 100 ms/);
});

await t.test('a client that takes no replies keeps no record buffers by that', async (t) => {
  const { connect, server } = await startEchoServer(t, {
    limits: { ...TWO_BUFFERS, replyBytesPerConnectionMax: 32_000_000 },
  });
  const lazy = await connect();
  lazy.socket.pause();
  const slices = encodeRecord(
    encodeCall(1, { prog: ECHO.number, vers: ECHO.version, proc: 5 }, word(1_000_000)),
  );
  // More than the kernel's buffers between both ends take.
  for (let count = 0; count < 20; count++) lazy.sendRaw(slices);
  await until(() => server.stats.calls === 0 && server.stats.replyBytes > 4_000_000);
  const bump = encodeRecord(
    encodeCall(
      2,
      { prog: ECHO.number, vers: ECHO.version, proc: 3 },
      Buffer.concat([word(BYTES), Buffer.alloc(BYTES)]),
    ),
  );
  for (let count = 0; count < 3; count++) lazy.sendRaw(bump);
  const honest = await connect();
  const data = Buffer.alloc(BYTES, 7);
  t.same(await honest.call(ECHO, 'ECHO', data), data);
});
