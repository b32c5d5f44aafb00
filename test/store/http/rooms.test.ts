/**
 * GETs whose bytes are read straight to where they are wanted, beside GETs whose bytes are copied there: the same bytes, however they are split,
 * framed, cut off and asked for again; and not one byte beside them, or after the GET has settled.
 */
import t, { type Test } from 'tap';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import fc from '../../support/fast-check.js';
import type { ObjectStore } from '../../../src/store/object-store.js';
import { createS3Store } from '../../../src/store/s3/s3-store.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { storeErrorKind } from '../../support/store-error-kind.js';

const OBJECT = Buffer.from(
  Array.from({ length: 400_000 }, (_, at) => (at * 7 + (at >> 8) * 13 + (at >> 16)) & 0xff),
);
const ETAG = '"version"';
const UNTOUCHED = 0xee;

/** How one request is answered. */
interface AnswerPlan {
  readonly framing: 'length' | 'chunked' | 'until-close';
  /** Bytes of a piece and of a chunk, in turn. */
  readonly pieces: readonly number[];
  /** Bytes of the body after which the connection is reset; Infinity for none. */
  readonly cutAt: number;
}

/** Answers ranged GETs of OBJECT, each as the next plan says, and whole once there is none. */
class SplittingServer {
  plans: AnswerPlan[] = [];
  requests = 0;
  readonly sockets = new Set<Socket>();
  readonly #server = createServer((socket) => this.#accept(socket));

  static async start(t: Test): Promise<SplittingServer> {
    const server = new SplittingServer();
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    t.teardown(() => {
      for (const socket of server.sockets) socket.destroy();
      server.#server.close();
    });
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #accept(socket: Socket): void {
    this.sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('close', () => this.sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let head = '';
    socket.on('data', (data) => {
      head += data.toString('latin1');
      if (!head.endsWith('\r\n\r\n')) return;
      const [, first = '', last = ''] = /range: bytes=(\d+)-(\d+)/.exec(head) ?? [];
      head = '';
      this.requests += 1;
      void this.#answer(socket, Number(first), Math.min(Number(last), OBJECT.length - 1));
    });
  }

  async #answer(socket: Socket, first: number, last: number): Promise<void> {
    const whole: AnswerPlan = { framing: 'length', pieces: [1_000_000], cutAt: Infinity };
    const { framing, pieces, cutAt } = this.plans.shift() ?? whole;
    const body = OBJECT.subarray(first, last + 1);
    const framed = {
      length: `content-length: ${body.length}\r\n`,
      chunked: 'transfer-encoding: chunked\r\n',
      'until-close': 'connection: close\r\n',
    };
    const head = `HTTP/1.1 206 Partial Content\r\netag: ${ETAG}\r\ncontent-range: bytes ${first}-${last}/${OBJECT.length}\r\n${framed[framing]}\r\n`;
    const written: Buffer[] = [Buffer.from(head, 'latin1')];
    let at = 0;
    for (let piece = 0; at < Math.min(body.length, cutAt); piece += 1) {
      const bytes = body.subarray(at, Math.min(at + (pieces[piece % pieces.length] ?? 1), cutAt));
      written.push(framing === 'chunked' ? chunkOf(bytes) : bytes);
      at += bytes.length;
      await written.splice(0).reduce(async (before, each) => {
        await before;
        await sent(socket, each);
      }, Promise.resolve());
    }
    for (const each of written) await sent(socket, each);
    if (cutAt < body.length) socket.resetAndDestroy();
    else if (framing === 'chunked') await sent(socket, Buffer.from('0\r\n\r\n'));
    else if (framing === 'until-close') socket.end();
  }
}

