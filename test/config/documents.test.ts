import t from 'tap';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArguments } from '../../config/arguments.js';
import type { Options } from '../../config/option.js';
import { resolveOptions } from '../../config/resolve.js';
import { DEMO_OPTIONS, PROXY_OPTIONS, SERVE_OPTIONS, STORE_OPTIONS } from '../../config/schema.js';
import { serveConfig } from '../../config/serve-config.js';
import { optionsTable } from '../../src/cli/help.js';

/** A table's cells: the formatter pads columns as it likes. */
function cells(table: string): readonly string[] {
  return table
    .trim()
    .split('\n')
    .map((row) => row.replaceAll(/\s*(?<!\\)\|\s*/g, '|').replaceAll(/-+/g, '-'));
}

await t.test('the README’s options tables are the schema’s', async (t) => {
  const readme = readFileSync('README.md', 'utf8');
  const commands: Readonly<Record<string, Options>> = {
    serve: SERVE_OPTIONS,
    store: STORE_OPTIONS,
    proxy: PROXY_OPTIONS,
    demo: DEMO_OPTIONS,
  };
  for (const [name, options] of Object.entries(commands)) {
    const table = new RegExp(`<!-- options ${name} -->(.*?)<!-- end -->`, 's').exec(readme)?.[1] ?? '';
    t.same(cells(table), cells(optionsTable(options)), name);
  }
});

await t.test('every example configuration is valid', async (t) => {
  const directory = 'config/examples';
  const files = readdirSync(directory);
  t.ok(files.length > 0);
  for (const file of files) {
    const parsed = parseArguments(['--config', join(directory, file)], SERVE_OPTIONS);
    const config = serveConfig(resolveOptions(SERVE_OPTIONS, { arguments: parsed, env: {} }), {
      env: {},
      uid: 0,
      gid: 0,
    });
    t.ok(config.exports.length > 0, file);
  }
});
