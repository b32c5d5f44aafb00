/**
 * The least that an NFS server in this language does: answers each READ of a connection with a header and one slice of a buffer that has the whole file, corked. It
 * looks at nothing but xid, offset and count, and has no other procedure. A process of its own: `reply-only.js SEED BYTES`, tells its parent the port.
 */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { fillPattern } from './pattern.js';

const RECORD_MARK_BYTES = 4;
/** The READ's last arguments: offset and count. */
const OFFSET_AND_COUNT_BYTES = 12;
/** Mark, xid, REPLY, accepted, verifier, SUCCESS, NFS3_OK, attributes, count, eof, length of the data. */
const HEADER_BYTES = 4 + 24 + 4 + 4 + 84 + 12;
const SUCCESS = 0;

const [seed = 0, bytes = 0] = process.argv.slice(2).map(Number);
const file = fillPattern(Buffer.allocUnsafeSlow(bytes), seed, 0);

const server = createServer({ noDelay: true }, (socket) => {
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    const received = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let at = 0;
    socket.cork();
    for (;;) {
      if (received.length - at < RECORD_MARK_BYTES) break;
      const end = at + RECORD_MARK_BYTES + (received.readUInt32BE(at) & 0x7fffffff);
      if (end > received.length) break;
      reply(
        socket,
        received.readUInt32BE(at + RECORD_MARK_BYTES),
        received.subarray(end - OFFSET_AND_COUNT_BYTES, end),
      );
      at = end;
    }
    socket.uncork();
    rest = received.subarray(at);
  });
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());

function reply(socket: Socket, xid: number, args: Buffer): void {
  const offset = Number(args.readBigUInt64BE(0));
  const data = file.subarray(offset, offset + args.readUInt32BE(8));
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE((0x80000000 | (HEADER_BYTES - RECORD_MARK_BYTES + data.length)) >>> 0, 0);
  header.writeUInt32BE(xid, 4);
  header.writeUInt32BE(1, 8);
  header.writeUInt32BE(SUCCESS, 24);
  header.writeUInt32BE(1, 32);
  header.writeUInt32BE(data.length, HEADER_BYTES - 12);
  header.writeUInt32BE(offset + data.length >= bytes ? 1 : 0, HEADER_BYTES - 8);
  header.writeUInt32BE(data.length, HEADER_BYTES - 4);
  socket.write(header);
  socket.write(data);
}
