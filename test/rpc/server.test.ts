import t from 'tap';
import { program } from '../../protocol/program.js';
import { rpc_msg, type reply_body, type rejected_reply, type reply_data } from '../../protocol/rpc.js';
import { XdrReader } from '../../protocol/xdr-cursors.js';
import { ECHO } from '../support/echo-program.js';
import { encodeCall, RpcReplyError, systemCredential, type RpcClient } from '../support/rpc-client.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

const target = { prog: ECHO.number, vers: ECHO.version, proc: 1 };

async function refusal(promise: Promise<unknown>): Promise<reply_body> {
  const error: unknown = await promise.then(
    () => new Error('expected a refusal'),
    (reason: unknown) => reason,
  );
  if (!(error instanceof RpcReplyError)) throw error;
  return error.body;
}

async function answer(client: RpcClient, message: Buffer): Promise<reply_body> {
  const { body } = rpc_msg.decode(new XdrReader(await client.exchange(message)));
  if (body.mtype !== 'REPLY') throw new Error('expected a reply');
  return body.rbody;
}

const acceptedWith = (data: reply_data): unknown => ({
  reply_stat: 'MSG_ACCEPTED',
  areply: { reply_data: data },
});
const deniedWith = (rreply: rejected_reply): unknown => ({ reply_stat: 'MSG_DENIED', rreply });

await t.test('calls of one connection run in parallel and are answered in any order', async (t) => {
  const { echo, connect } = await startEchoServer(t);
  const client = await connect();
  const calls = [1, 2, 3].map((value) => client.call(ECHO, 'HOLD', value, { xid: value }));
  await echo.holding(3);
  // A call that arrives later overtakes those that wait.
  t.same(await client.call(ECHO, 'ECHO', Buffer.from('now')), Buffer.from('now'));
  for (const held of echo.held.splice(0).reverse()) {
    held.release();
    await calls[held.value - 1];
  }
  t.same(await Promise.all(calls), [1, 2, 3]);
  t.same(client.replied.slice(1), [3, 2, 1]);
});

await t.test('a record in several fragments is one call', async (t) => {
  const { connect } = await startEchoServer(t);
  const client = await connect();
  const bytes = Buffer.alloc(10_000, 7);
  t.same(await client.call(ECHO, 'ECHO', bytes, { fragmentBytesMax: 13 }), bytes);
});

await t.test('payloads of 1 MiB pass both ways, and their buffers are given back', async (t) => {
  const { echo, connect, server } = await startEchoServer(t);
  const client = await connect();
  const bytes = Buffer.alloc(1024 * 1024, 'abcdefghijk');
  const echoes = await Promise.all(Array.from({ length: 12 }, () => client.call(ECHO, 'ECHO', bytes)));
  t.ok(echoes.every((echoed) => echoed.equals(bytes)));
  const [slice] = await client.call(ECHO, 'SLICES', 1024 * 1024 - 1);
  t.equal(slice?.length, 1024 * 1024 - 1);
  t.equal(slice?.[0], 0xaa);
  t.equal(slice?.at(-1), 0xbb);
  await until(() => echo.released === 1 && server.stats.replyBytes === 0);
  t.match(server.stats, { calls: 0, requestBytes: 0, replyBytes: 0 });
});

await t.test('procedure 0 is answered, listed or not', async (t) => {
  const { connect } = await startEchoServer(t);
  const client = await connect();
  t.match(await answer(client, encodeCall(1, { ...target, proc: 0 })), acceptedWith({ stat: 'SUCCESS' }));
});

await t.test('each refusal is the one of RFC 5531', async (t) => {
  const { connect, lines } = await startEchoServer(t);
  const client = await connect();
  const ask = (message: Buffer): Promise<reply_body> => answer(client, message);
  const garbage = acceptedWith({ stat: 'GARBAGE_ARGS' });
  const two = { low: 2, high: 2 };
  t.match(
    await ask(encodeCall(1, target, undefined, { rpcvers: 3 })),
    deniedWith({ stat: 'RPC_MISMATCH', mismatch_info: two }),
  );
  t.match(await ask(encodeCall(2, { ...target, prog: 100227 })), acceptedWith({ stat: 'PROG_UNAVAIL' }));
  t.match(
    await ask(encodeCall(3, { ...target, vers: 4, proc: 0 })),
    acceptedWith({ stat: 'PROG_MISMATCH', mismatch_info: { low: 3, high: 3 } }),
    'what a client that asks for NFS version 4 must get',
  );
  t.match(await ask(encodeCall(4, { ...target, proc: 99 })), acceptedWith({ stat: 'PROC_UNAVAIL' }));
  t.match(await ask(encodeCall(5, target)), garbage, 'arguments that end early');
  t.match(await ask(encodeCall(6, target, Buffer.alloc(8))), garbage, 'bytes behind the arguments');
  t.match(
    await ask(encodeCall(7, target, Buffer.from([0x7f, 0, 0, 0]))),
    garbage,
    'a length beyond the maximum',
  );
  t.match(
    await ask(encodeCall(8, target, undefined, { credential: { flavor: 1, body: Buffer.alloc(7) } })),
    deniedWith({ stat: 'AUTH_ERROR', auth_stat: 'AUTH_BADCRED' }),
  );
  t.match(
    await ask(encodeCall(9, target, undefined, { credential: { flavor: 6, body: Buffer.alloc(0) } })),
    deniedWith({ stat: 'AUTH_ERROR', auth_stat: 'AUTH_REJECTEDCRED' }),
  );
  const longCredential = encodeCall(10, target);
  longCredential.writeUInt32BE(401, 28);
  t.match(
    await ask(Buffer.concat([longCredential, Buffer.alloc(404)])),
    deniedWith({ stat: 'AUTH_ERROR', auth_stat: 'AUTH_BADCRED' }),
    'a credential of more than 400 bytes',
  );
  t.match(await ask(encodeCall(11, target).subarray(0, 12)), garbage, 'a header that ends early');
  t.same(
    lines.filter((line) => line['level'] === 50),
    [],
    'what clients do wrong is no error of this server',
  );
});

