import t from 'tap';
import { rpc_msg } from '../../protocol/rpc.js';
import { XdrReader } from '../../protocol/xdr-cursors.js';
import { ECHO } from '../support/echo-program.js';
import { encodeCall, systemCredential } from '../support/rpc-client.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

const target = { prog: ECHO.number, vers: ECHO.version, proc: 1 };

await t.test('calls by UDP, on the port of TCP', async (t) => {
  const { connect, port } = await startEchoServer(t, { udp: true });
  const client = await connect({ transport: 'udp', credential: systemCredential(1, 2) });
  t.same(await client.call(ECHO, 'ECHO', Buffer.from('abc')), Buffer.from('abc'));
  const who = JSON.parse((await client.call(ECHO, 'WHO', undefined)).toString()) as unknown;
  t.match(who, { transport: 'udp', remoteAddress: '127.0.0.1', localPort: port, credential: { uid: 1 } });
  const refused = await client.exchange(encodeCall(9, { ...target, vers: 4 }));
  t.match(rpc_msg.decode(new XdrReader(refused)).body, {
    rbody: { areply: { reply_data: { stat: 'PROG_MISMATCH', mismatch_info: { low: 3, high: 3 } } } },
  });
});

await t.test('a retransmission by UDP is executed once', async (t) => {
  const { echo, connect } = await startEchoServer(t, { udp: true });
  const client = await connect({ transport: 'udp' });
  const byTcp = await connect();
  t.equal(await client.call(ECHO, 'BUMP', Buffer.alloc(0), { xid: 5 }), 1);
  t.equal(await client.call(ECHO, 'BUMP', Buffer.alloc(0), { xid: 5 }), 1);
  t.equal(await byTcp.call(ECHO, 'BUMP', Buffer.alloc(0), { xid: 5 }), 1, 'also over TCP');
  t.equal(echo.bumps, 1);
});

await t.test('a reply beyond the limit is dropped, and its buffers come back', async (t) => {
  const { echo, connect, server } = await startEchoServer(t, { udp: true });
  const client = await connect({ transport: 'udp' });
  // The header of a good reply has 24 bytes, an opaque 4 more.
  const [most] = await client.call(ECHO, 'SLICES', 8192 - 28);
  t.equal(most?.length, 8192 - 28);
  const dropped = t.rejects(client.call(ECHO, 'SLICES', 8192 - 27));
  await until(() => echo.released === 2);
  t.same(await client.call(ECHO, 'ECHO', Buffer.alloc(3)), Buffer.alloc(3));
  t.equal(client.replied.length, 2);
  t.match(server.stats, { calls: 0, requestBytes: 0 });
  await client.close();
  await dropped;
});

await t.test('what is no call is dropped in silence', async (t) => {
  const { connect } = await startEchoServer(t, { udp: true });
  const client = await connect({ transport: 'udp' });
  for (const text of ['', '00', '00000001', '0000000100000001', '00000001000000010000000000000000']) {
    client.sendRaw(Buffer.from(text, 'hex'));
  }
  // Datagrams of one socket arrive in order over loopback: an answer to any of those would come first.
  await client.call(ECHO, 'ECHO', Buffer.alloc(0), { xid: 50 });
  t.same(client.replied, [50]);
});

await t.test('past the calls in flight datagrams are dropped', async (t) => {
  const { echo, connect, server } = await startEchoServer(t, { udp: true, limits: { udpCallsMax: 2 } });
  const client = await connect({ transport: 'udp' });
  const calls = [client.call(ECHO, 'HOLD', 1), client.call(ECHO, 'HOLD', 2)];
  await echo.holding(2);
  client.sendRaw(encodeCall(70, target, Buffer.alloc(4)));
  // Answered by TCP after the datagram was taken from its socket, or the datagram is answered below.
  await (await connect()).call(ECHO, 'ECHO', Buffer.alloc(0));
  t.equal(server.stats.calls, 2);
  echo.releaseAll();
  await Promise.all(calls);
  await client.call(ECHO, 'ECHO', Buffer.alloc(0), { xid: 71 });
  t.equal(client.replied.length, 3, 'the two held and the last');
});
