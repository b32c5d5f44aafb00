/** Compares what was requested with what should have been, as lines; requests that run at the same time end in any order. */
import type { Test } from 'tap';
import { requestLine, type LoggedRequest } from './request-log.js';

/** A line, or lines that may come in any order among themselves. */
export type Expected = readonly (string | readonly string[])[];

/** Lines of `actual` as they are, but each group's in the order of the expectation where it has just those. */
function inExpectedOrder(actual: readonly string[], expected: Expected): string[] {
  const ordered: string[] = [];
  let at = 0;
  for (const each of expected) {
    const group = typeof each === 'string' ? [each] : each;
    const left = actual.slice(at, at + group.length);
    at += group.length;
    for (const line of group) {
      const found = left.indexOf(line);
      if (found >= 0) ordered.push(...left.splice(found, 1));
    }
    ordered.push(...left);
  }
  return [...ordered, ...actual.slice(at)];
}

/** Longest common subsequence, as a table of lengths from each pair of positions to the end. */
function commonLengths(a: readonly string[], b: readonly string[]): number[][] {
  const lengths = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  const of = (i: number, j: number): number => lengths[i]?.[j] ?? 0;
  for (let i = a.length - 1; i >= 0; i -= 1)
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const row = lengths[i];
      if (row !== undefined)
        row[j] = a[i] === b[j] ? of(i + 1, j + 1) + 1 : Math.max(of(i + 1, j), of(i, j + 1));
    }
  return lengths;
}

/** Undefined where they agree; else all lines in order, `- ` before what is missing, `+ ` before what is too much. */
export function requestDifference(actual: readonly string[], expected: Expected): string | undefined {
  const wanted = expected.flat();
  const got = inExpectedOrder(actual, expected);
  const lengths = commonLengths(wanted, got);
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < wanted.length || j < got.length) {
    if (i < wanted.length && j < got.length && wanted[i] === got[j]) {
      lines.push(`  ${wanted[i] ?? ''}`);
      i += 1;
      j += 1;
    } else if (
      j >= got.length ||
      (i < wanted.length && (lengths[i + 1]?.[j] ?? 0) >= (lengths[i]?.[j + 1] ?? 0))
    ) {
      lines.push(`- ${wanted[i] ?? ''}`);
      i += 1;
    } else {
      lines.push(`+ ${got[j] ?? ''}`);
      j += 1;
    }
  }
  return lines.some((line) => !line.startsWith('  ')) ? lines.join('\n') : undefined;
}

/** Fails, with the difference, unless the requests are exactly those. */
export function assertRequests(
  t: Test,
  requests: readonly LoggedRequest[],
  expected: Expected,
  line: (request: LoggedRequest) => string = requestLine,
): void {
  const difference = requestDifference(requests.map(line), expected);
  if (difference === undefined) t.pass('exactly the requests expected');
  else t.fail('the requests differ (- missing, + unexpected)', { difference: `${difference}\n` });
}
