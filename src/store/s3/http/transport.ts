/**
 * S3 requests without the SDK, for the calls that carry nearly all the traffic: signed here, over connections of our own
 * (connection-pool.ts). Endpoint, credentials and sessions of directory buckets are the SDK's to find. What an answer says about
 * the bucket's region, the clock or the credentials is taken to heart, and the request is sent once more.
 */
import { createHash } from 'node:crypto';
import { isIP } from 'node:net';
import type { Body } from '../../object-store.js';
import type { Attempt } from '../attempt.js';
import { bodyLength } from '../checksum.js';
import type { S3Clients } from '../client.js';
import { type Endpoint, resolveEndpoint } from '../endpoint.js';
import type { ResolvedOptions } from '../options.js';
import { SESSION_ENDED, type Session } from '../sessions.js';
import { ERROR_BYTES_MAX, S3AnswerError } from './answer-error.js';
import type { AnswerHead } from './answer-parser.js';
import { ConnectionPool } from './connection-pool.js';
import { amzDateOf, pathEncode, SigV4, type SigningCredentials } from './sigv4.js';

export interface DirectRequest {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'DELETE';
  /** Undefined: the bucket. */
  readonly key?: string;
  /** As `queryOf` makes it. */
  readonly query?: string;
  /** By lower-case name. */
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: Body;
  /** Sending it twice does what sending it once does. */
  readonly repeatable: boolean;
  /** The store may work for minutes before it answers. */
  readonly slow?: true;
}

/** A success's answer, as it comes. The chunk's buffer is used again after the call. */
export interface AnswerSink {
  head?(head: AnswerHead): void;
  body?(chunk: Buffer): void;
  /** As ExchangeHandler's. */
  room?(): Buffer | undefined;
}

/** Clocks further apart than this: S3 refuses 15 minutes, the SDK corrects 5. */
const SKEW_MS_MAX = 300_000;
const SKEWED = 'RequestTimeTooSkewed';
/** What goes into host names and signatures. */
const REGION = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const AWS_HOST = /\.amazonaws\.com(?:\.cn)?$/;
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9a-z-]+$/;

/** `temporary`: the request was signed with credentials that end at some time. */
interface Answer {
  readonly head: AnswerHead;
  readonly temporary: boolean;
  readonly error?: S3AnswerError;
}

/** Ends an exchange whose error has said enough. */
class ErrorTooLong extends Error {
  override readonly name = 'ErrorTooLong';
}

export class Transport {
  readonly #options: ResolvedOptions;
  readonly #clients: S3Clients;
  readonly #pool: ConnectionPool;
  readonly #signer = new SigV4();
  #endpoint: Promise<Endpoint> | undefined;
  /** Added to this machine's clock in signatures. */
  #clockOffsetMs = 0;
  #dated: { readonly second: number; readonly amzDate: string } | undefined;
  /** The latest key as a path. A URL is the endpoint's for as long as that is resolved. */
  #pathed: { readonly url: URL; readonly key: string; readonly path: string } | undefined;
  #refreshCredentials = false;
  /** The session of a directory bucket that requests are signed with. */
  #session: Session | undefined;

