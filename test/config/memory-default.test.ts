import t from 'tap';
import { cgroupMemoryLimitBytes, defaultMemoryLimitBytes } from '../../config/memory-default.js';

const MiB = 2 ** 20;

await t.test('a quarter of what there is, from 64 MiB to 1 GiB', async (t) => {
  t.equal(defaultMemoryLimitBytes(512 * MiB, 8192 * MiB), 128 * MiB);
  t.equal(defaultMemoryLimitBytes(100 * MiB, 8192 * MiB), 64 * MiB);
  t.equal(defaultMemoryLimitBytes(undefined, 2048 * MiB), 512 * MiB);
  t.equal(defaultMemoryLimitBytes(undefined, 64 * 1024 * MiB), 1024 * MiB);
  t.equal(defaultMemoryLimitBytes(2 ** 50, 2048 * MiB), 512 * MiB, 'a limit above the machine is none');
});

await t.test('cgroup v2: the least of the group and its parents', async (t) => {
  const root = t.testdir({
    proc: { self: { cgroup: '0::/kubepods/pod1\n' } },
    sys: {
      fs: {
        cgroup: {
          kubepods: { 'memory.max': `${256 * MiB}\n`, pod1: { 'memory.max': 'max\n' } },
        },
      },
    },
  });
  t.equal(cgroupMemoryLimitBytes(root), 256 * MiB);
});

await t.test(
  'cgroup v2 in a namespace: the path leads nowhere, the root of the mount has the limit',
  async (t) => {
    const root = t.testdir({
      proc: { self: { cgroup: '0::/../../elsewhere\n' } },
      sys: { fs: { cgroup: { 'memory.max': `${64 * MiB}\n` } } },
    });
    t.equal(cgroupMemoryLimitBytes(root), 64 * MiB);
  },
);

await t.test('cgroup v1: memory.limit_in_bytes, where a huge number means none', async (t) => {
  const tree = (limit: string) => ({
    proc: { self: { cgroup: '12:cpu,cpuacct:/x\n5:memory:/docker/1\n' } },
    sys: { fs: { cgroup: { memory: { docker: { '1': { 'memory.limit_in_bytes': limit } } } } } },
  });
  t.equal(cgroupMemoryLimitBytes(t.testdir(tree(`${300 * MiB}\n`))), 300 * MiB);
  t.equal(cgroupMemoryLimitBytes(t.testdir(tree('9223372036854771712\n'))), undefined);
});

await t.test('no cgroups, no limit', async (t) => {
  t.equal(cgroupMemoryLimitBytes(t.testdir({})), undefined);
});
