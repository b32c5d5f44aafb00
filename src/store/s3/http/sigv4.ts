/**
 * AWS Signature Version 4 in the Authorization header, for S3 (path encoded once, never normalised). The signing key of a day,
 * region and service is derived once: four HMACs of five.
 */
import { createHmac, hash } from 'node:crypto';
import { OneShotHmac } from './one-shot-hmac.js';

export interface SigningCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SigningScope {
  readonly region: string;
  /** `s3`, or `s3express`. */
  readonly service: string;
}

export interface UnsignedRequest {
  readonly method: string;
  /** Encoded. */
  readonly path: string;
  /** Encoded and in the order of the names' bytes, without the question mark. */
  readonly query: string;
  /** By lower-case name, `host` among them: all are signed. */
  readonly headers: ReadonlyMap<string, string>;
  /** Hex SHA-256 of the body, or `UNSIGNED-PAYLOAD`. */
  readonly payloadHash: string;
}

const ALGORITHM = 'AWS4-HMAC-SHA256';

export class SigV4 {
  /** One key: credentials and days change rarely, and old ones aren't needed again. */
  #cached: { readonly id: string; readonly secret: string; readonly key: OneShotHmac } | undefined;

  /** The value of `Authorization`. `amzDate` is the request's `x-amz-date`, which is among the headers. */
  authorization(
    request: UnsignedRequest,
    credentials: SigningCredentials,
    scope: SigningScope,
    amzDate: string,
  ): string {
    const day = amzDate.slice(0, 8);
    const credentialScope = `${day}/${scope.region}/${scope.service}/aws4_request`;
    let lines = '';
    let signedHeaders = '';
    for (const name of inOrder(request.headers.keys())) {
      lines += `${name}:${canonicalValue(request.headers.get(name) ?? '')}\n`;
      signedHeaders += signedHeaders === '' ? name : `;${name}`;
    }
    const canonical = `${request.method}\n${request.path}\n${request.query}\n${lines}\n${signedHeaders}\n${request.payloadHash}`;
    const canonicalHash = hash('sha256', Buffer.from(canonical, 'latin1'), 'hex');
    const toSign = `${ALGORITHM}\n${amzDate}\n${credentialScope}\n${canonicalHash}`;
    const signature = this.#key(credentials, credentialScope, day, scope).hexOf(toSign);
    return `${ALGORITHM} Credential=${credentials.accessKeyId}/${credentialScope}, SignedHeaders=${signedHeaders}, Signature=${signature}`;
  }

  #key(credentials: SigningCredentials, id: string, day: string, scope: SigningScope): OneShotHmac {
    const secret = credentials.secretAccessKey;
    if (this.#cached?.id === id && this.#cached.secret === secret) return this.#cached.key;
    let key: Buffer = Buffer.from(`AWS4${secret}`);
    for (const part of [day, scope.region, scope.service, 'aws4_request'])
      key = createHmac('sha256', key).update(part).digest();
    const signing = new OneShotHmac(key);
    this.#cached = { id, secret, key: signing };
    return signing;
  }
}

/** `20261121T043000Z`. */
export function amzDateOf(ms: number): string {
  return new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, '');
}

/** RFC 3986 as AWS wants it: all but the unreserved characters, in UTF-8. */
export function uriEncode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** A key as a path: its slashes stay. */
export function pathEncode(key: string): string {
  return key.split('/').map(uriEncode).join('/');
}

/** Parameters as the signature wants them: encoded, by the names' bytes. */
export function queryOf(parameters: Readonly<Record<string, string | undefined>>): string {
  return Object.entries(parameters)
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([name, value]) => [uriEncode(name), uriEncode(value)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
}

/** A few names that are nearly in order: sorting them in place makes nothing. */
function inOrder(names: Iterable<string>): string[] {
  const sorted: string[] = [];
  for (const name of names) {
    let at = sorted.length;
    for (let before = sorted[at - 1]; before !== undefined && before > name; before = sorted[at - 1])
      sorted[at--] = before;
    sorted[at] = name;
  }
  return sorted;
}

function canonicalValue(value: string): string {
  const trimmed = value.trim();
  return trimmed.includes('  ') ? trimmed.replace(/ +/g, ' ') : trimmed;
}