await t.test(
  'what a handler throws becomes its status, and a defect is logged without payload',
  async (t) => {
    const { connect, lines } = await startEchoServer(t);
    const client = await connect();
    t.match(await refusal(client.call(ECHO, 'FAIL', 0, { xid: 77 })), acceptedWith({ stat: 'SYSTEM_ERR' }));
    t.match(
      await refusal(client.call(ECHO, 'FAIL', 1)),
      deniedWith({ stat: 'AUTH_ERROR', auth_stat: 'AUTH_TOOWEAK' }),
    );
    t.match(await refusal(client.call(ECHO, 'FAIL', 2)), acceptedWith({ stat: 'SYSTEM_ERR' }));
    t.match(await refusal(client.call(ECHO, 'FAIL', 3)), acceptedWith({ stat: 'PROC_UNAVAIL' }));
    const errors = lines.filter((line) => line['level'] === 50);
    t.equal(errors.length, 1);
    t.match(errors[0], {
      program: 'ECHO',
      procedure: 'FAIL',
      xid: 77,
      remoteAddress: '127.0.0.1',
      error: /a defect/,
    });
  },
);

await t.test('the lowest and the highest version are named, and a listener serves a subset', async (t) => {
  const { connect, echo, server } = await startEchoServer(t);
  const ONE = program({ ...ECHO, version: 1 });
  const { handlers } = echo.service;
  const both = await server.listen({
    host: '127.0.0.1',
    port: 0,
    udp: false,
    services: [echo.service, { program: ONE, handlers }],
  });
  const client = await connect({ port: both.port });
  t.match(
    await answer(client, encodeCall(1, { ...target, vers: 2 })),
    acceptedWith({ stat: 'PROG_MISMATCH', mismatch_info: { low: 1, high: 3 } }),
  );
  t.same(await client.call(ONE, 'ECHO', Buffer.from('one')), Buffer.from('one'));
  const none = await server.listen({ host: '127.0.0.1', port: 0, udp: false, services: [] });
  const stranger = await connect({ port: none.port });
  t.match(await answer(stranger, encodeCall(1, target)), acceptedWith({ stat: 'PROG_UNAVAIL' }));
});

await t.test('a handler learns who calls and from where', async (t) => {
  const { connect, port } = await startEchoServer(t);
  const client = await connect({ credential: systemCredential(1000, 100, [100, 27]) });
  const who = JSON.parse((await client.call(ECHO, 'WHO', undefined)).toString()) as unknown;
  t.same(who, {
    credential: { flavor: 'AUTH_SYS', uid: 1000, gid: 100, gids: [100, 27], machineName: 'test' },
    remoteAddress: '127.0.0.1',
    remotePort: client.socket.localPort,
    localAddress: '127.0.0.1',
    localPort: port,
    transport: 'tcp',
  });
});

await t.test('each executed call is told to the observer', async (t) => {
  const events: string[] = [];
  const { connect } = await startEchoServer(t, {
    onCall: ({ program: name, procedure, outcome }) => void events.push(`${name} ${procedure} ${outcome}`),
  });
  const client = await connect();
  await client.call(ECHO, 'ECHO', Buffer.alloc(0));
  await refusal(client.call(ECHO, 'FAIL', 0));
  await refusal(client.call(ECHO, 'FAIL', 3));
  await answer(client, encodeCall(client.nextXid(), target));
  t.same(events, [
    'ECHO ECHO SUCCESS',
    'ECHO FAIL SYSTEM_ERR',
    'ECHO FAIL REFUSED',
    'ECHO ECHO GARBAGE_ARGS',
  ]);
});

await t.test('an address that is not allowed is refused', async (t) => {
  const asked: string[] = [];
  const { connect } = await startEchoServer(t, {
    udp: true,
    allow: (address) => {
      asked.push(address);
      return false;
    },
  });
  const client = await connect();
  await client.closed;
  t.same(asked, ['127.0.0.1']);
});

await t.test('IPv4 clients of an IPv6 listener are known by their IPv4 address', async (t) => {
  const { server, connect } = await startEchoServer(t);
  const { port } = await server.listen({ host: '::', port: 0, udp: true });
  for (const transport of ['tcp', 'udp'] as const) {
    const client = await connect({ port, transport });
    const who = JSON.parse((await client.call(ECHO, 'WHO', undefined)).toString()) as unknown;
    t.match(who, { remoteAddress: '127.0.0.1', transport });
  }
});

await t.test('one connection more than the most is closed', async (t) => {
  const { connect, server } = await startEchoServer(t, { limits: { connectionsMax: 2 } });
  const [first] = [await connect(), await connect()];
  const third = await connect();
  await third.closed;
  t.same(await first.call(ECHO, 'ECHO', Buffer.from('a')), Buffer.from('a'));
  await first.close();
  await until(() => server.stats.connections === 1);
  const fourth = await connect();
  t.same(await fourth.call(ECHO, 'ECHO', Buffer.from('b')), Buffer.from('b'), 'the place is free again');
});
