import fc from '../support/fast-check.js';
import t from 'tap';
import { encodeRecord } from '../../protocol/record-marking.js';
import { ECHO } from '../support/echo-program.js';
import { encodeCall } from '../support/rpc-client.js';
import { startEchoServer, until } from '../support/rpc-fixture.js';

const small = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));

/** Bytes as they come, records of any bytes, and calls that are almost right. */
const piece = fc.oneof(
  small,
  small.map((bytes) => encodeRecord(bytes)),
  fc
    .record({ xid: fc.nat(9), proc: fc.constantFrom(0, 1, 3, 4, 5, 7, 8), args: small, cut: fc.nat(60) })
    .map(({ xid, proc, args, cut }) => {
      const message = encodeCall(xid, { prog: ECHO.number, vers: ECHO.version, proc }, args);
      return encodeRecord(cut < 40 ? message : message.subarray(0, cut));
    }),
  fc
    .record({ bytes: small, fragment: fc.integer({ min: 1, max: 50 }) })
    .map(({ bytes, fragment }) => encodeRecord(bytes, fragment)),
);

await t.test('random bytes never crash the server and leave nothing in flight', async (t) => {
  const { connect, server } = await startEchoServer(t, { udp: true });
  const honest = await connect();
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 12 }), fc.boolean(), async (pieces, abrupt) => {
      const client = await connect();
      const datagrams = await connect({ transport: 'udp' });
      for (const bytes of pieces) {
        if (client.socket.writable) client.sendRaw(bytes);
        datagrams.sendRaw(bytes.subarray(4));
      }
      if (!abrupt) client.socket.end();
      else client.socket.destroy();
      await client.closed;
      await datagrams.close();
      const echoed = await honest.call(ECHO, 'ECHO', Buffer.from('still here'));
      await until(
        () => server.stats.connections === 1 && server.stats.calls === 0 && server.stats.replyBytes === 0,
      );
      return echoed.toString() === 'still here' && server.stats.requestBytes === 0;
    }),
    { numRuns: 150 },
  );
  t.match(server.stats, { connections: 1, calls: 0, requestBytes: 0, replyBytes: 0 });
});
