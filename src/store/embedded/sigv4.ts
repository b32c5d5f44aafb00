/** AWS Signature Version 4 for S3, the verifying side: the Authorization header and presigned URLs. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { invalidArgument, S3Error } from './errors.js';
import { uriEncode, type Target } from './target.js';

const ALGORITHM = 'AWS4-HMAC-SHA256';

/** S3's tolerance of clocks. */
const SKEW_MS_MAX = 15 * 60 * 1000;

/** Longest life of a presigned URL: a week. */
const EXPIRES_SECONDS_MAX = 604_800;

export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly region: string;
  /** `s3` unless told otherwise; directory buckets have `s3express`. */
  readonly service?: 's3' | 's3express';
}

/** What a verified request leaves behind: how its body is signed, and what chunk signatures go on from. */
export interface Authorization {
  /** `x-amz-content-sha256`: a digest in hex, UNSIGNED-PAYLOAD, or one of the STREAMING- modes. */
  readonly payload: string;
  readonly signature: string;
  readonly signingKey: Buffer;
  /** `20150830T123600Z`. */
  readonly timestamp: string;
  /** `20150830/us-east-1/s3/aws4_request`. */
  readonly scope: string;
}

/** What is signed of a request. Header names are lower case, values joined by commas. */
export interface SignedRequest {
  readonly method: string;
  readonly target: Target;
  readonly headers: ReadonlyMap<string, string>;
}

export function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

