import t from 'tap';
import { MountList } from '../../src/mount3/mount-list.js';

void t.test('an entry is there once, and goes by its own address and path only', async (t) => {
  const mounts = new MountList();
  mounts.add('10.0.0.1', '/a');
  mounts.add('10.0.0.1', '/b');
  mounts.add('10.0.0.1', '/a');
  mounts.add('10.0.0.2', '/a');
  t.same(mounts.entries(), [
    { address: '10.0.0.1', path: '/b' },
    { address: '10.0.0.1', path: '/a' },
    { address: '10.0.0.2', path: '/a' },
  ]);
  mounts.remove('10.0.0.2', '/b');
  mounts.remove('10.0.0.1', '/b');
  t.equal(mounts.entries().length, 2);
  mounts.removeAll('10.0.0.1');
  t.same(mounts.entries(), [{ address: '10.0.0.2', path: '/a' }]);
});

void t.test('the oldest entry makes room', async (t) => {
  const mounts = new MountList({ entriesMax: 3 });
  for (const path of ['/1', '/2', '/3', '/1', '/4']) mounts.add('10.0.0.1', path);
  t.same(
    mounts.entries().map(({ path }) => path),
    ['/3', '/1', '/4'],
  );
});
