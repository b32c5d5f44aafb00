import t from 'tap';
import {
  closeSync,
  copyFileSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { DiskCache } from '../../../src/read/disk/disk-cache.js';
import { ENTRY_BYTES } from '../../../src/read/disk/entry.js';
import { KIB, MIB } from '../read-rig.js';
import { DiskRig, systemError, versionOf } from './disk-rig.js';

const A = versionOf('dir/a', 'e1', 1 * MIB + 777, 1);
const BLOCK = 256 * KIB;
const PAUSE_MS = 30_000;

await t.test('a block is read back, whole and in part, and after a restart', async (t) => {
  const rig = await DiskRig.open(t);
  t.notOk(await rig.reads(A, 0, BLOCK));
  await rig.keep(A, 0, BLOCK);
  await rig.keep(A, 4 * BLOCK, 777);
  for (let life = 0; life < 3; life += 1) {
    t.ok(await rig.reads(A, 0, BLOCK));
    t.ok(await rig.reads(A, 8 * KIB, 100));
    t.ok(await rig.reads(A, 4 * BLOCK, 777));
    t.notOk(await rig.reads(A, BLOCK, BLOCK));
    t.match(rig.cache.counts, { hits: 3, bad: 0, failures: 0 });
    await (life === 0 ? rig.restart() : rig.crash());
  }
  t.same(rig.warnings, []);
});

await t.test('every other identity is a miss: volume, key, ETag, size, offset', async (t) => {
  const rig = await DiskRig.open(t);
  await rig.keep(A, 0, BLOCK);
  t.ok(await rig.reads(A, 0, BLOCK));
  t.notOk(await rig.reads(A, 0, BLOCK, 'http://127.0.0.1:9000/bucket'));
  t.notOk(await rig.reads({ ...A, key: 'dir/b' }, 0, BLOCK));
  t.notOk(await rig.reads({ ...A, etag: '"e2"' }, 0, BLOCK));
  t.notOk(await rig.reads({ ...A, size: A.size + 1 }, 0, BLOCK));
  t.notOk(await rig.reads(A, BLOCK, BLOCK));
});

await t.test('what takes more than the limit goes, the oldest first, and what is read stays', async (t) => {
  const rig = await DiskRig.open(t, { limitBytes: 4 * MIB });
  const big = versionOf('big', 'e', 64 * MIB, 3);
  for (let at = 0; at < big.size; at += BLOCK) {
    await rig.keep(big, at, BLOCK);
    t.ok(rig.diskBytes() <= 4 * MIB, 'within the limit');
    t.ok(rig.cache.usedBytes >= rig.diskBytes(), 'all of it is counted');
    // As readers do with blocks that they read from disk.
    if (rig.blocksOf(big).wants(0, BLOCK)) await rig.keep(big, 0, BLOCK);
  }
  t.ok(await rig.reads(big, 0, BLOCK), 'what was read again and again');
  t.ok(await rig.reads(big, big.size - BLOCK, BLOCK), 'the newest');
  t.notOk(await rig.reads(big, BLOCK, BLOCK), 'what was not');
  t.ok(rig.cache.counts.evicted > 40);
  const writes = rig.cache.counts.written;
  t.ok(writes < 1.3 * (big.size / BLOCK), `${writes} writes`);
});

await t.test('a lower limit holds from the next start on', async (t) => {
  const rig = await DiskRig.open(t, { limitBytes: 8 * MIB });
  const big = versionOf('big', 'e', 6 * MIB, 3);
  for (let at = 0; at < big.size; at += BLOCK) await rig.keep(big, at, BLOCK);
  await rig.stop();
  const cache = await DiskCache.open({
    directory: rig.directory,
    limitBytes: 2 * MIB,
    budget: rig.budget,
    log: rig.collected.log,
  });
  t.ok(rig.diskBytes() <= 2 * MIB);
  await cache.close();
});

await t.test('restarts fill the newest segment up: files do not pile up', async (t) => {
  const rig = await DiskRig.open(t, { segmentBytes: 1 * MIB });
  for (let at = 0; at < 10; at += 1) {
    await rig.keep(A, at * 4 * KIB, 4 * KIB);
    await rig.restart();
  }
  t.same(rig.segmentFiles(), ['1.blocks', '1.index']);
  for (let at = 0; at < 10; at += 1) t.ok(await rig.reads(A, at * 4 * KIB, 4 * KIB));
});

await t.test('a limit whose table takes more than a quarter of the memory is refused', async (t) => {
  const rig = new DiskRig({ limitBytes: 1024 * 1024 * MIB });
  t.teardown(() => rig.end());
  await t.rejects(rig.start(), { message: /of memory, more than a quarter/ });
  t.equal(rig.budget.usedBytes, 0);
});

await t.test('all memory is given back', async (t) => {
  const rig = await DiskRig.open(t);
  t.ok(rig.budget.usedBytes > 0);
  await rig.keep(A, 0, BLOCK);
  await rig.stop();
  t.equal(rig.budget.usedBytes, 0);
  t.equal(rig.budget.blocks.takenBytes, 0);
});

await t.test('flipped, cut, foreign: a miss, told once for a segment, counted', async (t) => {
  const damages: [string, (folder: string) => void][] = [
    ['a flipped bit', (folder) => flip(join(folder, '1.blocks'), BLOCK + 5)],
    ['a cut file', (folder) => truncateSync(join(folder, '1.blocks'), BLOCK + 100)],
    ['a block of another', (folder) => copyFileSync(join(folder, '2.blocks'), join(folder, '1.blocks'))],
    ['zeros', (folder) => writeFileSync(join(folder, '1.blocks'), Buffer.alloc(4 * BLOCK), { flag: 'r+' })],
  ];
  for (const [name, damage] of damages) {
    const rig = await DiskRig.open(t, { segmentBytes: 4 * BLOCK });
    const other = versionOf('other', 'e', 4 * BLOCK, 9);
    for (let at = 0; at < 4; at += 1) await rig.keep(A, at * BLOCK, BLOCK);
    for (let at = 0; at < 4; at += 1) await rig.keep(other, at * BLOCK, BLOCK);
    damage(rig.folder);
    t.notOk(await rig.reads(A, BLOCK, BLOCK), name);
    t.notOk(await rig.reads(A, BLOCK, BLOCK), `${name}: forgotten`);
    t.equal(rig.cache.counts.bad, 1, name);
    if (name === 'a flipped bit') t.ok(await rig.reads(A, 0, BLOCK), 'its neighbour is not');
    await rig.reads(A, 2 * BLOCK, BLOCK);
    t.equal(rig.warnings.length, 1, name);
    await rig.keep(A, BLOCK, BLOCK);
    t.ok(await rig.reads(A, BLOCK, BLOCK), `${name}: kept anew`);
  }
});

await t.test('an index that was cut or changed loses what it told of, and no more', async (t) => {
  const rig = await DiskRig.open(t, { segmentBytes: 4 * MIB });
  for (let at = 0; at < 4; at += 1) await rig.keep(A, at * BLOCK, BLOCK);
  await rig.stop();
  const index = join(rig.folder, '1.index');
  flip(index, ENTRY_BYTES + 20);
  truncateSync(index, statSync(index).size - 1);
  await rig.start();
  t.same(
    [await rig.reads(A, 0, BLOCK), await rig.reads(A, BLOCK, BLOCK), await rig.reads(A, 2 * BLOCK, BLOCK)],
    [true, false, true],
  );
  t.notOk(await rig.reads(A, 3 * BLOCK, BLOCK));
  await rig.keep(A, 3 * BLOCK, BLOCK);
  await rig.restart();
  t.ok(await rig.reads(A, 3 * BLOCK, BLOCK), 'what was appended after that is found again');
});

await t.test(
  'files removed while it runs are missed at the next look, and their space is free',
  async (t) => {
    const rig = await DiskRig.open(t);
    for (let at = 0; at < 4; at += 1) await rig.keep(A, at * BLOCK, BLOCK);
    const before = rig.cache.usedBytes;
    unlinkSync(join(rig.folder, '2.blocks'));
    unlinkSync(join(rig.folder, '3.index'));
    await rig.cache.check();
    t.notOk(await rig.reads(A, BLOCK, BLOCK));
    t.notOk(await rig.reads(A, 2 * BLOCK, BLOCK));
    t.ok(await rig.reads(A, 3 * BLOCK, BLOCK));
    t.ok(rig.cache.usedBytes < before - 2 * BLOCK);
    t.notOk(rig.segmentFiles().some((name) => /^[23]\./.test(name)));
    t.same(rig.warnings, ['files of the disk cache were removed']);
    await rig.keep(A, BLOCK, BLOCK);
    t.ok(await rig.reads(A, BLOCK, BLOCK));
  },
);

await t.test(
  'without its directory, or with another in its place, it is off until the next start',
  async (t) => {
    for (const replaced of [false, true]) {
      const rig = await DiskRig.open(t);
      await rig.keep(A, 0, BLOCK);
      renameSync(rig.directory, `${rig.directory}.away`);
      if (replaced) {
        mkdirSync(rig.folder, { recursive: true });
        writeFileSync(join(rig.folder, '1.blocks'), 'of somebody else');
      }
      await rig.cache.check();
      await rig.cache.check();
      t.notOk(await rig.reads(A, 0, BLOCK));
      t.notOk(rig.offer(A, 0, BLOCK));
      t.match(rig.warnings, [/was removed or replaced/]);
      t.ok(
        statSync(join(`${rig.directory}.away`, 'blocks', '1.blocks')).size > 0,
        'what was moved away is whole',
      );
      if (replaced) t.equal(statSync(join(rig.folder, '1.blocks')).size, 16);
      await rig.stop();
      rmSync(rig.directory, { recursive: true, force: true });
      await rig.start();
      await rig.keep(A, 0, BLOCK);
      t.ok(await rig.reads(A, 0, BLOCK));
    }
  },
);

await t.test(
  'a disk that takes nothing is left alone for 30 s, told once, and used again then',
  async (t) => {
    const rig = await DiskRig.open(t);
    await rig.keep(A, 0, BLOCK);
    let attempts = 0;
    rig.files.before = (operation) => {
      if (operation !== 'write' && operation !== 'create') return;
      attempts += 1;
      throw systemError('ENOSPC');
    };
    await rig.keep(A, BLOCK, BLOCK);
    t.notOk(rig.offer(A, BLOCK, BLOCK), 'not taken');
    rig.nowMs += PAUSE_MS;
    await rig.keep(A, BLOCK, BLOCK);
    t.equal(attempts, 2);
    t.ok(await rig.reads(A, 0, BLOCK), 'what is there is read all the same');
    t.notOk(await rig.reads(A, BLOCK, BLOCK));
    t.equal(rig.warnings.length, 1);
    rig.files.before = () => undefined;
    rig.nowMs += PAUSE_MS;
    await rig.keep(A, BLOCK, BLOCK);
    t.ok(await rig.reads(A, BLOCK, BLOCK));
    t.match(rig.warnings, [/cannot be written/, /written again/]);
    t.ok(rig.diskBytes() <= rig.cache.usedBytes);
  },
);

await t.test(
  'a disk that cannot be read is left alone after 8 failures, told once, and read again after 30 s',
  async (t) => {
    const rig = await DiskRig.open(t);
    for (let at = 0; at < 10; at += 1) await rig.keep(A, at * 4 * KIB, 4 * KIB);
    let attempts = 0;
    rig.files.before = (operation) => {
      if (operation !== 'read') return;
      attempts += 1;
      throw systemError('EIO');
    };
    for (let at = 0; at < 9; at += 1) t.notOk(await rig.reads(A, at * 4 * KIB, 4 * KIB));
    t.equal(attempts, 8);
    rig.files.before = () => undefined;
    t.notOk(await rig.reads(A, 9 * 4 * KIB, 4 * KIB));
    rig.nowMs += PAUSE_MS;
    t.ok(await rig.reads(A, 9 * 4 * KIB, 4 * KIB));
    t.match(rig.warnings, [/cannot be read/, /read again/]);
  },
);

await t.test('a full cache on a file system that has become read-only keeps what it has', async (t) => {
  const rig = await DiskRig.open(t, { limitBytes: 2 * MIB });
  const big = versionOf('big', 'e', 8 * MIB, 3);
  for (let at = 0; at < big.size; at += BLOCK) await rig.keep(big, at, BLOCK);
  const held = async (): Promise<number[]> => {
    const found: number[] = [];
    for (let at = 0; at < big.size; at += BLOCK) if (await rig.reads(big, at, BLOCK)) found.push(at);
    return found;
  };
  const before = await held();
  t.ok(before.length > 4);
  const { evicted } = rig.cache.counts;
  rig.files.before = (operation) => {
    if (['write', 'create', 'empty', 'remove'].includes(operation)) throw systemError('EROFS');
  };
  for (let attempt = 0; attempt < 5; attempt += 1) {
    await rig.keep(A, attempt * BLOCK, BLOCK);
    rig.nowMs += PAUSE_MS;
  }
  t.same(await held(), before);
  t.equal(rig.cache.counts.evicted, evicted);
  t.equal(rig.cache.counts.bad, 0);
  t.ok(rig.diskBytes() <= rig.cache.usedBytes && rig.cache.usedBytes <= 2 * MIB);
  rig.files.before = () => undefined;
  await rig.keep(A, 0, BLOCK);
  t.ok(await rig.reads(A, 0, BLOCK), 'and goes on when it can');
  t.ok(rig.diskBytes() <= 2 * MIB);
});

await t.test('a directory that lets nothing be removed keeps to its limit', async (t) => {
  const rig = await DiskRig.open(t, { limitBytes: 2 * MIB });
  rig.files.before = (operation) => {
    if (operation === 'remove') throw systemError('EACCES');
  };
  const big = versionOf('big', 'e', 8 * MIB, 3);
  for (let at = 0; at < big.size; at += BLOCK) {
    await rig.keep(big, at, BLOCK);
    t.ok(rig.diskBytes() <= 2 * MIB);
  }
  t.ok(await rig.reads(big, big.size - BLOCK, BLOCK));
});

await t.test(
  'the queue takes an eighth of the memory, and gives back what memory is wanted for',
  async (t) => {
    const rig = await DiskRig.open(t, { budgetBytes: 16 * MIB });
    const big = versionOf('big', 'e', 8 * MIB, 3);
    let written: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (written = resolve));
    rig.files.before = async (operation) => {
      if (operation === 'create') await held;
    };
    let taken = 0;
    let released = 0;
    const offer = (at: number): boolean =>
      rig.blocksOf(big).offer({
        offset: at * BLOCK,
        length: BLOCK,
        buffer: Buffer.from(big.bytes.subarray(at * BLOCK, (at + 1) * BLOCK)),
        release: () => (released += 1),
      });
    while (offer(taken)) {
      taken += 1;
      await new Promise(setImmediate);
    }
    t.equal(taken, (16 * MIB) / 8 / BLOCK);
    t.equal(released, 0);
    rig.cache.dropWaiting(Infinity);
    t.equal(released, taken - 1, 'all but the one that is being written');
    written();
    await rig.cache.settled();
    t.equal(released, taken);
    t.ok(await rig.reads(big, 0, BLOCK));
    t.equal(readdirSync(rig.folder).includes('1.blocks'), true);
  },
);

/** Changes a bit of a file. */
function flip(path: string, at: number): void {
  const file = openSync(path, 'r+');
  const byte = Buffer.alloc(1);
  readSync(file, byte, 0, 1, at);
  byte.writeUInt8(byte.readUInt8() ^ 0x10);
  writeSync(file, byte, 0, 1, at);
  closeSync(file);
}

await t.test('what was written and could not be measured is counted', async (t) => {
  const rig = await DiskRig.open(t, { limitBytes: 2 * MIB });
  const big = versionOf('big', 'e', 8 * MIB, 3);
  rig.files.before = (operation) => {
    if (operation === 'size') throw systemError('EIO');
  };
  for (let at = 0; at < big.size; at += BLOCK) {
    await rig.keep(big, at, BLOCK);
    rig.nowMs += PAUSE_MS;
    t.ok(rig.diskBytes() <= 2 * MIB);
  }
});
