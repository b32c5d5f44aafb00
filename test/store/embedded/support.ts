/** An embedded server in a directory of its own, and clients for it. */
import { createHash, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import {
  startEmbeddedStore,
  type EmbeddedStore,
  type FinishedRequest,
} from '../../../src/store/embedded/server.js';

export const ACCESS_KEY = 'AKIDEXAMPLE';
export const SECRET_KEY = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY';
export const REGION = 'us-east-1';

/** What a test gives its resources back through. */
export interface Teardown {
  teardown(callback: () => Promise<void> | void): void;
}

export function temporaryDirectory(t: Teardown): string {
  const directory = mkdtempSync(join(tmpdir(), 's3nfsd-embedded-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function clientOf(t: Teardown, endpoint: string, config: Partial<S3ClientConfig> = {}): S3Client {
  const client = new S3Client({
    endpoint,
    region: REGION,
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: ACCESS_KEY, secretAccessKey: SECRET_KEY },
    ...config,
  });
  t.teardown(() => client.destroy());
  return client;
}

export async function startServer(
  directory: string,
  onRequest?: (request: FinishedRequest) => void,
): Promise<EmbeddedStore> {
  return startEmbeddedStore({
    directory,
    host: '127.0.0.1',
    port: 0,
    accessKeyId: ACCESS_KEY,
    secretAccessKey: SECRET_KEY,
    ...(onRequest === undefined ? {} : { onRequest }),
  });
}

export interface Fixture {
  readonly directory: string;
  readonly store: EmbeddedStore;
  readonly client: S3Client;
  readonly finished: FinishedRequest[];
}

export async function fixture(t: Teardown, config: Partial<S3ClientConfig> = {}): Promise<Fixture> {
  const directory = temporaryDirectory(t);
  const finished: FinishedRequest[] = [];
  const store = await startServer(directory, (request) => finished.push(request));
  // Torn down in reverse: the client goes first.
  t.teardown(() => store.close());
  return { directory, store, client: clientOf(t, store.endpoint, config), finished };
}

/** The code and status of the S3 error a call fails with. */
export async function failure(call: Promise<unknown>): Promise<{ code: string; status: number | undefined }> {
  try {
    await call;
  } catch (error) {
    const { name, $metadata } = error as { name: string; $metadata?: { httpStatusCode?: number } };
    return { code: name, status: $metadata?.httpStatusCode };
  }
  throw new Error('expected the call to fail');
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface RawRequest {
  readonly method: string;
  /** The raw request target. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
}

/** Sends a request exactly as given, signed or not. */
export async function sendRaw(store: Pick<EmbeddedStore, 'port'>, raw: RawRequest): Promise<RawAnswer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port: store.port, method: raw.method, path: raw.path, headers: raw.headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    request.on('error', reject);
    request.end(raw.body);
  });
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

function hmac(key: string | Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export interface Signed {
  readonly headers: Record<string, string>;
  readonly signature: string;
  readonly signingKey: Buffer;
  readonly scope: string;
  readonly timestamp: string;
}

/** Signs headers; parameters, if any, must be in canonical form: a signer written apart from the one under test. */
export function sign(
  store: Pick<EmbeddedStore, 'port'>,
  raw: RawRequest,
  options: { payload: string; secret?: string; accessKey?: string; region?: string; atMs?: number },
): Signed {
  const timestamp = new Date(options.atMs ?? Date.now()).toISOString().replace(/[-:]|\.\d{3}/g, '');
  const date = timestamp.slice(0, 8);
  const scope = `${date}/${options.region ?? REGION}/s3/aws4_request`;
  const headers: Record<string, string> = {
    ...raw.headers,
    host: `127.0.0.1:${store.port}`,
    'x-amz-content-sha256': options.payload,
    'x-amz-date': timestamp,
  };
  const names = Object.keys(headers).sort();
  const [path = '', query = ''] = raw.path.split('?');
  const canonical = [
    raw.method,
    path,
    query,
    ...names.map((name) => `${name}:${headers[name] ?? ''}`),
    '',
    names.join(';'),
    options.payload,
  ].join('\n');
  const signingKey = ['s3', 'aws4_request'].reduce(
    (key, part) => hmac(key, part),
    hmac(hmac(`AWS4${options.secret ?? SECRET_KEY}`, date), options.region ?? REGION),
  );
  const text = ['AWS4-HMAC-SHA256', timestamp, scope, sha256(canonical)].join('\n');
  const signature = hmac(signingKey, text).toString('hex');
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${options.accessKey ?? ACCESS_KEY}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { headers, signature, signingKey, scope, timestamp };
}

/** The Code of an error document. */
export function codeOf(answer: RawAnswer): string | undefined {
  return /<Code>([^<]*)<\/Code>/.exec(answer.body)?.[1];
}
