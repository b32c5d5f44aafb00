/** Documents that name tests and files name those that exist; the promises of docs/SEMANTICS.md each have a test or say that none holds. */
import t from 'tap';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { referencesOf, titlesOf } from './references.js';

const SEMANTICS = 'docs/SEMANTICS.md';
const COMPLAINTS = 'docs/testing.md';
const DOCUMENTS = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync('docs', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md'))
    .map((file) => join('docs', file)),
];

/** A promise with what stands under it: a bullet at the margin, up to the next one, on one line. */
function promisesOf(document: string): readonly string[] {
  return document
    .split(/\n(?=- |#|\|)/)
    .filter((block) => block.startsWith('- '))
    .map((block) => block.replace(/\s+/g, ' ').trim());
}

await t.test('every test that a promise names exists', async (t) => {
  const references = [SEMANTICS, COMPLAINTS].flatMap((document) =>
    promisesOf(readFileSync(document, 'utf8')).flatMap(referencesOf),
  );
  t.ok(references.length > 50, `${references.length} references`);
  const missing = references.filter(({ file, title }) => !titlesOf(file).has(title));
  t.same(missing, []);
});

await t.test('every promise names its test or says that it does not hold or has none', async (t) => {
  const bare = promisesOf(readFileSync(SEMANTICS, 'utf8')).filter(
    (promise) =>
      referencesOf(promise).length === 0 && !/\*\*(?:Does not hold yet|No test yet)\*\*/.test(promise),
  );
  t.same(bare, []);
});

await t.test('every file that a document names exists', async (t) => {
  const missing: string[] = [];
  for (const document of DOCUMENTS) {
    const text = readFileSync(document, 'utf8');
    const named = [
      ...text.matchAll(/`((?:src|protocol|config|test|integration|bench|docs)\/[\w./-]*\w)\/?`/g),
    ].map(([, path = '']) => path);
    const linked = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)].map(([, path = '']) =>
      join(dirname(document), path),
    );
    missing.push(
      ...[...named, ...linked].filter((path) => !existsSync(path)).map((path) => `${document}: ${path}`),
    );
  }
  t.same(missing, []);
});
