import t from 'tap';
import { collectRemoved } from '../../src/fs/collecting.js';
import { NodeCache } from '../../src/fs/node-cache.js';
import { NodeTable } from '../../src/state/node-table.js';
import { createLogger } from '../../src/telemetry/log.js';
import { FakeClock } from '../support/fake-clock.js';

const DAY_MS = 24 * 3600 * 1000;
const turn = (): Promise<void> => new Promise(setImmediate);

void t.test('records of removed files go after a week, those of unpublished files stay', async (t) => {
  const clock = new FakeClock();
  const table = NodeTable.open(t.testdir(), { secret: Buffer.alloc(32, 1), nowMs: () => clock.nowMs() });
  t.teardown(() => table.close());
  const nodes = new NodeCache(table);
  const root = nodes.root('bucket');
  const directory = nodes.entry(root, 'directory', 'directory');
  const files = Array.from({ length: 1500 }, (_, i) => nodes.entry(directory, `file ${i}`, 'file'));
  const unpublished = nodes.entry(directory, 'unpublished', 'file');
  unpublished.created = true;
  nodes.trackBusy(unpublished);
  const single = nodes.entry(root, 'single', 'file');
  nodes.forget(single.id);
  nodes.forget(directory.id);
  await nodes.settled();
  const left = (): number => files.filter(({ id }) => table.get(id) !== undefined).length;

  const stop = collectRemoved(nodes, clock, createLogger('silent'));
  clock.advance(6 * DAY_MS);
  for (let i = 0; i < 20; i++) await turn();
  t.equal(left(), 1500, 'they stay for a week: a scan may go on after them');
  t.equal(table.get(single.id)?.removed, true);

  clock.advance(2 * DAY_MS);
  while (left() > 0 || table.get(single.id) !== undefined) {
    clock.advance(1000);
    await turn();
  }
  t.ok(files.every(({ gone }) => gone));
  t.equal(table.get(unpublished.id)?.name, 'unpublished');

  await stop();
  unpublished.created = false;
  for (let i = 0; i < 20; i++) {
    clock.advance(DAY_MS);
    await turn();
  }
  t.ok(table.get(unpublished.id), 'nothing is collected after the end');
});
