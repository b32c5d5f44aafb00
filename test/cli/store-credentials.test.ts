import t from 'tap';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { keptCredentials } from '../../src/cli/store-credentials.js';
import { StartError } from '../../src/cli/start-error.js';

await t.test('made once, kept for the owner alone, the same afterwards', async (t) => {
  const directory = join(t.testdir(), 'store');
  const [one, two] = await Promise.all([keptCredentials(directory), keptCredentials(`${directory}2`)]);
  t.not(one.secretAccessKey, two.secretAccessKey);
  t.equal(one.accessKeyId.length, 20);
  t.equal(one.secretAccessKey.length, 40);
  t.same(await keptCredentials(directory), one);
  const path = join(directory, 'credentials.json');
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(JSON.parse(readFileSync(path, 'utf8')), one);
});

await t.test('a file that isn’t one is told, not overwritten', async (t) => {
  const directory = t.testdir();
  const path = join(directory, 'credentials.json');
  for (const text of ['{', '{"accessKeyId": "x"}']) {
    writeFileSync(path, text);
    await t.rejects(keptCredentials(directory), StartError);
    t.equal(readFileSync(path, 'utf8'), text);
  }
});