  constructor(options: { readonly options: ResolvedOptions; readonly clients: S3Clients }) {
    this.#options = options.options;
    this.#clients = options.clients;
    const { certificateAuthorities, timeouts } = options.options;
    this.#pool = new ConnectionPool({
      connectMs: timeouts.connectMs,
      ...(certificateAuthorities === undefined ? {} : { certificateAuthorities }),
    });
  }

  /** Whether it can sign for the bucket: multi-region access points want signatures that only the SDK makes. */
  async serves(): Promise<boolean> {
    const { scheme } = await this.#resolved();
    return this.#options.noSignRequest || scheme === 'sigv4' || scheme === 'sigv4-s3express';
  }

  /** The head of a success, once the answer is whole. Fails with S3AnswerError, or as ConnectionPool.exchange does. */
  async send(request: DirectRequest, attempt: Attempt, sink: AnswerSink = {}): Promise<AnswerHead> {
    let endpoint = await this.#resolved();
    for (let tries = 1; ; tries++) {
      const answer = await this.#exchange(endpoint, request, attempt, sink);
      if (answer.error === undefined) return answer.head;
      const again = tries === 1 ? await this.#learn(request, answer, answer.error, endpoint) : undefined;
      if (again === undefined) throw answer.error;
      endpoint = again;
    }
  }

  close(): void {
    this.#pool.close();
  }

  async #exchange(
    endpoint: Endpoint,
    request: DirectRequest,
    attempt: Attempt,
    sink: AnswerSink,
  ): Promise<Answer> {
    const credentials = this.#options.noSignRequest ? undefined : await this.#credentials(endpoint);
    const head = this.#head(endpoint, request, credentials);
    const { timeouts } = this.#options;
    let answer: AnswerHead | undefined;
    let refused = false;
    const errorBody: Buffer[] = [];
    let errorBytes = 0;
    try {
      await this.#pool.exchange(
        endpoint.url,
        {
          method: request.method,
          head,
          body: request.body ?? [],
          signal: attempt.signal,
          silenceMs: request.slow ? timeouts.slowCallMs : timeouts.idleMs,
        },
        {
          head: (received) => {
            answer = received;
            refused = received.status >= 300;
            attempt.alive();
            if (!refused) sink.head?.(received);
          },
          body: (chunk) => {
            if (!refused) {
              attempt.alive();
              sink.body?.(chunk);
              return;
            }
            if (errorBytes >= ERROR_BYTES_MAX) throw new ErrorTooLong();
            errorBytes += chunk.length;
            errorBody.push(Buffer.from(chunk));
          },
          inLine: (waits) => attempt.hold(waits),
          room: () => (answer === undefined || refused ? undefined : sink.room?.()),
        },
        request.repeatable,
      );
    } catch (error) {
      if (!(error instanceof ErrorTooLong)) throw error;
    }
    if (answer === undefined) throw new Error('an exchange without an answer');
    const temporary = credentials?.sessionToken !== undefined;
    if (!refused) return { head: answer, temporary };
    return {
      head: answer,
      temporary,
      error: new S3AnswerError(answer, Buffer.concat(errorBody).toString('utf8')),
    };
  }

  /** Request line and headers, signed with the credentials where there are any. */
  #head(endpoint: Endpoint, request: DirectRequest, credentials: SigningCredentials | undefined): string {
    const { method, query = '' } = request;
    const path = this.#path(endpoint.url, request.key ?? '');
    const headers = new Map<string, string>([['host', endpoint.url.host]]);
    for (const name in request.headers) {
      const value = request.headers[name];
      if (value !== undefined) headers.set(name, sendable(name, value));
    }
    if (this.#options.requesterPays === true) headers.set('x-amz-request-payer', 'requester');
    if (this.#options.expectedBucketOwner !== undefined)
      headers.set('x-amz-expected-bucket-owner', this.#options.expectedBucketOwner);
    if (credentials !== undefined) this.#sign(endpoint, request, path, headers, credentials);
    headers.set('user-agent', 's3nfsd');
    if (method === 'PUT') headers.set('content-length', String(bodyLength(request.body ?? [])));
    let head = `${method} ${path}${query === '' ? '' : `?${query}`} HTTP/1.1\r\n`;
    for (const [name, value] of headers) head += `${name}: ${value}\r\n`;
    return `${head}\r\n`;
  }

  /** Encoded once for requests of one key that follow each other. */
  #path(url: URL, key: string): string {
    if (this.#pathed?.key !== key || this.#pathed.url !== url) {
      const root = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`;
      this.#pathed = { url, key, path: root + pathEncode(key) };
    }
    return this.#pathed.path;
  }

  #sign(
    endpoint: Endpoint,
    { method, query = '', body = [] }: DirectRequest,
    path: string,
    headers: Map<string, string>,
    credentials: SigningCredentials,
  ): void {
    const amzDate = this.#amzDate(Date.now() + this.#clockOffsetMs);
    const payloadHash = this.#options.signPayload ? sha256Of(body) : 'UNSIGNED-PAYLOAD';
    headers.set('x-amz-date', amzDate);
    headers.set('x-amz-content-sha256', payloadHash);
    if (credentials.sessionToken !== undefined)
      headers.set(
        endpoint.scheme === 'sigv4-s3express' ? 'x-amz-s3session-token' : 'x-amz-security-token',
        credentials.sessionToken,
      );
    const authorization = this.#signer.authorization(
      { method, path, query, headers, payloadHash },
      credentials,
      { region: endpoint.signingRegion, service: endpoint.signingName },
      amzDate,
    );
    headers.set('authorization', authorization);
  }

  /** It has seconds: put together once in each. */
  #amzDate(nowMs: number): string {
    const second = Math.floor(nowMs / 1000);
    if (this.#dated?.second !== second) this.#dated = { second, amzDate: amzDateOf(nowMs) };
    return this.#dated.amzDate;
  }

  #credentials(endpoint: Endpoint): Promise<SigningCredentials> {
    const refresh = this.#refreshCredentials;
    this.#refreshCredentials = false;
    const identity = this.#clients.client.config.credentials(refresh ? { forceRefresh: true } : undefined);
    return endpoint.scheme === 'sigv4-s3express' ? this.#sessionOf(identity) : identity;
  }

  async #sessionOf(identity: ReturnType<S3Clients['client']['config']['credentials']>): Promise<Session> {
    const { s3ExpressIdentityProvider } = this.#clients.client.config;
    const session = await s3ExpressIdentityProvider.getS3ExpressIdentity(await identity, {
      Bucket: this.#options.bucket,
    });
    this.#session = session;
    return session;
  }

  /** What to send the request to once more after this error; undefined when nothing can be learnt from it. */
  async #learn(
    request: DirectRequest,
    { head, temporary }: Answer,
    error: S3AnswerError,
    endpoint: Endpoint,
  ): Promise<Endpoint | undefined> {
    const { status } = head;
    const location = head.headers.get('location');
    const { bucketRegion } = error;
    const elsewhere = bucketRegion !== undefined && REGION.test(bucketRegion) ? bucketRegion : undefined;
    if (status === 307 && location !== undefined) {
      // A young bucket, whose name isn't known everywhere yet: for this request alone.
      const url = redirected(endpoint.url, location);
      return url && { ...endpoint, url, signingRegion: elsewhere ?? endpoint.signingRegion };
    }
    if (elsewhere !== undefined && elsewhere !== endpoint.signingRegion && [301, 400, 403].includes(status)) {
      this.#clients.region.correct(elsewhere);
      this.#endpoint = undefined;
      return this.#resolved();
    }
    const dateMs = Date.parse(head.headers.get('date') ?? '');
    const skewMs = dateMs - Date.now();
    // A HEAD's refusal carries no code.
    if (status === 403 && (error.name === SKEWED || error.name === 'Unknown') && !Number.isNaN(skewMs)) {
      if (Math.abs(skewMs - this.#clockOffsetMs) < SKEW_MS_MAX) return undefined;
      this.#clockOffsetMs = skewMs;
      return endpoint;
    }
    // A HEAD's refusal carries no code: where credentials end at some time, they may have ended.
    const mayHaveEnded = request.method === 'HEAD' && status === 400 && error.name === 'Unknown' && temporary;
    if (mayHaveEnded || SESSION_ENDED.includes(error.name)) {
      if (this.#session === undefined) this.#refreshCredentials = true;
      else this.#clients.sessions?.forget(this.#session);
    }
    // Requests has those with a code sent once more (error-map.ts).
    return mayHaveEnded ? endpoint : undefined;
  }

  #resolved(): Promise<Endpoint> {
    this.#endpoint ??= resolveEndpoint(this.#clients.client, this.#options).catch((error: unknown) => {
      this.#endpoint = undefined;
      throw error;
    });
    return this.#endpoint;
  }
}

/**
 * The same path at the host of a Location. Undefined where that has another scheme or may be somebody else's host: the request has secrets in it, and
 * would be signed for that host.
 */
function redirected(from: URL, location: string): URL | undefined {
  if (!URL.canParse(location)) return undefined;
  const { origin, protocol, hostname } = new URL(location);
  if (protocol !== from.protocol || !isNeighbour(from.hostname, hostname)) return undefined;
  const url = new URL(origin);
  url.pathname = from.pathname;
  return url;
}

/** Whether two hosts belong together: the same host, two of AWS in one partition, or two below one domain that isn't a top-level one. */
function isNeighbour(one: string, other: string): boolean {
  if (one === other) return true;
  const aws = AWS_HOST.exec(one)?.[0];
  if (aws !== undefined) return AWS_HOST.exec(other)?.[0] === aws;
  const domain = one.slice(one.indexOf('.') + 1);
  return isIP(one) === 0 && domain.includes('.') && other.endsWith(`.${domain}`);
}

function sha256Of(body: Body): string {
  const hash = createHash('sha256');
  for (const slice of body) hash.update(slice);
  return hash.digest('hex');
}

/** A value that can't end its line, nor its name be another. Fails on what an HTTP header can't carry. */
function sendable(name: string, value: string): string {
  if (!HEADER_NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a header`);
  if (/[^\t\x20-\x7e\x80-\xff]/.test(value))
    throw new TypeError(`a value for ${name} that no HTTP header can carry`);
  return value;
}
