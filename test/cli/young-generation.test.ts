import { spawnSync } from 'node:child_process';
import t from 'tap';

const MIB = 1024 ** 2;
const module = new URL('../../src/cli/young-generation.js', import.meta.url).href;

/** What a process of its own tells, in MiB. */
function told(script: string): number[] {
  const { stdout, stderr } = spawnSync(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { setFlagsFromString } from 'node:v8';
       import { growYoungGeneration, youngBytes } from '${module}';
       setFlagsFromString('--semi-space-growth-factor=1');
       ${script}`,
    ],
    { encoding: 'utf8' },
  );
  if (stdout === '') throw new Error(stderr);
  return (JSON.parse(stdout) as number[]).map((bytes) => bytes / MIB);
}

await t.test('the young generation grows to its size, and not beyond', (t) => {
  const [grown = 0, again = 0, most = 0] = told(`
    growYoungGeneration();
    const grown = youngBytes();
    growYoungGeneration();
    const again = youngBytes();
    let most = 0;
    let kept = [];
    for (let at = 0; at < 3e6; at++) {
      kept.push({ at });
      if (kept.length > 1e5) kept = [];
      // Of what survives, pages may be its own for a while (V8 13).
      if (at % 1e5 === 0) most = Math.max(most, youngBytes());
    }
    console.log(JSON.stringify([grown, again, most]));`);
  t.ok(grown > 3 && grown < 6, `${grown} MiB`);
  t.ok(Math.abs(again - grown) < 1, `${again} MiB when asked again`);
  t.ok(most < 12, `${most} MiB after much has survived`);
  t.end();
});

await t.test('a size that it has already is kept', (t) => {
  const [before = 0, grown = 0] = told(`
    growYoungGeneration(2 * ${MIB});
    const before = youngBytes();
    growYoungGeneration(${MIB});
    console.log(JSON.stringify([before, youngBytes()]));`);
  t.ok(before > 1.5, `${before} MiB`);
  t.ok(Math.abs(grown - before) < 0.5, `${grown} MiB when less is asked for`);
  t.end();
});
