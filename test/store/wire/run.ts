/** Runs the wire cases at a server and compares what it answers with what AWS documents, and with the differences that are known. */
import { createHash, randomUUID } from 'node:crypto';
import { XMLParser } from 'fast-xml-parser';
import type { Test } from 'tap';
import type { Step, WireCase } from './case.js';
import type { Difference } from './differences.js';
import { sendSigned, type Endpoint, type WireAnswer } from './signed-request.js';

const parser = new XMLParser({
  parseTagValue: false,
  trimValues: false,
  ignoreAttributes: true,
  htmlEntities: true,
});

/** Texts of the elements at a path, in document order; none where the body is no such document. */
function textsAt(body: string, path: string): string[] {
  if (!body.trimStart().startsWith('<')) return [];
  let nodes: unknown[] = [parser.parse(body)];
  for (const name of path.split('/'))
    nodes = nodes.flatMap((node) => {
      const child = (node as Record<string, unknown> | null)?.[name];
      return child === undefined ? [] : Array.isArray(child) ? (child as unknown[]) : [child];
    });
  return nodes.map((node) => (typeof node === 'string' ? node : ''));
}

function partOf(answer: WireAnswer, what: string): string | undefined {
  if (what === 'body') return answer.body;
  const path = /^<(.*)>$/.exec(what)?.[1];
  if (path === undefined) return answer.headers[what]?.toString();
  const texts = textsAt(answer.body, path);
  return texts.length === 0 ? undefined : texts.join(',');
}

/** What was kept of earlier answers, by name, and both directions of writing it. */
class Kept {
  readonly #values: Map<string, string>;

  constructor(values: Readonly<Record<string, string>>) {
    this.#values = new Map(Object.entries(values));
  }

  keep(name: string, value: string): void {
    this.#values.set(name, value);
  }

  fill(text: string): string {
    return text.replace(/\{(\w+)\}/g, (whole, name: string) => this.#values.get(name) ?? whole);
  }

  fillAll(record: Readonly<Record<string, string>> = {}): Record<string, string> {
    return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, this.fill(value)]));
  }

  /** Names what is kept in place of its value, so that answers of two servers compare. */
  name(text: string): string {
    let named = text;
    for (const [name, value] of this.#values) {
      if (name === 'prefix') named = named.replaceAll(value, '').replaceAll(encodeURIComponent(value), '');
      else if (value !== '') named = named.replaceAll(value, `{${name}}`);
    }
    return named;
  }
}

async function runStep(endpoint: Endpoint, bucket: string, step: Step, kept: Kept): Promise<string> {
  const at = step.send.indexOf(' ');
  const method = step.send.slice(0, at);
  const key = kept.fill(step.send.slice(at + 1));
  const body =
    typeof step.body === 'number' ? Buffer.alloc(step.body) : Buffer.from(kept.fill(step.body ?? ''));
  const md5 = createHash('md5').update(body).digest('base64');
  const headers = Object.entries(kept.fillAll(step.headers)).map(([name, value]) => [
    name,
    value.replace('{body-md5}', md5),
  ]);
  const answer = await sendSigned(endpoint, {
    method,
    bucket,
    key: key === '?' ? '' : kept.fill('{prefix}') + key,
    query: kept.fillAll(step.query),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body,
  });
  for (const [name, what] of Object.entries(step.keep ?? {})) {
    const value = partOf(answer, what);
    // An answer that failed has nothing to keep, and shows by its status.
    if (value !== undefined) kept.keep(name, value);
  }
  const code = textsAt(answer.body, 'Error/Code')[0];
  // Of an error the code is enough: the rest of its document is for people.
  if (code !== undefined) return `${String(answer.status)} ${code}`;
  const shown = (step.show ?? []).map((what) => {
    const value = partOf(answer, what.replace(/\?$/, ''));
    if (what.endsWith('?')) return `${what}${value === undefined ? 'no' : 'yes'}`;
    return `${what}=${kept.name(value ?? '(none)')}`;
  });
  return [String(answer.status), ...shown].join(' ');
}

/** Of a case, what the server answered to each step. Keys lie below a prefix of their own. */
async function observe(endpoint: Endpoint, bucket: string, { steps }: WireCase): Promise<string[]> {
  const kept = new Kept({ prefix: `wire-${randomUUID()}/`, bucket });
  const observed: string[] = [];
  for (const step of steps) observed.push(await runStep(endpoint, bucket, step, kept));
  return observed;
}

/**
 * Each case is a subtest of `t`. A step must be answered as its case says, or as `differences` says of this server: a
 * difference that nobody knows fails, and so does one that is gone.
 */
export async function runWireCases(
  t: Test,
  endpoint: Endpoint,
  bucket: string,
  cases: readonly WireCase[],
  differences: readonly Difference[],
): Promise<void> {
  const names = new Set(cases.map(({ name }) => name));
  t.same(
    differences.filter(({ name }) => !names.has(name)),
    [],
    'each difference is about a case there is',
  );
  for (const wireCase of cases) {
    await t.test(wireCase.name, async (t) => {
      const observed = await observe(endpoint, bucket, wireCase);
      const known = new Map(
        differences
          .filter(({ name }) => name === wireCase.name)
          .flatMap(({ answers }) => Object.entries(answers).map(([step, answer]) => [Number(step), answer])),
      );
      t.ok(
        [...known.keys()].every((step) => step <= wireCase.steps.length),
        'each difference is about a step there is',
      );
      wireCase.steps.forEach((step, at) => {
        t.equal(observed[at], known.get(at + 1) ?? step.answer, `${String(at + 1)}: ${step.send}`);
      });
    });
  }
}
