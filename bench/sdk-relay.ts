/**
 * The first thing one would write in place of the daemon: receives records of 1 MiB, puts them together to parts of 8 MiB and uploads those by
 * the SDK with its defaults (checksums and signed payload included). A process of its own: `sdk-relay.js ENDPOINT`, tells its parent the port. A connection
 * is a file; it is closed when S3 has it.
 */
import { createServer, type AddressInfo, type Socket } from 'node:net';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  S3Client,
  UploadPartCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';

const PART_BYTES = 8 * 1024 * 1024;
const RECORD_BYTES = 1024 * 1024;
const RECORD_MARK_BYTES = 4;
/** As the daemon's parts under way at 8 MiB, roughly. */
const PARTS_IN_FLIGHT = 4;

const [endpoint = ''] = process.argv.slice(2);
const client = new S3Client({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId: 'BENCHBENCHBENCHBENCH', secretAccessKey: 'bench-secret-bench-secret' },
});

// The client ends its side first and waits for ours.
const server = createServer({ allowHalfOpen: true }, (socket) => {
  relay(socket).then(
    () => socket.end(),
    (error: unknown) => {
      process.stderr.write(`relay: ${String(error)}\n`);
      socket.destroy();
    },
  );
});
server.listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port }));
process.on('disconnect', () => process.exit());

async function relay(socket: Socket): Promise<void> {
  const target = { Bucket: 'bench', Key: 'sdk-relay' };
  const { UploadId } = await client.send(new CreateMultipartUploadCommand(target));
  const parts: CompletedPart[] = [];
  const running = new Set<Promise<void>>();
  const spare: Buffer[] = [];
  let number = 0;
  const upload = async (PartNumber: number, slab: Buffer, length: number): Promise<void> => {
    const Body = slab.subarray(0, length);
    const { ETag } = await client.send(new UploadPartCommand({ ...target, UploadId, PartNumber, Body }));
    parts.push({ PartNumber, ETag });
    spare.push(slab);
  };
  const give = async (slab: Buffer, length: number): Promise<Buffer> => {
    const one = upload(++number, slab, length).finally(() => running.delete(one));
    running.add(one);
    if (running.size >= PARTS_IN_FLIGHT) await Promise.race(running);
    return spare.pop() ?? Buffer.allocUnsafeSlow(PART_BYTES);
  };
  let slab: Buffer = Buffer.allocUnsafeSlow(PART_BYTES);
  let filled = 0;
  for await (const data of withoutMarks(socket)) {
    for (let at = 0; at < data.length;) {
      const count = data.copy(slab, filled, at);
      at += count;
      filled += count;
      if (filled < PART_BYTES) continue;
      slab = await give(slab, filled);
      filled = 0;
    }
  }
  if (filled > 0) await give(slab, filled);
  await Promise.all(running);
  parts.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
  await client.send(
    new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts: parts } }),
  );
}

/** The stream's bytes but for the mark before each record. */
async function* withoutMarks(socket: Socket): AsyncGenerator<Buffer> {
  let until = 0; // bytes of the record that are still to come
  let mark = 0; // bytes of the mark that are behind us
  // The socket outlives its input: that it closes tells the client that S3 has all.
  const chunks = socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.length;) {
      if (until === 0) {
        const count = Math.min(RECORD_MARK_BYTES - mark, chunk.length - at);
        mark += count;
        at += count;
        if (mark < RECORD_MARK_BYTES) continue;
        mark = 0;
        until = RECORD_BYTES;
      }
      const count = Math.min(until, chunk.length - at);
      yield chunk.subarray(at, at + count);
      at += count;
      until -= count;
    }
  }
}
