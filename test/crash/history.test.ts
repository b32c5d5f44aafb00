/** The judge of the trials: what a crash may leave of a file, what an object may be, and what it takes for wrong. */
import t from 'tap';
import { FileHistory } from './history.js';
import { Patterns } from './pattern.js';

const patterns = new Patterns();
const BASE = Buffer.alloc(1000, 'b');

function bytesOf(
  base: Buffer,
  ...writes: readonly (readonly [id: number, start: number, length: number])[]
): Buffer {
  const size = Math.max(base.length, ...writes.map(([, start, length]) => start + length));
  const bytes = Buffer.alloc(size);
  base.copy(bytes);
  for (const [id, start, length] of writes) patterns.bytes(id, 0, length).copy(bytes, start);
  return bytes;
}

await t.test('bytes of WRITEs that were answered and not committed may be there or not, one by one', (t) => {
  const history = new FileHistory(BASE, patterns);
  history.write(1, 100, 200, 1).answered = 2;
  history.write(2, 150, 250, 3).answered = 4;
  const both = bytesOf(BASE, [1, 100, 100], [2, 150, 100]);
  for (const found of [BASE, bytesOf(BASE, [1, 100, 100]), bytesOf(BASE, [2, 150, 100]), both]) {
    t.equal(history.afterCrash(found), undefined);
    t.equal(history.lacks(found) === undefined, found === both);
  }
  const foreign = Buffer.from(both);
  foreign.writeUInt8(foreign.readUInt8(170) ^ 1, 170);
  t.match(history.afterCrash(foreign), { what: /byte 170 of 1000/ });
  t.match(history.afterCrash(both.subarray(0, 999)), { what: /999 bytes, expected 1000/ });
  t.end();
});

await t.test(
  'what was answered before a COMMIT was sent is durable; what came while it was under way may be',
  (t) => {
    const history = new FileHistory(BASE, patterns);
    history.write(1, 0, 500, 1).answered = 2;
    const late = history.write(2, 500, 1500, 3);
    history.committed(4);
    late.answered = 5;
    t.equal(history.durableBytes, 1000);
    t.equal(history.afterCrash(bytesOf(BASE, [1, 0, 500])), undefined);
    t.equal(history.afterCrash(bytesOf(BASE, [1, 0, 500], [2, 500, 1000])), undefined);
    t.match(history.afterCrash(bytesOf(BASE, [2, 500, 1000])), { what: /WRITE 1/ });
    t.match(history.afterCrash(BASE), { what: /WRITE 1/ });
    t.end();
  },
);

await t.test('a WRITE that was answered as FILE_SYNC is durable, and so is a size that was answered', (t) => {
  const history = new FileHistory(BASE, patterns);
  const op = history.write(1, 900, 1100, 1);
  op.answered = 2;
  history.committed(1, op);
  history.resize(1050, 3).answered = 4;
  history.write(2, 1050, 1100, 5).answered = 6;
  const durable = bytesOf(BASE, [1, 900, 200]).subarray(0, 1050);
  t.equal(history.afterCrash(durable), undefined);
  t.equal(history.afterCrash(bytesOf(durable, [2, 1050, 50])), undefined);
  t.match(history.afterCrash(bytesOf(BASE, [1, 900, 200])), { what: /byte 1050/ });
  t.match(history.afterCrash(BASE), { what: /1000 bytes, expected 1050 or 1100/ });
  t.end();
});

await t.test('a change of size that was not answered was made or not', (t) => {
  const history = new FileHistory(BASE, patterns);
  history.resize(10, 1);
  for (const size of [10, 1000]) {
    t.equal(history.afterCrash(BASE.subarray(0, size)), undefined);
    t.equal(history.whole(BASE.subarray(0, size), -Infinity), undefined);
  }
  t.match(history.afterCrash(BASE.subarray(0, 500)), { what: /500 bytes/ });
  t.match(history.whole(BASE.subarray(0, 500), -Infinity), { what: /500 bytes/ });
  t.end();
});

await t.test('an object is the file as of one moment: neither half of it nor parts of two', (t) => {
  const history = new FileHistory(BASE, patterns);
  history.write(1, 0, 300, 1).answered = 2;
  history.write(2, 300, 600, 3).answered = 4;
  history.write(3, 600, 900, 5);
  const one = bytesOf(BASE, [1, 0, 300]);
  const two = bytesOf(one, [2, 300, 300]);
  const three = bytesOf(two, [3, 600, 300]);
  for (const found of [BASE, one, two, three]) t.equal(history.whole(found, -Infinity), undefined);
  t.ok(history.whole(bytesOf(BASE, [2, 300, 300]), -Infinity), 'the second WRITE without the first');
  t.ok(history.whole(two.subarray(0, 800), -Infinity), 'cut');
  t.ok(history.whole(BASE, 2.5), 'older than a COMMIT');
  t.equal(history.whole(one, 2.5), undefined);
  t.end();
});
