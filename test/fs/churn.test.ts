/** Days of use in short: what is kept in memory stays bounded, and what is done again and again doesn't become slower. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { queryObjects, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { DirectoryNode, FileNode } from '../../src/fs/node.js';
import { Reader } from '../../src/read/reader.js';
import { NodeTable } from '../../src/state/node-table.js';
import { WriteSession } from '../../src/write/write-session.js';
import { Mounted, codeOf } from './mounted.js';

t.setTimeout(300_000);
const CYCLES = Number(process.env['S3NFSD_CHURN_CYCLES'] ?? 600);

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes in use once everything nobody holds is gone. */
async function usedBytes(): Promise<number> {
  for (let turn = 0; turn < 4; turn++) {
    collect();
    // Finalizers run in turns of their own.
    await new Promise((resolve) => setImmediate(resolve));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

await t.test('a directory in memory costs about a kilobyte', async (t) => {
  const before = await usedBytes();
  const nodes = Array.from({ length: 5000 }, (_, at) => new DirectoryNode(BigInt(at)));
  const each = ((await usedBytes()) - before) / nodes.length;
  t.ok(each < 2048, `${Math.round(each)} bytes each`);
});

await t.test('names known to be absent are bounded, the oldest go first', (t) => {
  const node = new DirectoryNode(16n);
  for (let at = 0; at < 5000; at++) node.noteAbsent(`n${at}`, at);
  t.equal(node.negatives.size, 1024);
  t.equal(node.negatives.get('n4999'), 4999);
  t.equal(node.negatives.get('n0'), undefined);
  t.end();
});

await t.test('a name that comes and goes ten thousand times gets its id as fast as ever', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 's3nfsd-churn-'));
  const table = NodeTable.open(directory, { secret: Buffer.alloc(32, 1) });
  const root = table.root('bucket').id;
  const cycles = (count: number): number => {
    const before = process.cpuUsage();
    for (let at = 0; at < count; at++) table.remove(table.intern(root, 'lock').id);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  cycles(200);
  const earlyCpuMs = cycles(500);
  cycles(3000);
  const lateCpuMs = cycles(500);
  t.ok(lateCpuMs < 10 * earlyCpuMs, `500 cycles: ${earlyCpuMs} ms of CPU at first, ${lateCpuMs} in the end`);
  await table.close();
  await rm(directory, { recursive: true, force: true });
});

await t.test('files that come and go, and names that are looked for, leave nothing behind', async (t) => {
  const m = await Mounted.start();
  t.teardown(() => m.end());
  const root = await m.root();
  const cycle = async (at: number): Promise<void> => {
    const name = Buffer.from(`f${at}`);
    const { handle } = await m.fs.create(m.context, root, name, { how: 'unchecked', attributes: {} });
    await m.fs.write(m.context, handle, 0, Buffer.alloc(100, 'x'), 'fileSync');
    await m.read(handle);
    await m.fs.remove(m.context, root, name);
    for (let miss = 0; miss < 5; miss++)
      await codeOf(() => m.fs.lookup(m.context, root, Buffer.from(`absent-${at}-${miss}`)));
    m.store.calls.length = 0;
  };
  for (let at = 0; at < CYCLES; at++) await cycle(at);
  m.clock.advance(200_000);
  await usedBytes();
  // The next round of the janitor, and that which collects records.
  t.ok(m.clock.size <= 2, `${m.clock.size} timers are left`);
  // What stays is a record of each name in the node table, whose cache is bounded.
  for (const kind of [FileNode, WriteSession, Reader]) {
    const left = queryObjects(kind, { format: 'count' });
    t.ok(left <= 10, `${left} of ${kind.name} are left`);
  }
  t.equal(Object.keys(m.bucket()).length, 0);
  await m.stop();
  t.equal(m.budget.usedBytes, 0);
});
