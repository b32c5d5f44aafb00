/** Where answers go: what the embedded server and the proxy need of a ServerResponse, so that a faulty one can stand in for it. */
import type { OutgoingHttpHeader, OutgoingHttpHeaders } from 'node:http';
import type { Writable } from 'node:stream';

export interface AnswerStream extends Writable {
  statusCode: number;
  readonly headersSent: boolean;
  setHeader(name: string, value: string): unknown;
  /** Headers as a mapping, or flat: name, value, name, value. */
  writeHead(status: number, headers?: AnswerHeaders): unknown;
  /** Answers `Expect: 100-continue`. */
  writeContinue(): void;
}

export type AnswerHeaders = OutgoingHttpHeaders | OutgoingHttpHeader[];

/** The value of a header in either form; undefined where there is none. */
export function headerIn(headers: AnswerHeaders, name: string): string | undefined {
  const found = pairs(headers).find(([each]) => each.toLowerCase() === name);
  return found === undefined ? undefined : String(found[1]);
}

/** Headers without one, or with it replaced. */
export function withHeader(headers: AnswerHeaders, name: string, value: string | undefined): AnswerHeaders {
  const kept = pairs(headers).filter(([each]) => each.toLowerCase() !== name);
  const all = value === undefined ? kept : [...kept, [name, value] as const];
  return Array.isArray(headers) ? all.flat() : Object.fromEntries(all);
}

function pairs(headers: AnswerHeaders): (readonly [string, OutgoingHttpHeader])[] {
  if (!Array.isArray(headers)) {
    return Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    );
  }
  const all: (readonly [string, OutgoingHttpHeader])[] = [];
  for (let at = 0; at + 1 < headers.length; at += 2) {
    all.push([String(headers[at]), headers[at + 1] ?? '']);
  }
  return all;
}
