/**
 * The SDK clients of one store, set up to spend little CPU: no retries of their own (requests.ts makes them), no checksums
 * but ours, UNSIGNED-PAYLOAD, no `Expect: 100-continue`. Two clients share their sockets and differ in the silence they
 * stand: CopyObject, UploadPartCopy and CompleteMultipartUpload may work for minutes before they answer.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Logger } from '../../telemetry/log.js';
import { isDirectoryBucket } from './directory-bucket.js';
import { fixEndpoint } from './directory-endpoint.js';
import type { SdkHeaders } from './headers.js';
import type { ResolvedOptions } from './options.js';
import { Region } from './region.js';
import { Sessions } from './sessions.js';
import { signing } from './signing.js';

export interface S3Clients {
  readonly client: S3Client;
  readonly slowClient: S3Client;
  readonly region: Region;
  /** Of a directory bucket. */
  readonly sessions: Sessions | undefined;
  /** The server's Date header of an output, ms since the epoch. */
  readonly dateOf: (output: object) => number | undefined;
  destroy(): void;
}

/** `attempts` above 1 lets the SDK retry by itself: for callers that don't go through requests.ts. */
export function createClients(options: ResolvedOptions, attempts = 1): S3Clients {
  const sockets = { keepAlive: true, maxSockets: options.maxRequests };
  const ca = options.certificateAuthorities;
  const httpAgent = new HttpAgent(sockets);
  const httpsAgent = new HttpsAgent({ ...sockets, ...(ca === undefined ? {} : { ca }) });
  const handlerOf = (idleMs: number): NonNullable<S3ClientConfig['requestHandler']> => ({
    httpAgent,
    httpsAgent,
    connectionTimeout: options.timeouts.connectMs,
    socketTimeout: idleMs,
  });
  const region = new Region(options, handlerOf(options.timeouts.idleMs));
  const common: S3ClientConfig = {
    ...commonConfig(options, () => region.get()),
    maxAttempts: attempts,
  };
  const dates = new WeakMap<object, number>();
  const dateOf = (output: object): number | undefined => dates.get(output);
  // Both clients share the sessions of a directory bucket, which the first one makes.
  const sessions = isDirectoryBucket(options.bucket)
    ? new Sessions((): S3Client => client, dateOf, options.log)
    : undefined;
  const express = sessions === undefined ? {} : sessions.config;
  const client: S3Client = new S3Client({
    ...common,
    ...express,
    requestHandler: handlerOf(options.timeouts.idleMs),
  });
  const slowClient = new S3Client({
    ...common,
    ...express,
    credentials: client.config.credentials,
    requestHandler: handlerOf(options.timeouts.slowCallMs),
  });
  for (const each of [client, slowClient]) {
    addHeaders(each, options);
    recordDates(each, dates);
    if (sessions === undefined) continue;
    fixEndpoint(each, options);
    sessions.watch(each);
  }
  return {
    client,
    slowClient,
    region,
    sessions,
    dateOf,
    destroy: () => {
      client.destroy();
      slowClient.destroy();
      httpAgent.destroy();
      httpsAgent.destroy();
    },
  };
}

function commonConfig(options: ResolvedOptions, region: () => Promise<string>): S3ClientConfig {
  return {
    region,
    forcePathStyle: options.forcePathStyle,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    logger: sdkLogger(options.log),
    ...(options.endpointUrl === undefined
      ? { followRegionRedirects: true }
      : { endpoint: options.endpointUrl }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
    ...(options.useDualstackEndpoint === undefined
      ? {}
      : { useDualstackEndpoint: options.useDualstackEndpoint }),
    ...signing(options),
  };
}

/** What every request of the store carries. A hash that is in the headers already is what the signer takes for the body's. */
function addHeaders(client: S3Client, options: ResolvedOptions): void {
  const headers: Record<string, string> = {};
  if (!options.signPayload) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
  if (options.requesterPays === true) headers['x-amz-request-payer'] = 'requester';
  if (options.expectedBucketOwner !== undefined)
    headers['x-amz-expected-bucket-owner'] = options.expectedBucketOwner;
  client.middlewareStack.add(
    (next) => async (args) => {
      const { request } = args as { request: { headers: Record<string, string> } };
      Object.assign(request.headers, headers);
      const { ExpiresAsIs } = args.input as Partial<SdkHeaders>;
      if (ExpiresAsIs !== undefined) request.headers['expires'] = ExpiresAsIs;
      return next(args);
    },
    { step: 'build', name: 'storeHeaders' },
  );
}

/** The SDK's outputs don't tell the Date header, by which LastModified is judged. */
function recordDates(client: S3Client, dates: WeakMap<object, number>): void {
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      const { headers } = result.response as { headers?: Record<string, string> };
      const dateMs = Date.parse(headers?.['date'] ?? '');
      if (result.output !== undefined && !Number.isNaN(dateMs)) dates.set(result.output, dateMs);
      return result;
    },
    { step: 'deserialize', name: 'storeDates', priority: 'high' },
  );
}

function sdkLogger(log: Logger): NonNullable<S3ClientConfig['logger']> {
  // The SDK's trace to info lines dump inputs and outputs of every call.
  const quiet = (): void => undefined;
  const debug = (...content: unknown[]): void =>
    log.debug({ sdk: content.map(String) }, 'message of the SDK');
  return { trace: quiet, debug: quiet, info: quiet, warn: debug, error: debug };
}
