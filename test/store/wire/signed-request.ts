/** S3 requests as they are on the wire: written and signed here (Signature Version 4), by no client library. */
import { createHash, createHmac } from 'node:crypto';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';

export interface Endpoint {
  /** `http://host:port`. */
  readonly url: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

export interface WireRequest {
  readonly method: string;
  readonly bucket: string;
  /** Not encoded; '' for the bucket itself. */
  readonly key: string;
  readonly query: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface WireAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const REGION = 'us-east-1';

/** Percent-encodes all but RFC 3986's unreserved characters, as the signature wants it. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

function sign(
  { accessKeyId, secretAccessKey, url }: Endpoint,
  { method, headers, body }: WireRequest,
  path: string,
  query: string,
): Record<string, string> {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${timestamp.slice(0, 8)}/${REGION}/s3/aws4_request`;
  const signed: Record<string, string> = {
    'x-amz-content-sha256': sha256(body),
    ...headers,
    host: new URL(url).host,
    'x-amz-date': timestamp,
  };
  const names = Object.keys(signed).sort();
  const canonical = [
    method,
    path,
    query,
    ...names.map((name) => `${name}:${(signed[name] ?? '').trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    signed['x-amz-content-sha256'],
  ].join('\n');
  const text = ['AWS4-HMAC-SHA256', timestamp, scope, sha256(canonical)].join('\n');
  const key = [REGION, 's3', 'aws4_request'].reduce<Buffer>(
    hmac,
    hmac(`AWS4${secretAccessKey}`, timestamp.slice(0, 8)),
  );
  const signature = hmac(key, text).toString('hex');
  signed['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return signed;
}

/** Sends it once, on a connection of its own. */
export async function sendSigned(endpoint: Endpoint, request: WireRequest): Promise<WireAnswer> {
  const path = `/${[request.bucket, ...(request.key === '' ? [] : request.key.split('/'))].map(encode).join('/')}`;
  const query = Object.entries(request.query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
  const headers = {
    ...sign(endpoint, request, path, query),
    'content-length': String(request.body.length),
  };
  const target = query === '' ? path : `${path}?${query}`;
  return await new Promise((resolve, reject) => {
    const outgoing = httpRequest(
      endpoint.url,
      { method: request.method, path: target, headers, agent: false },
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
    outgoing.on('error', reject);
    outgoing.end(request.body);
  });
}
