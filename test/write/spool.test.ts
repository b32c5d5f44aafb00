import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { pino } from 'pino';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import { SpareFiles } from '../../src/write/spare-files.js';
import { Spool, SpoolFullError } from '../../src/write/spool.js';
import { KIB, pattern, SessionBench } from './session-bench.js';

const log = pino({ level: 'silent' });

/** Holds the first that comes by until it is let go. */
class Held {
  readonly path: Promise<string>;
  #came: ((path: string) => void) | undefined;
  #go = (): void => undefined;

  constructor() {
    this.path = new Promise((resolve) => {
      this.#came = resolve;
    });
  }

  async hold(path: string): Promise<void> {
    const came = this.#came;
    this.#came = undefined;
    if (came === undefined) return;
    came(path);
    await new Promise<void>((resolve) => {
      this.#go = resolve;
    });
  }

  letGo(): void {
    this.#go();
  }
}

await t.test('files keep sparse ranges, and go from the disk', async (t) => {
  const spool = new Spool({ directory: join(t.testdir(), 'spool'), limitBytes: 100, log });
  const file = await spool.create();
  await file.write([Buffer.from('ab'), Buffer.from('cd')], 1_000_000);
  const read = [Buffer.alloc(1), Buffer.alloc(2)];
  await file.read(read, 1_000_001);
  t.same(read.map(String), ['b', 'cd']);
  await t.rejects(file.read(read, 1_000_003), /ended at 1000004/);
  file.remove();
  await spool.settled();
  t.same(await readdir(spool.directory), []);
});

await t.test('what an earlier process left is removed, and nothing else', async (t) => {
  const directory = t.testdir({ '77-1.part': 'old', 'not ours': 'kept' });
  const spool = new Spool({ directory, limitBytes: 100, log });
  (await spool.create()).remove();
  await spool.settled();
  t.same(await readdir(directory), ['not ours']);
});

await t.test('room is counted, and retained data gives way', async (t) => {
  const spool = new Spool({ directory: t.testdir(), limitBytes: 10, log });
  t.equal(spool.tryReserve(8), true);
  t.equal(spool.tryReserve(3), false);
  const retained = { evict: () => spool.release(5) };
  spool.retained.add(retained);
  t.equal(spool.hasRoom(3), false);
  t.equal(spool.tryReserve(3), true);
  t.equal(spool.usedBytes, 6);
  t.throws(() => spool.release(7), RangeError);
});

await t.test('one budget has one spiller', async (t) => {
  const spool = new Spool({ directory: t.testdir(), limitBytes: 10, log });
  const budget = new MemoryBudget(100);
  t.equal(spool.spillerOf(budget), spool.spillerOf(budget));
  t.not(spool.spillerOf(budget), spool.spillerOf(new MemoryBudget(100)));
});

await t.test('a disk that refuses makes writers fail, and loses nothing', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB });
  t.teardown(() => bench.close());
  await writeFile(bench.spool.directory, 'a file where the directory should be');
  const session = bench.session('a');
  const write = async (): Promise<void> => {
    for (let at = 0; ; at += 16 * KIB) await session.write(at, Buffer.alloc(4 * KIB, 7));
  };
  await t.rejects(write(), SpoolFullError);
  const { size } = session;
  t.equal(bench.spool.usedBytes, 0);
  await session.truncate(32 * KIB);
  await session.publish({ key: 'a', headers: { metadata: {} } });
  const body = Buffer.alloc(32 * KIB);
  body.fill(7, 0, 4 * KIB).fill(7, 16 * KIB, 20 * KIB);
  t.ok(size > 32 * KIB);
  t.ok(bench.body('a')?.equals(body));
});

await t.test('a spool directory is made, for the owner only', async (t) => {
  const directory = join(t.testdir(), 'a', 'b');
  await mkdir(join(directory, '..'));
  const spool = new Spool({ directory, limitBytes: 10, log });
  const file = await spool.create();
  t.same(await readdir(directory), [], 'what nothing is written to makes no file');
  await file.write([Buffer.from('private')], 0);
  t.equal((await readdir(directory)).length, 1);
  t.equal((await stat(file.path)).mode & 0o777, 0o600);
});

await t.test(
  'files of whole parts are written over, within the limit, and go when nobody uses them',
  async (t) => {
    const spool = new Spool({ directory: t.testdir(), limitBytes: 30, log });
    const files = await Promise.all([spool.create(10), spool.create(10), spool.create(8)]);
    const [first, second, other] = files;
    for (const file of files) await file.write([Buffer.alloc(file === other ? 8 : 10, 1)], 0);
    first?.remove(10);
    second?.remove(10);
    other?.remove();
    await spool.settled();
    t.equal(spool.spareBytes, 20);
    t.equal((await readdir(spool.directory)).length, 2, 'one with holes is not kept');
    t.equal((await spool.create(10)).path, second?.path, 'the one that was used last');
    t.equal(spool.spareBytes, 10);
    t.not((await spool.create(9)).path, first?.path, 'none of another size');
    t.not((await spool.create()).path, first?.path);
    t.equal(spool.tryReserve(15), true);
    t.equal(spool.spareBytes, 10);
    t.equal(spool.tryReserve(6), true, 'a file that is only kept takes nobody room');
    t.equal(spool.spareBytes, 0);
    second?.remove(10);
    t.equal(spool.spareBytes, 0, 'there is no room to keep it');
    await spool.settled();
    t.same(await readdir(spool.directory), []);
  },
);

await t.test('what is kept to be written over goes after a rest, and when the spool is closed', async (t) => {
  const removed: string[] = [];
  let tell = (): void => undefined;
  const told = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const files = new SpareFiles((path) => {
    removed.push(path);
    tell();
  }, 1);
  files.keep('a', 10, 100);
  // The timer keeps no process alive.
  const alive = setInterval(() => undefined, 1000);
  await told;
  clearInterval(alive);
  t.same([removed, files.bytes], [['a'], 0]);

  const spool = new Spool({ directory: t.testdir(), limitBytes: 100, log });
  const file = await spool.create();
  await file.write([Buffer.from('whole')], 0);
  file.remove(5);
  t.equal((await readdir(spool.directory)).length, 1);
  await spool.close();
  t.same(await readdir(spool.directory), []);
});

await t.test('a READ under way never gets what another file was given its spool file for', async (t) => {
  const bench = await SessionBench.make({ budgetBytes: 64 * KIB });
  t.teardown(() => bench.close());
  const bytes = 128 * KIB;
  const [ours, others] = [pattern(bytes, 1), pattern(bytes, 2)];
  const paths: string[] = [];
  const held = new Held();
  const create = bench.spool.create.bind(bench.spool);
  bench.spool.create = async (whole) => {
    const file = await create(whole);
    paths.push(file.path);
    const read = file.read.bind(file);
    file.read = async (targets, position) => {
      await held.hold(file.path);
      await read(targets, position);
    };
    return file;
  };
  const session = bench.session('ours');
  for (let at = 0; at < bytes; at += 8 * KIB) await session.write(at, ours.subarray(at, at + 8 * KIB));
  const reading = session.read(0, 16 * KIB);
  const path = await held.path;
  await session.publish({ key: 'ours', headers: { metadata: {} } });
  const first = paths.length;
  const other = bench.session('others');
  for (let at = 0; at < bytes; at += 16 * KIB) await other.write(at, others.subarray(at, at + 16 * KIB));
  t.ok(paths.slice(first).includes(path), 'the file is written over');
  held.letGo();
  const { slices } = await reading;
  t.ok(Buffer.concat(slices).equals(ours.subarray(0, 16 * KIB)));
  await other.discard();
});
