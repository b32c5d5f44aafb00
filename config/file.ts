/** Reading a configuration file: YAML, of which JSON is a part. Numbers stay the text they were written in. */
import { readFileSync } from 'node:fs';
import { isMap, LineCounter, parseDocument, visit } from 'yaml';
import { ConfigError } from './config-error.js';

/** The top-level keys of a configuration file with their values. Fails with ConfigError, in one line, naming file and line. */
export function readConfigFile(path: string): ReadonlyMap<string, unknown> {
  return parseConfigText(readText(path), path);
}

export function parseConfigText(text: string, path: string): ReadonlyMap<string, unknown> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line } = lines.linePos(problem.pos[0]);
    throw new ConfigError(`configuration file ${path}, line ${line}: ${firstLine(problem.message)}`);
  }
  if (document.contents === null) return new Map();
  if (!isMap(document.contents)) {
    throw new ConfigError(`configuration file ${path}: expected a mapping of option names to values`);
  }
  // A mode 0644 must not become six hundred and forty-four, nor 0o644 four hundred and twenty.
  visit(document, {
    Scalar: (_key, node) => {
      if (typeof node.value === 'number' || typeof node.value === 'bigint') {
        node.value = node.source ?? String(node.value);
      }
    },
  });
  return new Map(Object.entries(document.toJS() as Record<string, unknown>));
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new ConfigError(`cannot read configuration file ${path}: ${reason(error)}`, { cause: error });
  }
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'there is no such file',
    EACCES: 'permission denied',
    EISDIR: 'it is a directory',
  };
  return words[code ?? ''] ?? firstLine(String(error));
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}
