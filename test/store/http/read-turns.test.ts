/** Whose turn it is to read, and many large bodies that are read in turns: the same bytes as without. */
import t, { type Test } from 'tap';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ReadTurns } from '../../../src/store/s3/http/read-turns.js';
import { createS3Store } from '../../../src/store/s3/s3-store.js';
import type { ObjectStore } from '../../../src/store/object-store.js';
import { createLogger } from '../../../src/telemetry/log.js';
import { storeErrorKind } from '../../support/store-error-kind.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const ETAG = '"version"';

/** Turns of an event loop that end when they are told to. */
function turnsByHand(): { readonly turns: ReadTurns; readonly end: () => void } {
  const ended: (() => void)[] = [];
  const turns = new ReadTurns((callback) => void ended.push(callback));
  return {
    turns,
    end: () => {
      for (const callback of ended.splice(0)) callback();
    },
  };
}

await t.test('a connection reads its share, and half of it in a turn that is full', (t) => {
  const { turns, end } = turnsByHand();
  const share = turns.shareBytes;
  t.equal(turns.isOver(share / 2, share / 2), false);
  t.equal(turns.isOver(share / 2 - 1, share - 1), false);
  t.equal(turns.isOver(1, share), true);
  for (let each = 0; each < 16; each++) turns.isOver(share, share);
  t.equal(turns.isOver(1, share / 2 - 1), false);
  t.equal(turns.isOver(1, share / 2), true);
  end();
  t.equal(turns.isOver(1, share / 2), false);
  t.end();
});

await t.test('who stands in line reads in the order of coming, so many in a turn', (t) => {
  const { turns, end } = turnsByHand();
  const read: number[] = [];
  for (let each = 0; each < 20; each++) turns.enter(() => void read.push(each));
  t.same(read, []);
  end();
  t.same(
    read,
    Array.from({ length: 16 }, (_, each) => each),
  );
  turns.enter(() => void read.push(20));
  end();
  t.same(
    read,
    Array.from({ length: 21 }, (_, each) => each),
  );
  end();
  t.equal(read.length, 21);
  t.end();
});

await t.test('one that enters the line while the line reads waits for the next turn', (t) => {
  const { turns, end } = turnsByHand();
  let turnsHad = 0;
  const again = (): void => {
    turnsHad += 1;
    if (turnsHad < 3) turns.enter(again);
  };
  turns.enter(again);
  end();
  t.equal(turnsHad, 1);
  end();
  end();
  end();
  t.equal(turnsHad, 3);
  t.end();
});

const OBJECT = Buffer.alloc(5 * MIB + 12_345);
for (let at = 0; at + 4 <= OBJECT.length; at += 4) OBJECT.writeUInt32LE((at * 2_654_435_761) % 2 ** 32, at);

/** A store of one object, by our own transport. */
async function storeOf(t: Test): Promise<ObjectStore> {
  const server = createServer((request, response) => {
    const [, first = '0', last = '0'] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
    const body = OBJECT.subarray(Number(first), Number(last) + 1);
    const headers = {
      etag: ETAG,
      'content-range': `bytes ${first}-${last}/${OBJECT.length}`,
      'content-length': body.length,
    };
    response.writeHead(206, headers);
    response.end(body);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const store = createS3Store({
    bucket: 'bucket',
    region: 'us-east-1',
    endpointUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'very-secret' },
    log: createLogger('silent'),
  });
  t.teardown(async () => {
    await store.close();
    server.closeAllConnections();
    server.close();
  });
  return store;
}

/** What a GET brings; where it may be read in place, into blocks of 1 MiB and less. */
async function got(store: ObjectStore, offset: number, inPlace: boolean): Promise<Buffer> {
  const length = OBJECT.length - offset;
  const bytes = Buffer.alloc(length);
  let filled = 0;
  const room = (): Buffer => bytes.subarray(filled, Math.min(length, (Math.floor(filled / MIB) + 1) * MIB));
  const options = inPlace ? { ifMatch: ETAG, room } : { ifMatch: ETAG };
  await store.get('key', { offset, length }, options, (chunk) => {
    if (chunk.buffer !== bytes.buffer) chunk.copy(bytes, filled);
    filled += chunk.length;
  });
  return bytes;
}

await t.test('many bodies that are read in turns have the same bytes, read in place or copied', async (t) => {
  const store = await storeOf(t);
  // The second time over connections that read their share with the answer before.
  for (let time = 0; time < 2; time++) {
    const offsets = Array.from({ length: 48 }, (_, each) => each * 4_097);
    const bodies = await Promise.all(offsets.map((offset, each) => got(store, offset, each % 3 > 0)));
    const wrong = offsets.filter((offset, each) => bodies[each]?.equals(OBJECT.subarray(offset)) !== true);
    t.same(wrong, []);
  }
});

await t.test('GETs that are cut off while they stand in line take no further bytes', async (t) => {
  const store = await storeOf(t);
  const cut = Array.from({ length: 24 }, async () => {
    const controller = new AbortController();
    const bytes = Buffer.alloc(OBJECT.length);
    let filled = 0;
    const room = (): Buffer => bytes.subarray(filled);
    const options = { ifMatch: ETAG, signal: controller.signal, room };
    const failing = store.get('key', { offset: 0, length: OBJECT.length }, options, (chunk) => {
      if (chunk.buffer !== bytes.buffer) chunk.copy(bytes, filled);
      filled += chunk.length;
      // More than a share: its connection stands in line when this turn ends.
      if (filled > MIB) setImmediate(() => controller.abort());
    });
    const kind = await storeErrorKind(failing).catch(() => undefined);
    const settled = Buffer.from(bytes);
    return { kind, settled, bytes, filled };
  });
  const others = Array.from({ length: 8 }, () => got(store, 0, true));
  const ended = await Promise.all(cut);
  for (const body of await Promise.all(others)) t.ok(body.equals(OBJECT));
  for (const { kind, settled, bytes, filled } of ended) {
    if (kind === undefined) t.equal(filled, OBJECT.length, 'all of it had come before it was cut off');
    else t.equal(kind, 'aborted');
    t.ok(settled.equals(bytes));
    t.ok(bytes.subarray(0, filled).equals(OBJECT.subarray(0, filled)));
  }
});
