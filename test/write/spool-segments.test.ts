import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createLogger } from '../../src/telemetry/log.js';
import { SpoolFullError } from '../../src/write/spool-full.js';
import { SpoolSegments, type SpooledPiece } from '../../src/write/spool-segments.js';
import { Spool } from '../../src/write/spool.js';

const log = createLogger('silent');

function spoolIn(t: Test, limitBytes = 10_000): { spool: Spool; directory: string } {
  const directory = t.testdir();
  return { spool: new Spool({ directory, limitBytes, log }), directory };
}

const bytes = (length: number, fill: string): Buffer => Buffer.alloc(length, fill);

await t.test('pieces come back after a restart, and what nobody names is removed', async (t) => {
  const { spool, directory } = spoolIn(t);
  const before = await SpoolSegments.open(spool, log, [], 1000);
  const pieces: SpooledPiece[] = [];
  for (const fill of ['a', 'b', 'c', 'd'])
    pieces.push(await before.write([bytes(400, fill), bytes(200, fill)]));
  await before.sync(pieces);
  t.equal(spool.usedBytes, 2400);
  await before.close();
  const [a, , c] = pieces;
  if (a === undefined || c === undefined) throw new Error('no pieces');

  const again = new Spool({ directory, limitBytes: 10_000, log });
  const after = await SpoolSegments.open(again, log, [a], 1000);
  t.ok((await after.read(a)).equals(bytes(600, 'a')));
  await t.rejects(after.read(c), /lost segment/);
  const more = await after.write([bytes(10, 'e')]);
  t.notOk([a.segment, c.segment].includes(more.segment), 'nothing is written where something may rest');
  after.free([a]);
  after.free([more]);
  t.equal(again.usedBytes, 0);
  await after.close();
});

await t.test('the number of a segment that is missing is not given again', async (t) => {
  const { spool } = spoolIn(t);
  const missing: SpooledPiece = { segment: 3, position: 0, bytes: 600, crc32: 1 };
  const segments = await SpoolSegments.open(spool, log, [missing]);
  const piece = await segments.write([bytes(600, 'a')]);
  segments.free([missing]);
  await segments.write([bytes(600, 'b')]);
  t.ok((await segments.read(piece)).equals(bytes(600, 'a')), 'still there');
  await segments.close();
});

await t.test('what the disk cut or changed is found out', async (t) => {
  const { spool, directory } = spoolIn(t);
  const segments = await SpoolSegments.open(spool, log, []);
  const piece = await segments.write([bytes(100, 'x')]);
  const [name = ''] = readdirSync(directory);
  const path = join(directory, name);
  const whole = readFileSync(path);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    writeFileSync(path, damaged);
    await t.rejects(segments.read(piece), /checksum/, `bit ${bit}`);
  }
  truncateSync(path, 50);
  await t.rejects(segments.read(piece), /expected 100 bytes at 0, found 50/);
  await segments.close();
});

await t.test('a limit that is reached is an error, and room that is given back is used again', async (t) => {
  const { spool } = spoolIn(t, 1000);
  const segments = await SpoolSegments.open(spool, log, []);
  const first = await segments.write([bytes(600, 'a')]);
  await t.rejects(segments.write([bytes(600, 'b')]), SpoolFullError);
  t.equal(spool.usedBytes, 600);
  segments.free([first]);
  t.equal(spool.usedBytes, 0);
  const second = await segments.write([bytes(600, 'b')]);
  t.equal(second.position, 0, 'in the same place');
  t.ok((await segments.read(second)).equals(bytes(600, 'b')));
  await segments.close();
});

await t.test('those who wait for the disk together share a sync', async (t) => {
  const { spool } = spoolIn(t);
  const segments = await SpoolSegments.open(spool, log, []);
  const pieces = await Promise.all(Array.from({ length: 50 }, () => segments.write([bytes(10, 'a')])));
  // The first begins at once, and all that wait for it meanwhile share the next.
  await Promise.all(pieces.map((piece) => segments.sync([piece])));
  t.ok(segments.counts.syncs <= 2, `${segments.counts.syncs} syncs for 50`);
  t.equal(segments.counts.bytes, 500);
  await segments.close();
});
