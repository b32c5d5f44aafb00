/** The process ends whatever its files do. A read of a pipe that nobody writes to stands for one of a disk that doesn't answer. */
import t from 'tap';
import { execFileSync, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const MODULE = new URL('../../src/cli/end-process.js', import.meta.url).href;

function ended(script: string): { readonly status: number | null; readonly signal: string | null } {
  const source = `import * as end from ${JSON.stringify(MODULE)};
    import { open } from 'node:fs/promises';
    process.on('SIGTERM', () => undefined);
    ${script}`;
  const { status, signal } = spawnSync(process.execPath, ['--input-type=module', '-e', source], {
    timeout: 20_000,
    killSignal: 'SIGKILL',
  });
  return { status, signal };
}

await t.test('with its code, where nothing hangs', (t) => {
  t.same(ended(`await end.endProcess(3);`), { status: 3, signal: null });
  t.same(ended(`void (await open('/dev/null')).close(); await end.endProcess(4);`), {
    status: 4,
    signal: null,
  });
  t.end();
});

await t.test('by SIGTERM, where a file does not answer', (t) => {
  const pipe = join(t.testdir(), 'pipe');
  execFileSync('mkfifo', [pipe]);
  const hang = `const file = await open(${JSON.stringify(pipe)}, 'r+'); void file.read(Buffer.alloc(1), 0, 1, null);`;
  t.same(ended(`${hang} await end.endProcess(0);`), { status: null, signal: 'SIGTERM' });
  t.end();
});
