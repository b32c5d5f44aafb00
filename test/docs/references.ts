/** The tests that documents name: `test/x.test.ts`: "one title"; "another". */
import { existsSync, readFileSync } from 'node:fs';

export interface Reference {
  readonly file: string;
  readonly title: string;
}

/** The references in a text without line breaks. */
export function referencesOf(text: string): readonly Reference[] {
  return [...text.matchAll(/`((?:test|integration)\/[^`]+)`: ("[^"]+"(?:; "[^"]+")*)/g)].flatMap(
    ([, file = '', titles = '']) =>
      [...titles.matchAll(/"([^"]+)"/g)].map(([, title = '']) => ({ file, title })),
  );
}

/** What the calls of `test` in a source are titled. */
export function titlesOf(file: string): ReadonlySet<string> {
  const source = existsSync(file) ? readFileSync(file, 'utf8') : '';
  const calls = source.matchAll(/\btest\(\s*(['"`])((?:\\.|(?!\1).)*)\1/gs);
  return new Set([...calls].map(([, , title = '']) => title.replaceAll(/\\(.)/g, '$1')));
}
