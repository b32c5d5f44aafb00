import { spawnSync } from 'node:child_process';
import t from 'tap';
import { keepHeapSmall } from '../../src/cli/heap.js';

interface Grown {
  /** MiB that each took at most. */
  readonly young: number;
  readonly old: number;
}

/** How the heap grows while some objects survive two collections of the young generation, and none for long. */
function grown(before: string): Grown {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    ${before}
    let kept = [];
    const most = { young: 0, old: 0 };
    for (let at = 0; at < 6e6; at++) {
      kept.push({ at, more: [at] });
      if (kept.length > 1e5) kept = [];
      if (at % 1e5 !== 0) continue;
      const size = (name) => getHeapSpaceStatistics().find((space) => space.space_name === name).space_size / 2 ** 20;
      most.young = Math.max(most.young, size('new_space'));
      most.old = Math.max(most.old, size('old_space'));
    }
    console.log(JSON.stringify(most));`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  return JSON.parse(stdout) as Grown;
}

const module = new URL('../../src/cli/heap.js', import.meta.url).href;

await t.test('the heap stays small', (t) => {
  const alone = grown('');
  const kept = grown(
    `import { keepHeapSmall } from '${module}'; keepHeapSmall(process.versions.node, [], '');`,
  );
  t.ok(alone.young > 16, `by itself the young generation grows: ${alone.young} MiB`);
  t.ok(kept.young > 0 && kept.young < alone.young / 2, `${kept.young} MiB`);
  // Both together: a young generation of 128 MiB, as Node 24's, leaves little for the old one.
  const [together, aloneTogether] = [kept.young + kept.old, alone.young + alone.old];
  t.ok(
    kept.old > 0 && together < aloneTogether * 0.7,
    `${together} MiB together, ${aloneTogether} by itself`,
  );
  t.end();
});

await t.test('who decides about the heap otherwise has it so', (t) => {
  const [young, old] = keepHeapSmall('20.19.0', []);
  t.same(keepHeapSmall('20.19.0', ['--max-semi-space-size=32']), [old]);
  t.same(keepHeapSmall('24.0.0', [], '--max_semi_space_size=32 --heap-growing-percent=9'), []);
  t.same(keepHeapSmall('22.0.0', ['--heap_growing_percent=100']), [young]);
  t.same(keepHeapSmall('26.0.0', []), [], 'nor where it was not measured');
  t.end();
});