function chunkOf(bytes: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** In a turn of its own, so that it is read by itself as a rule. */
async function sent(socket: Socket, bytes: Buffer): Promise<void> {
  if (!socket.destroyed) socket.write(bytes);
  await new Promise((resolve) => setImmediate(resolve));
}

/** Blocks as the reader has them, each with room beside it that nobody may write to. */
class Blocks {
  readonly all: Buffer;
  copied = 0;
  readonly #blocks: Buffer[] = [];
  #filling = 0;
  #filled = 0;
  readonly #lends: boolean;

  constructor(bytes: number, sizes: readonly number[], lends: boolean) {
    this.#lends = lends;
    const lengths: number[] = [];
    for (let at = 0; at < bytes; at += lengths.at(-1) ?? 0)
      lengths.push(Math.min(sizes[lengths.length % sizes.length] ?? 1, bytes - at));
    this.all = Buffer.alloc(bytes + lengths.length * 100 + 100, UNTOUCHED);
    let from = 100;
    for (const length of lengths) {
      this.#blocks.push(this.all.subarray(from, from + length));
      from += length + 100;
    }
  }

  readonly room = (): Buffer | undefined => {
    if (!this.#lends) return undefined;
    return this.#blocks[this.#filling]?.subarray(this.#filled);
  };

  readonly sink = (chunk: Buffer): void => {
    for (let at = 0; at < chunk.length;) {
      const block = this.#blocks[this.#filling];
      if (block === undefined) throw new Error('more bytes than were asked for');
      const count = Math.min(block.length - this.#filled, chunk.length - at);
      const there =
        chunk.buffer === block.buffer && chunk.byteOffset + at === block.byteOffset + this.#filled;
      if (!there) this.copied += chunk.copy(block, this.#filled, at, at + count);
      at += count;
      this.#filled += count;
      if (this.#filled < block.length) continue;
      this.#filling += 1;
      this.#filled = 0;
    }
  };

  /** The bytes delivered. */
  get bytes(): Buffer {
    const full = this.#blocks.slice(0, this.#filling);
    return Buffer.concat([
      ...full,
      this.#blocks[this.#filling]?.subarray(0, this.#filled) ?? Buffer.alloc(0),
    ]);
  }

  /** Bytes beside the blocks that were written to. */
  get strays(): number {
    const inside = new Uint8Array(this.all.length);
    for (const block of this.#blocks) {
      const from = block.byteOffset - this.all.byteOffset;
      inside.fill(1, from, from + block.length);
    }
    return this.all.reduce((sum, byte, at) => sum + (inside[at] === 0 && byte !== UNTOUCHED ? 1 : 0), 0);
  }
}

function storeAt(t: Test, endpointUrl: string): ObjectStore {
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl,
    credentials: { accessKeyId: 'test', secretAccessKey: 'very-secret' },
    log: createLogger('silent'),
    retry: { attemptsMax: 3, backoffMs: 1, throttledAttemptsMax: 2, throttledBackoffMs: 1, backoffMsMax: 2 },
  });
  t.teardown(() => store.close());
  return store;
}

const range = fc
  .tuple(fc.nat(OBJECT.length - 1), fc.integer({ min: 1, max: 300_000 }))
  .map(([offset, length]) => ({ offset, length }));
const plan = fc.record({
  framing: fc.constantFrom('length' as const, 'chunked' as const, 'until-close' as const),
  pieces: fc.array(fc.oneof(fc.integer({ min: 1, max: 9000 }), fc.integer({ min: 9000, max: 120_000 })), {
    minLength: 1,
    maxLength: 6,
  }),
  cutAt: fc.oneof(fc.constant(Infinity), fc.nat(250_000)),
});
const blockSizes = fc.array(fc.integer({ min: 5_000, max: 70_000 }), { minLength: 1, maxLength: 3 });

/** Few pieces: each is a turn of the event loop. */
const fewPieces = (plans: readonly AnswerPlan[]): boolean =>
  plans.every(({ pieces }) => pieces.reduce((sum, piece) => sum + piece, 0) / pieces.length > 2000);

await t.test('bytes that are read to their place are those that are copied there', async (t) => {
  const server = await SplittingServer.start(t);
  const store = storeAt(t, server.url);
  let copied = 0;
  let inPlace = 0;
  await fc.assert(
    fc.asyncProperty(
      range,
      fc.array(plan, { maxLength: 3 }).filter(fewPieces),
      blockSizes,
      async ({ offset, length }, plans, sizes) => {
        const wanted = OBJECT.subarray(offset, offset + length);
        for (const lends of [true, false]) {
          server.plans = [...plans];
          const blocks = new Blocks(wanted.length, sizes, lends);
          const { room, sink } = blocks;
          const result = await store.get('key', { offset, length }, { ifMatch: ETAG, room }, sink);
          if (result.length !== wanted.length || !blocks.bytes.equals(wanted))
            throw new Error(`wrong bytes, ${lends}`);
          if (blocks.strays > 0) throw new Error(`${blocks.strays} bytes beside the blocks, ${lends}`);
          if (!lends) continue;
          copied += blocks.copied;
          inPlace += wanted.length - blocks.copied;
        }
      },
    ),
    { numRuns: 60 },
  );
  t.ok(inPlace > copied, `${inPlace} bytes read to their place, ${copied} copied`);
});

await t.test('a GET that fails for good leaves the same bytes behind, and none beside them', async (t) => {
  const server = await SplittingServer.start(t);
  const store = storeAt(t, server.url);
  await fc.assert(
    fc.asyncProperty(
      range.filter(({ offset, length }) => length > 1 && offset + length < OBJECT.length),
      fc.array(plan, { minLength: 3, maxLength: 3 }).filter(fewPieces),
      blockSizes,
      async ({ offset, length }, plans, sizes) => {
        for (const lends of [true, false]) {
          // Without a byte between them the attempts count.
          server.plans = plans.map((each, at) => ({
            ...each,
            cutAt: at === 0 ? Math.min(each.cutAt, length - 1) : 0,
          }));
          const blocks = new Blocks(length, sizes, lends);
          const { room, sink } = blocks;
          const kind = await storeErrorKind(
            store.get('key', { offset, length }, { ifMatch: ETAG, room }, sink),
          );
          if (kind !== 'unavailable') throw new Error(`${String(kind)} in place of unavailable`);
          if (!blocks.bytes.equals(OBJECT.subarray(offset, offset + blocks.bytes.length)))
            throw new Error('wrong bytes');
          if (blocks.strays > 0) throw new Error(`${blocks.strays} bytes beside the blocks`);
          server.plans = [];
        }
      },
    ),
    { numRuns: 40 },
  );
  t.pass('every run');
});

await t.test('nothing is written to a room once its GET has settled', async (t) => {
  const server = await SplittingServer.start(t);
  const store = storeAt(t, server.url);
  await fc.assert(
    fc.asyncProperty(fc.nat(390_000), blockSizes, async (abortAt, sizes) => {
      server.plans = [{ framing: 'length', pieces: [20_000], cutAt: Infinity }];
      const blocks = new Blocks(OBJECT.length, sizes, true);
      const abort = new AbortController();
      let delivered = 0;
      const sink = (chunk: Buffer): void => {
        blocks.sink(chunk);
        delivered += chunk.length;
        // In a turn of its own, when the connection waits for bytes with a room to put them.
        if (delivered >= abortAt) setImmediate(() => abort.abort());
      };
      const get = store.get(
        'key',
        { offset: 0, length: OBJECT.length },
        { room: blocks.room, signal: abort.signal },
        sink,
      );
      const isCut = await get.then(
        () => false,
        () => true,
      );
      blocks.all.fill(UNTOUCHED);
      if (!isCut && delivered < OBJECT.length) throw new Error('not all came, and it is no failure');
      // What is still sent goes nowhere.
      const closings = [...server.sockets].map(
        (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
      );
      if (isCut) await Promise.all(closings);
      if (blocks.all.some((byte) => byte !== UNTOUCHED)) throw new Error('written to after its end');
    }),
    { numRuns: 40 },
  );
  t.pass('every run');
});

await t.test('a room that cannot be had fails the GET, and nothing else', async (t) => {
  const server = await SplittingServer.start(t);
  const store = storeAt(t, server.url);
  const failing = store.get(
    'key',
    { offset: 0, length: OBJECT.length },
    {
      room: () => {
        throw new Error('no room');
      },
    },
    () => undefined,
  );
  await t.rejects(failing);
  let bytes = 0;
  await store.get('key', { offset: 0, length: 10 }, {}, (chunk) => (bytes += chunk.length));
  t.equal(bytes, 10);
});
