import { spawnSync } from 'node:child_process';
import t from 'tap';
import { keepYoungGenerationSmall } from '../../src/cli/young-generation.js';

/** MiB that the young generation takes at most while 1 of 15 objects survives. */
function youngMiB(before: string): number {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    ${before}
    let kept = [];
    let most = 0;
    for (let at = 0; at < 3e6; at++) {
      kept.push({ at });
      if (kept.length > 2e5) kept = [];
      if (at % 1e5 !== 0) continue;
      most = Math.max(most, getHeapSpaceStatistics().find((space) => space.space_name === 'new_space').space_size);
    }
    console.log(most / 2 ** 20);`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
  });
  return Number(stdout);
}

const small = new URL('../../src/cli/young-generation.js', import.meta.url).href;

await t.test(
  'the young generation stays small',
  { skip: !process.versions.node.startsWith('20.') && 'it is done on Node 20 alone' },
  (t) => {
    t.ok(youngMiB('') > 8, 'by itself it grows');
    const call = `import { keepYoungGenerationSmall } from '${small}';
    keepYoungGenerationSmall(process.versions.node, [], '');`;
    const bytes = youngMiB(call);
    t.ok(bytes > 0 && bytes <= 4, `${String(bytes)} MiB`);
    t.end();
  },
);

await t.test('who sets its size has it', (t) => {
  t.notOk(keepYoungGenerationSmall('20.19.0', ['--max-semi-space-size=32']));
  t.notOk(keepYoungGenerationSmall('20.19.0', [], '--max_semi_space_size=32'));
  t.notOk(keepYoungGenerationSmall('24.0.0', []), 'nor where it was not measured');
  t.end();
});
