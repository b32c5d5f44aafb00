import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { pino } from 'pino';
import { MemoryBudget } from '../../src/memory/memory-budget.js';
import { Spool, SpoolFullError } from '../../src/write/spool.js';
import { KIB, SessionBench } from './session-bench.js';

const log = pino({ level: 'silent' });

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
