/** The two ways to read a connection, straight into records and by 'data' events, take the same records from the same bytes. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setImmediate } from 'node:timers/promises';
import fc from '../support/fast-check.js';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { encodeRecord, RECORD_MARK_BYTES, recordMark } from '../../protocol/record-marking.js';
import { Connection } from '../../src/rpc/connection.js';
import type { Dispatcher } from '../../src/rpc/dispatcher.js';
import { DEFAULT_RPC_LIMITS } from '../../src/rpc/limits.js';
import { Load } from '../../src/rpc/load.js';
import { RecordBuffers } from '../../src/rpc/record-buffers.js';

const KIB = 1024;
const RECORD_BYTES_MAX = 128 * KIB;

/** Bytes that differ with every offset and seed. */
function message(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, at) => (at * 31 + (at >>> 8) * 7 + seed) & 0xff));
}

/** Records of all kinds: within one read, larger than a buffer is taken for, in fragments, with an empty one. */
const MESSAGES = [
  message(40, 1),
  message(100 * KIB + 3, 2),
  message(1, 3),
  message(80 * KIB, 4),
  message(44, 5),
];
const FRAGMENT_BYTES = [undefined, 30 * KIB + 1, undefined, undefined, 8];
const EMPTY_FRAGMENT = Buffer.alloc(RECORD_MARK_BYTES);
EMPTY_FRAGMENT.writeUInt32BE(recordMark(0, false));
const PIECES = MESSAGES.map((each, at) => encodeRecord(each, FRAGMENT_BYTES[at]));
const STREAM = Buffer.concat([...PIECES.slice(0, 3), EMPTY_FRAGMENT, ...PIECES.slice(3)]);

/** Where a split may matter: before and behind each mark, and where a buffer is taken or left. */
function offsets(): readonly number[] {
  const marks: number[] = [];
  for (let at = 0; at < STREAM.length; at += RECORD_MARK_BYTES + (STREAM.readUInt32BE(at) & 0x7fffffff))
    marks.push(at);
  const thresholds = marks.flatMap((at) => [at, at + 16 * KIB, at + 64 * KIB]);
  const near = thresholds.flatMap((at) => Array.from({ length: 10 }, (_, by) => at - 3 + by));
  return [...new Set(near)].filter((at) => at > 0 && at < STREAM.length);
}

interface Handle {
  readonly bytesRead: number;
}

class Rig {
  readonly #listener: Server;
  readonly #direct: boolean;
  readonly #scratch = Buffer.alloc(64 * KIB);
  /** Used again from one stream to the next: what an earlier record left in them is there. */
  readonly #buffers = new RecordBuffers(RECORD_BYTES_MAX, 2);

  private constructor(listener: Server, direct: boolean) {
    this.#listener = listener;
    this.#direct = direct;
  }

  static async start(t: Test, direct: boolean): Promise<Rig> {
    const listener = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
    await once(listener, 'listening');
    t.teardown(() => listener.close());
    return new Rig(listener, direct);
  }

  /** The records that a connection takes from the stream, sent in pieces: none before the one before it was read. */
  async records(cuts: readonly number[]): Promise<readonly Buffer[]> {
    const accepting = once(this.#listener, 'connection') as Promise<[Socket]>;
    const client = connect({ port: (this.#listener.address() as AddressInfo).port, noDelay: true });
    const [accepted] = await accepting;
    const { _handle: handle } = accepted as unknown as { readonly _handle: Handle };
    // As on a Node whose handles can't do it.
    if (!this.#direct) Object.defineProperty(handle, 'useUserBuffer', { value: undefined });
    const records: Buffer[] = [];
    const connection = new Connection({
      socket: accepted,
      scratch: this.#scratch,
      buffers: this.#buffers,
      remoteAddress: '127.0.0.1',
      localAddress: '127.0.0.1',
      dispatcher: {
        dispatch: async (record: Buffer) => {
          records.push(Buffer.from(record));
          // What stands in a buffer that is given back is nobody's.
          await setImmediate();
          record.fill(0xee);
          return { length: 0, chunks: [], settle: () => undefined };
        },
      } as unknown as Dispatcher,
      limits: { ...DEFAULT_RPC_LIMITS, recordBytesMax: RECORD_BYTES_MAX },
      load: new Load(DEFAULT_RPC_LIMITS.requestBytesMax),
      log: pino({ level: 'silent' }),
    });
    let sent = 0;
    for (const end of [...cuts, STREAM.length]) {
      client.write(STREAM.subarray(sent, end));
      sent = end;
      while (handle.bytesRead < sent) await setImmediate();
    }
    client.end();
    client.resume();
    connection.drain();
    await connection.closed;
    return records;
  }
}

await t.test('as a whole, and split at every offset that may matter', async (t) => {
  for (const direct of [true, false]) {
    const rig = await Rig.start(t, direct);
    t.same(await rig.records([]), MESSAGES, direct ? 'straight' : "by 'data'");
    const wrong: number[] = [];
    for (const cut of offsets()) {
      const records = await rig.records([cut]);
      const same =
        records.length === MESSAGES.length && records.every((each, at) => MESSAGES[at]?.equals(each));
      if (!same) wrong.push(cut);
    }
    t.same(wrong, []);
  }
});

await t.test('in any pieces', async (t) => {
  const direct = await Rig.start(t, true);
  const plain = await Rig.start(t, false);
  const anyCuts = fc.uniqueArray(fc.integer({ min: 1, max: STREAM.length - 1 }), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(anyCuts, async (unordered) => {
      const cuts = [...unordered].sort((a, b) => a - b);
      const [one, other] = [await direct.records(cuts), await plain.records(cuts)];
      return (
        Buffer.concat(one).equals(Buffer.concat(MESSAGES)) && one.every((each, at) => other[at]?.equals(each))
      );
    }),
    { numRuns: 40 },
  );
  t.pass('the same');
});
