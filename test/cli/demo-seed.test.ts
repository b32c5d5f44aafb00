import t from 'tap';
import { patternedBytes, seedBucket } from '../../src/cli/demo-seed.js';
import { MemoryStore } from '../support/memory-store.js';

await t.test('an empty bucket gets the package’s files and a binary; another is left alone', async (t) => {
  const directory = t.testdir({
    'README.md': '# hello',
    docs: { decisions: { 'one.md': 'because' } },
    src: { 'main.ts': 'export {};' },
    node_modules: { x: { 'index.js': 'no' } },
  });
  const store = new MemoryStore();
  t.equal(await seedBucket(store, directory), 4);
  const { objects } = await store.list({ prefix: '' });
  t.same(
    objects.map(({ key, size }) => [key, size]),
    [
      ['README.md', 7],
      ['data/six-mebibytes.bin', 6 * 2 ** 20],
      ['docs/decisions/one.md', 7],
      ['src/main.ts', 10],
    ],
  );
  t.match(await store.head('README.md'), { contentType: 'text/markdown; charset=utf-8' });
  t.equal(await seedBucket(store, directory), 0);
});

await t.test('the binary is the same everywhere and tells its blocks apart', async (t) => {
  const bytes = patternedBytes(64 * 1024);
  t.ok(bytes.equals(patternedBytes(64 * 1024)));
  const blocks = new Set<string>();
  for (let offset = 0; offset < bytes.length; offset += 4096) {
    blocks.add(bytes.subarray(offset, offset + 4096).toString('latin1'));
  }
  t.equal(blocks.size, 16);
});
