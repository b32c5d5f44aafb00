/**
 * The embedded S3 server: S3 on a directory, for tests and for a first try of the daemon. Correct before fast.
 *
 *     request -> faults -> target -> route -> signature -> operation -> answer
 *                            any of them fails: an S3Error, answered as XML
 *
 * Faults (../faults/) are those that a plan asks for; without one the request goes past them.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Readable } from 'node:stream';
import { Buckets } from './buckets.js';
import type { Logger } from '../../telemetry/log.js';
import type { AnswerStream } from '../faults/answer-stream.js';
import { answerFaultCall, isFaultCall } from '../faults/admin.js';
import { FaultLayer, type Exchange } from '../faults/layer.js';
import type { FaultPlan } from '../faults/plan.js';
import type { Answer, Call } from './call.js';
import { directorySigner } from './directory-access.js';
import { isDirectoryBucket } from './directory-buckets.js';
import { routeOf } from './directory-routes.js';
import { S3Error } from './errors.js';
import { answerMalformed, checkHeaderBytes, PARSED_HEADER_BYTES_MAX } from './malformed-requests.js';
import { headersOf } from './request-headers.js';
import { HOST_ID, sendAnswer, sendError } from './respond.js';
import { lockDirectory } from './directory-lock.js';
import { authorize, type Credentials } from './sigv4.js';
import { parseTarget } from './target.js';
import { TIME_LIMITS, Turns } from './turns.js';

/** A finished request, as `onRequest` is told of it. */
export interface FinishedRequest {
  /** S3's name of the operation; `Unknown` when the request was none. */
  readonly operation: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  readonly status: number;
  /** Bytes of the bodies, encodings included. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  /** The first value of each parameter. */
  readonly query: ReadonlyMap<string, string>;
}

export interface EmbeddedStoreOptions {
  /** Holds a directory a bucket. Made when it isn't there. */
  readonly directory: string;
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  /** `us-east-1` unless told otherwise; requests signed for another are refused, as S3 does. */
  readonly region?: string;
  readonly log?: Logger;
  /** Called when a request's head has come; `onRequest` tells of its end. */
  readonly onArrival?: () => void;
  readonly onRequest?: (request: FinishedRequest) => void;
  /** What is to go wrong from the start on. */
  readonly faultPlan?: FaultPlan | undefined;
}

export interface EmbeddedStore {
  /** `http://host:port`. */
  readonly endpoint: string;
  readonly port: number;
  /** Sets and tells what goes wrong, while the server runs. */
  readonly faults: Pick<FaultLayer, 'setPlan' | 'report'>;
  /** Finishes the requests under way, then ends. */
  close(): Promise<void>;
}

/** A socket on which nothing moves for this long is cut: completing a large upload may take minutes without a byte. */
const IDLE_MS_MAX = 10 * 60 * 1000;

/** Longer than clients keep idle connections, so that they are the ones to close. */
const KEEP_ALIVE_MS = 60_000;

/** The first value of each parameter. */
function firstValues(query: readonly (readonly [string, string])[]): ReadonlyMap<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of query) if (!values.has(name)) values.set(name, value);
  return values;
}

/** A request as an operation gets to see it. */
interface ReceivedRequest {
  readonly request: IncomingMessage;
  readonly body: Readable;
  /** To be called before the body is read. */
  readonly begin: () => void;
  /** The server's clock, milliseconds since the epoch. */
  readonly nowMs: number;
}

/** What is learned of a request while it runs. */
interface Progress {
  operation: string;
  bucket: string | undefined;
  key: string | undefined;
  bytesIn: number;
  query: ReadonlyMap<string, string>;
}

class S3Server {
  readonly #buckets: Buckets;
  readonly #credentials: Credentials;
  readonly #log: Logger | undefined;
  readonly #onArrival: (() => void) | undefined;
  readonly #onRequest: ((request: FinishedRequest) => void) | undefined;

  constructor(buckets: Buckets, credentials: Credentials, options: EmbeddedStoreOptions) {
    this.#buckets = buckets;
    this.#credentials = credentials;
    this.#log = options.log;
    this.#onArrival = options.onArrival;
    this.#onRequest = options.onRequest;
  }

  /** Answers one request, whatever becomes of it. */
  async serve({ request, body, answer: response, expectsContinue, skewMs }: Exchange): Promise<void> {
    const requestId = randomBytes(8).toString('hex').toUpperCase();
    const progress: Progress = {
      operation: 'Unknown',
      bucket: undefined,
      key: undefined,
      bytesIn: 0,
      query: new Map(),
    };
    const headers = headersOf(request);
    this.#onArrival?.();
    let bytesOut = 0;
    let awaitsContinue = expectsContinue;
    response.setHeader('x-amz-request-id', requestId);
    response.setHeader('x-amz-id-2', HOST_ID);
    response.setHeader('server', 's3nfsd');
    // A body that was never asked for may come or not: nothing after it could be told apart.
    const refuseWaitingBody = (): void => {
      if (awaitsContinue && !response.headersSent) response.setHeader('connection', 'close');
    };
    try {
      const begin = (): void => {
        if (awaitsContinue) response.writeContinue();
        awaitsContinue = false;
      };
      const answer = await this.#run({ request, body, begin, nowMs: Date.now() + skewMs }, progress);
      refuseWaitingBody();
      bytesOut = await sendAnswer(request, response, answer);
    } catch (error) {
      refuseWaitingBody();
      bytesOut = this.#fail(request, response, error, requestId);
    }
    const { operation, bucket, key, bytesIn, query } = progress;
    const status = response.statusCode;
    this.#log?.debug({ operation, bucket, key, status, bytesIn, bytesOut, requestId }, 'S3 request');
    this.#onRequest?.({ operation, bucket, key, status, bytesIn, bytesOut, headers, query });
  }

