/** docs/embedded-store.md: each rule names where AWS has it and tests that exist. */
import t from 'tap';
import { readFileSync } from 'node:fs';
import { referencesOf, titlesOf } from './references.js';

const DOCUMENT = 'docs/embedded-store.md';

/** The rows of the tables of rules: rule, page, tests. */
function rules(): readonly (readonly string[])[] {
  const document = readFileSync(DOCUMENT, 'utf8');
  const section = document.split(/\n## /).find((each) => each.startsWith('The rules')) ?? '';
  return section
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| rule |'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    );
}

await t.test('every rule names a page of AWS and tests that exist', async (t) => {
  const rows = rules();
  t.ok(rows.length > 40, `${String(rows.length)} rules`);
  for (const [rule = '', page = '', tests = ''] of rows) {
    t.not(page, '', rule);
    const references = referencesOf(tests);
    t.ok(references.length > 0, rule);
    const missing = references.filter(({ file, title }) => !titlesOf(file).has(title));
    t.same(missing, [], rule);
  }
});