export function sha256Hex(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function signingKey(secret: string, date: string, region: string, service = 's3'): Buffer {
  return hmac(hmac(hmac(hmac(`AWS4${secret}`, date), region), service), 'aws4_request');
}

/** Compares two signatures in hex in constant time. */
export function sameSignature(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

interface Claim {
  readonly credential: string;
  readonly signedHeaders: string;
  readonly signature: string;
  readonly timestamp: string;
  readonly payload: string;
  readonly presigned: boolean;
}

/** Milliseconds since the epoch of `20150830T123600Z`; NaN for anything else. */
function parseTimestamp(text: string): number {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(text);
  if (parts === null) return NaN;
  return Date.parse(`${parts[1]}-${parts[2]}-${parts[3]}T${parts[4]}:${parts[5]}:${parts[6]}Z`);
}

/** `x-amz-date`, or `Date` in its form. */
function timestampOf(headers: ReadonlyMap<string, string>): string {
  const given = headers.get('x-amz-date');
  if (given !== undefined) return given;
  const date = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(date))
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  return new Date(date).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

function claimOfHeader(header: string, headers: ReadonlyMap<string, string>): Claim {
  if (!header.startsWith(`${ALGORITHM} `)) {
    throw new S3Error(
      'InvalidRequest',
      'The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.',
    );
  }
  const fields = new Map(
    header
      .slice(ALGORITHM.length + 1)
      .split(',')
      .map((field): [string, string] => {
        const at = field.indexOf('=');
        return [field.slice(0, Math.max(at, 0)).trim(), field.slice(at + 1).trim()];
      }),
  );
  const credential = fields.get('Credential');
  const signedHeaders = fields.get('SignedHeaders');
  const signature = fields.get('Signature');
  if (credential === undefined || signedHeaders === undefined || signature === undefined) {
    throw new S3Error('AuthorizationHeaderMalformed');
  }
  const payload = headers.get('x-amz-content-sha256');
  if (payload === undefined) {
    throw new S3Error('InvalidRequest', 'Missing required header for this request: x-amz-content-sha256');
  }
  return { credential, signedHeaders, signature, timestamp: timestampOf(headers), payload, presigned: false };
}

function claimOfQuery(query: ReadonlyMap<string, string>, nowMs: number): Claim {
  const field = (name: string): string => {
    const value = query.get(name);
    if (value === undefined) {
      throw new S3Error(
        'AuthorizationQueryParametersError',
        'Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.',
      );
    }
    return value;
  };
  if (field('X-Amz-Algorithm') !== ALGORITHM) {
    throw new S3Error('AuthorizationQueryParametersError', `X-Amz-Algorithm only supports "${ALGORITHM}"`);
  }
  const claim: Claim = {
    credential: field('X-Amz-Credential'),
    signedHeaders: field('X-Amz-SignedHeaders'),
    signature: field('X-Amz-Signature'),
    timestamp: field('X-Amz-Date'),
    payload: query.get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD',
    presigned: true,
  };
  const expires = field('X-Amz-Expires');
  const seconds = Number(expires);
  if (!/^\d+$/.test(expires) || seconds < 1 || seconds > EXPIRES_SECONDS_MAX) {
    throw new S3Error(
      'AuthorizationQueryParametersError',
      'X-Amz-Expires must be between 1 and 604800 seconds',
    );
  }
  const since = nowMs - parseTimestamp(claim.timestamp);
  if (Number.isNaN(since)) {
    throw new S3Error(
      'AuthorizationQueryParametersError',
      "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"",
    );
  }
  if (since < -SKEW_MS_MAX) throw new S3Error('AccessDenied', 'Request is not yet valid');
  if (since > seconds * 1000) throw new S3Error('AccessDenied', 'Request has expired');
  return claim;
}

function canonicalQuery(target: Target): string {
  return target.query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => `${uriEncode(name, false)}=${uriEncode(value, false)}`)
    .sort((a, b) => {
      const [left, right] = [a.replace('=', '\0'), b.replace('=', '\0')];
      return left < right ? -1 : left > right ? 1 : 0;
    })
    .join('&');
}

function canonicalRequest(request: SignedRequest, names: readonly string[], payload: string): string {
  const headers = names.map((name) => {
    const value = request.headers.get(name);
    return `${name}:${(value ?? '').trim().replace(/ +/g, ' ')}\n`;
  });
  return [
    request.method,
    uriEncode(request.target.path, true),
    canonicalQuery(request.target),
    headers.join(''),
    names.join(';'),
    payload,
  ].join('\n');
}

/** The access key and scope of a credential, checked against ours. Fails with the code S3 has for each part. */
function checkCredential(claim: Claim, ours: Credentials): { readonly date: string; readonly scope: string } {
  const malformed = (message: string, details = {}): S3Error =>
    new S3Error(
      claim.presigned ? 'AuthorizationQueryParametersError' : 'AuthorizationHeaderMalformed',
      message,
      details,
    );
  const parts = claim.credential.split('/');
  const [terminal, service, region, date] = parts.slice(-4).reverse();
  const accessKeyId = parts.slice(0, -4).join('/');
  const wanted = ours.service ?? 's3';
  if (parts.length < 5 || terminal !== 'aws4_request' || service !== wanted || date === undefined) {
    throw malformed(
      `The credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/${wanted}/aws4_request".`,
    );
  }
  if (accessKeyId !== ours.accessKeyId) {
    throw new S3Error('InvalidAccessKeyId', undefined, { AWSAccessKeyId: accessKeyId });
  }
  if (region !== ours.region) {
    throw malformed(
      `The credential is mal-formed; the region '${region}' is wrong; expecting '${ours.region}'`,
      {
        Region: ours.region,
      },
    );
  }
  if (!/^\d{8}$/.test(date) || !claim.timestamp.startsWith(date)) {
    throw malformed(`Invalid credential date "${date}". This date is not the same as X-Amz-Date.`);
  }
  return { date, scope: `${date}/${region}/${wanted}/aws4_request` };
}

/** S3 demands that the host and every x-amz- header be signed. */
function checkSignedHeaders(request: SignedRequest, names: readonly string[]): void {
  const unsigned = [...request.headers.keys()].filter(
    (name) => (name === 'host' || name.startsWith('x-amz-')) && !names.includes(name),
  );
  if (unsigned.length > 0) {
    throw new S3Error('AccessDenied', 'There were headers present in the request which were not signed', {
      HeadersNotSigned: unsigned.join(', '),
    });
  }
}

/** Verifies a request's signature, at `nowMs` since the epoch. Fails with S3's errors; anonymous requests with AccessDenied. */
export function authorize(request: SignedRequest, ours: Credentials, nowMs = Date.now()): Authorization {
  const query = new Map(request.target.query);
  const header = request.headers.get('authorization');
  const presigned = query.has('X-Amz-Signature') || query.has('X-Amz-Algorithm');
  if (header !== undefined && presigned) {
    throw invalidArgument(
      'Authorization',
      header,
      'Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified',
    );
  }
  let claim: Claim;
  if (header !== undefined) claim = claimOfHeader(header, request.headers);
  else if (presigned) claim = claimOfQuery(query, nowMs);
  else throw new S3Error('AccessDenied');

  const signedMs = parseTimestamp(claim.timestamp);
  if (Number.isNaN(signedMs)) {
    throw new S3Error('AccessDenied', 'AWS authentication requires a valid Date or x-amz-date header');
  }
  const { date, scope } = checkCredential(claim, ours);
  if (!claim.presigned && Math.abs(nowMs - signedMs) > SKEW_MS_MAX) {
    throw new S3Error('RequestTimeTooSkewed', undefined, {
      RequestTime: claim.timestamp,
      ServerTime: new Date(nowMs).toISOString(),
      MaxAllowedSkewMilliseconds: String(SKEW_MS_MAX),
    });
  }
  const names = claim.signedHeaders.split(';');
  checkSignedHeaders(request, names);
  const canonical = canonicalRequest(request, names, claim.payload);
  const stringToSign = [ALGORITHM, claim.timestamp, scope, sha256Hex(canonical)].join('\n');
  const key = signingKey(ours.secretAccessKey, date, ours.region, ours.service);
  if (!sameSignature(hmac(key, stringToSign).toString('hex'), claim.signature)) {
    throw new S3Error('SignatureDoesNotMatch', undefined, {
      AWSAccessKeyId: ours.accessKeyId,
      StringToSign: stringToSign,
      SignatureProvided: claim.signature,
      CanonicalRequest: canonical,
    });
  }
  return {
    payload: claim.payload,
    signature: claim.signature,
    signingKey: key,
    timestamp: claim.timestamp,
    scope,
  };
}