  async #run(received: ReceivedRequest, progress: Progress): Promise<Answer> {
    const { request, body, begin, nowMs } = received;
    checkHeaderBytes(request.rawHeaders);
    const headers = headersOf(request);
    const method = request.method ?? '';
    const target = parseTarget(request.url ?? '', headers.get('host') ?? '');
    const query = firstValues(target.query);
    const { bucket, key } = target;
    progress.bucket = bucket;
    progress.key = key;
    progress.query = query;
    const { operation, run } = routeOf({ method, bucket, key, query, headers });
    progress.operation = operation;
    const signer =
      isDirectoryBucket(bucket) || operation === 'ListDirectoryBuckets'
        ? directorySigner({ operation, bucket: bucket ?? '', headers, query }, this.#credentials, nowMs)
        : this.#credentials;
    const authorization = authorize({ method, target, headers }, signer, nowMs);
    const call: Call = {
      buckets: this.#buckets,
      account: this.#credentials,
      region: this.#credentials.region,
      bucketName: bucket ?? '',
      key: key ?? '',
      query,
      headers,
      payload: {
        stream: body,
        headers,
        authorization,
        begin,
        count: (bytes) => {
          progress.bytesIn += bytes;
        },
      },
    };
    return run(call);
  }

  /** Answers with the error, or cuts the connection when the answer has begun. The bytes sent. */
  #fail(request: IncomingMessage, response: AnswerStream, error: unknown, requestId: string): number {
    const expected = error instanceof S3Error;
    if (!expected) this.#log?.error({ err: error, url: request.url, requestId }, 'S3 request failed');
    if (response.headersSent) {
      response.destroy();
      return 0;
    }
    const answer = expected ? error : new S3Error('InternalError', undefined, {}, { cause: error });
    // Told to onRequest even where nobody is left to hear it.
    response.statusCode = answer.status;
    if (response.destroyed) return 0;
    return sendError(request, response, answer, requestId);
  }
}

/**
 * Starts the server. Fails with the system's error when the directory can't be read, is another server's,
 * or the port can't be had.
 * What an answer acknowledged is on disk.
 */
export async function startEmbeddedStore(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
  const lock = await lockDirectory(options.directory);
  const buckets = await Buckets.open(options.directory, options.log).catch(async (error: unknown) => {
    await lock.release();
    throw error;
  });
  const { accessKeyId, secretAccessKey, region = 'us-east-1' } = options;
  const credentials: Credentials = { accessKeyId, secretAccessKey, region };
  const s3 = new S3Server(buckets, credentials, options);
  const faults = new FaultLayer({ plan: options.faultPlan, log: options.log });
  const running = new Set<Promise<void>>();
  const carryOut = (exchange: Exchange): Promise<void> => s3.serve(exchange);
  const turns = new Turns();
  const serve = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
    const serving = turns
      .take(request, response, () =>
        isFaultCall(request)
          ? answerFaultCall(request, response, expectsContinue, { faults, credentials, log: options.log })
          : faults.handle(request, response, expectsContinue, carryOut),
      )
      .finally(() => running.delete(serving));
    running.add(serving);
  };
  const limits = {
    ...TIME_LIMITS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: PARSED_HEADER_BYTES_MAX,
  };
  const http = createServer(limits, (request, response) => serve(request, response, false));
  answerMalformed(http);
  http.on('checkContinue', (request: IncomingMessage, response: ServerResponse) =>
    serve(request, response, true),
  );
  http.setTimeout(IDLE_MS_MAX);
  try {
    await new Promise<void>((resolve, reject) => {
      http.once('error', reject);
      http.listen(options.port, options.host, () => {
        http.off('error', reject);
        resolve();
      });
    });
  } catch (error) {
    await buckets.close();
    await lock.release();
    throw error;
  }
  const { port } = http.address() as AddressInfo;
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return {
    endpoint: `http://${host}:${port}`,
    port,
    faults,
    async close() {
      const closed = new Promise<void>((resolve) => {
        http.close(() => resolve());
      });
      http.closeIdleConnections();
      faults.hurry();
      await Promise.all(running);
      http.closeAllConnections();
      await closed;
      await buckets.close();
      await lock.release();
    },
  };
}
