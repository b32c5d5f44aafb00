/** The largest file there can be, at a smaller scale: ten parts that double from 16 KiB to 8 MiB, in 1 MiB of memory. */
import t from 'tap';
import type { Body, StreamedBody } from '../../src/store/object-store.js';
import { KIB, pattern, SessionBench, SMALL_PARTS } from './session-bench.js';
import { storeErrorKind } from '../support/store-error-kind.js';

/** 16 KiB times 1 + 2 + 4 + ... + 512. */
const FILE_BYTES_MAX = 16 * KIB * 1023;
const BUDGET_BYTES = 1024 * KIB;
const HEADERS = { metadata: {} };

await t.test(
  'parts larger than memory are streamed from the spool: files grow to the largest object',
  async (t) => {
    const bench = await SessionBench.make({
      budgetBytes: BUDGET_BYTES,
      store: { capabilities: { partBytesMin: 16 * KIB, partsMax: 10 } },
    });
    t.teardown(() => bench.close());
    const streamed: number[] = [];
    let chunkBytesMax = 0;
    const { store } = bench;
    const uploadPart = store.uploadPart.bind(store);
    store.uploadPart = (key, uploadId, partNumber, body, signal) => {
      const seen: Body | StreamedBody =
        'open' in body ? { bytes: body.bytes, open: () => watched(body) } : body;
      if ('open' in body) streamed.push(body.bytes);
      return uploadPart(key, uploadId, partNumber, seen, signal);
    };
    async function* watched(body: StreamedBody): AsyncGenerator<Uint8Array> {
      for await (const chunk of body.open()) {
        chunkBytesMax = Math.max(chunkBytesMax, chunk.length);
        yield chunk;
      }
    }
    const data = pattern(FILE_BYTES_MAX);
    const session = bench.session('f', undefined, SMALL_PARTS);
    let heldMax = 0;
    for (let at = 0; at < data.length; at += 100 * KIB) {
      await session.write(at, data.subarray(at, at + 100 * KIB));
      heldMax = Math.max(heldMax, bench.budget.usedBytes);
    }
    t.equal(await storeErrorKind(session.write(FILE_BYTES_MAX, Buffer.from('x'))), 'too-large');
    const published = await session.publish({ key: 'f', headers: HEADERS });
    t.ok(bench.body('f')?.equals(data));
    t.same(
      streamed.sort((a, b) => a - b),
      [1024, 2048, 4096, 8192].map((kib) => kib * KIB),
      'those that can not be staged, each once',
    );
    t.ok(chunkBytesMax <= 256 * KIB, `${chunkBytesMax} bytes at a time`);
    t.ok(heldMax <= BUDGET_BYTES, `${heldMax} bytes of memory`);
    // In place, over the base, in the largest part.
    const changing = bench.session('f', published, SMALL_PARTS);
    const change = pattern(4 * KIB, 9);
    change.copy(data, 12_000 * KIB);
    await changing.write(12_000 * KIB, change);
    await changing.publish({ key: 'f', headers: HEADERS, condition: { ifMatch: published.etag } });
    t.ok(bench.body('f')?.equals(data));
    // A hole of the largest part: zeros, and never in memory.
    const sparse = bench.session('g', undefined, SMALL_PARTS);
    await sparse.write(0, Buffer.from('begins'));
    await sparse.truncate(FILE_BYTES_MAX);
    await sparse.publish({ key: 'g', headers: HEADERS });
    const zeros = Buffer.alloc(FILE_BYTES_MAX);
    zeros.write('begins');
    t.ok(bench.body('g')?.equals(zeros));
    t.equal(bench.budget.usedBytes, 0);
  },
);
