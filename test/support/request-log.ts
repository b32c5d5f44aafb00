/**
 * What S3 requests something caused. A server (the embedded one, or S3Proxy before any other) tells the log of each request's
 * arrival and end; `during` gives those of an action, once all of them have ended. A request is one line:
 *
 *     GetObject dir/file 0-1048575 if-match
 *     UploadPart big #3
 *     CopyObject moved/one < dir/one
 *     PutObject new if-none-match 503
 *     PutObject new if-none-match retry 1
 *     ListObjectsV2 dir/ delimited
 */
import { EventEmitter, once } from 'node:events';
import type { EmbeddedStoreOptions, FinishedRequest } from '../../src/store/embedded/server.js';

export interface LoggedRequest {
  readonly operation: string;
  readonly key: string;
  /** 0 where the connection was cut before an answer. */
  readonly status: number;
  /** `first-last` of a Range header, or of a copy's source. */
  readonly range: string | undefined;
  readonly partNumber: number | undefined;
  /** The source of a copy, without its bucket. */
  readonly source: string | undefined;
  /** Names of the conditional headers, sorted. */
  readonly conditions: readonly string[];
  /** Of listings: its `delimiter` is sent, it goes on from a page before. */
  readonly delimited: boolean;
  readonly continued: boolean;
  /** How many of the same request failed right before it: by 5xx, or without an answer. */
  readonly retry: number;
  /** Bytes of the bodies. */
  readonly bytesIn: number;
  readonly bytesOut: number;
}

const CONDITIONS =
  /^(x-amz-copy-source-)?if-(match|none-match|modified-since|unmodified-since)$|^x-amz-if-match-/;

function decoded(source: string): string {
  const path = decodeURIComponent(source).replace(/^\//, '');
  return path.slice(path.indexOf('/') + 1);
}

function rangeOf(headers: ReadonlyMap<string, string>): string | undefined {
  return (headers.get('range') ?? headers.get('x-amz-copy-source-range'))?.replace(/^bytes=/, '');
}

/** One line of it, for people and for comparing; all but the bytes. */
export function requestLine(request: LoggedRequest): string {
  const { operation, key, status, range, partNumber, source, conditions, retry } = request;
  return [
    operation,
    key,
    partNumber === undefined ? '' : `#${String(partNumber)}`,
    source === undefined ? '' : `< ${source}`,
    range ?? '',
    ...conditions,
    request.delimited ? 'delimited' : '',
    request.continued ? 'continued' : '',
    retry === 0 ? '' : `retry ${String(retry)}`,
    status === 0 ? 'cut' : status >= 400 ? String(status) : '',
  ]
    .filter((word) => word !== '')
    .join(' ');
}

/** How many there were of each operation. */
export function countsOf(requests: readonly LoggedRequest[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { operation } of requests) counts[operation] = (counts[operation] ?? 0) + 1;
  return counts;
}

/** Bytes of all bodies together. */
export function bytesOf(requests: readonly LoggedRequest[]): { readonly in: number; readonly out: number } {
  return requests.reduce(
    (sum, { bytesIn, bytesOut }) => ({ in: sum.in + bytesIn, out: sum.out + bytesOut }),
    { in: 0, out: 0 },
  );
}

/** Everything but the outcome: two requests that agree in it are one and its retry. */
function identity(request: LoggedRequest): string {
  return requestLine({ ...request, status: 200, retry: 0 });
}

/** A request that lets all before it pass. */
export interface Barrier {
  readonly key: string;
  readonly send: () => Promise<unknown>;
}

export class RequestLog {
  readonly #finished: LoggedRequest[] = [];
  readonly #changes = new EventEmitter().setMaxListeners(0);
  /** By identity: failures in a row. */
  readonly #failures = new Map<string, number>();
  #underWay = 0;

  /** The options that make an embedded server tell this log. */
  readonly hooks: Required<Pick<EmbeddedStoreOptions, 'onArrival' | 'onRequest'>> = {
    onArrival: () => this.arrived(),
    onRequest: (request) => this.ended(request),
  };

  arrived(): void {
    this.#underWay += 1;
  }

  ended({ operation, key = '', status, headers, query, bytesIn, bytesOut }: FinishedRequest): void {
    const part = query.get('partNumber');
    const source = headers.get('x-amz-copy-source');
    const request: LoggedRequest = {
      operation,
      key: operation.startsWith('List') ? (query.get('prefix') ?? key) : key,
      status,
      range: rangeOf(headers),
      partNumber: part === undefined ? undefined : Number(part),
      source: source === undefined ? undefined : decoded(source),
      conditions: [...headers.keys()].filter((name) => CONDITIONS.test(name)).sort(),
      delimited: query.has('delimiter'),
      continued: query.has('continuation-token'),
      retry: 0,
      bytesIn,
      bytesOut,
    };
    const same = identity(request);
    const retry = this.#failures.get(same) ?? 0;
    if (status === 0 || status >= 500) this.#failures.set(same, retry + 1);
    else this.#failures.delete(same);
    this.#finished.push({ ...request, retry });
    this.#underWay -= 1;
    this.#changes.emit('ended');
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** All that have ended, in that order. */
  get all(): readonly LoggedRequest[] {
    return this.#finished;
  }

  /** Resolves when no request is under way. */
  async quiet(): Promise<void> {
    while (this.#underWay > 0) await once(this.#changes, 'ended');
  }

  /** Resolves with the first request of that kind that ends after the call. */
  async next(operation: string, key: string): Promise<LoggedRequest> {
    for (let at = this.#finished.length; ;) {
      const found = this.#finished.slice(at).find((it) => it.operation === operation && it.key === key);
      if (found !== undefined) return found;
      at = this.#finished.length;
      await once(this.#changes, 'ended');
    }
  }

  /**
   * The requests that ended while `action` ran, in that order. Those are waited for that are under way when it resolves; one that
   * is yet to be sent is not (a file published after a rest: make `next` part of the action). `barrier` sends a request about a
   * key of its own, which is left out: what was just being sent has arrived when it is answered.
   */
  async during(action: () => Promise<unknown>, barrier?: Barrier): Promise<LoggedRequest[]> {
    await this.quiet();
    const from = this.#finished.length;
    await action();
    await barrier?.send();
    await this.quiet();
    return this.#finished.slice(from).filter(({ key }) => key !== barrier?.key);
  }
}
