/** What a request is about: bucket, key and query of its URL, taken from the raw target so that nothing is normalised away. */
import { isDirectoryBucket } from './directory-buckets.js';
import { S3Error } from './errors.js';

/** S3's limit on keys, in bytes of UTF-8. */
const KEY_BYTES_MAX = 1024;

export interface Target {
  readonly bucket: string | undefined;
  readonly key: string | undefined;
  /** Decoded, in the order sent. */
  readonly query: readonly (readonly [name: string, value: string])[];
  /** The decoded path, as signed: with the bucket only when the path has it. */
  readonly path: string;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    throw new S3Error('InvalidURI', undefined, {}, { cause: error });
  }
}

function parseQuery(text: string): [string, string][] {
  return text
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => {
      const at = pair.indexOf('=');
      const name = at < 0 ? pair : pair.slice(0, at);
      const value = at < 0 ? '' : pair.slice(at + 1);
      return [decode(name.replaceAll('+', ' ')), decode(value.replaceAll('+', ' '))];
    });
}

/** The bucket of `bucket.localhost[:port]`, the virtual-host style of a server without a name. */
function bucketOfHost(host: string): string | undefined {
  return /^(.+)\.localhost(?::\d+)?$/i.exec(host)?.[1]?.toLowerCase();
}

/** Takes the request target apart. Fails with InvalidURI or KeyTooLongError. */
export function parseTarget(url: string, host: string): Target {
  const mark = url.indexOf('?');
  const rawPath = mark < 0 ? url : url.slice(0, mark);
  if (!rawPath.startsWith('/')) throw new S3Error('InvalidURI');
  const path = decode(rawPath);
  const query = parseQuery(mark < 0 ? '' : url.slice(mark + 1));
  const hosted = bucketOfHost(host);
  const rest = path.slice(1);
  const slash = hosted === undefined ? rest.indexOf('/') : -1;
  const bucket = hosted ?? (slash < 0 ? rest : rest.slice(0, slash));
  let key = hosted === undefined ? (slash < 0 ? '' : rest.slice(slash + 1)) : rest;
  // AWS has no path style of directory buckets; the endpoint rules of its SDKs write `/bucket//key` where an endpoint is an IP address.
  if (hosted === undefined && key.startsWith('/') && isDirectoryBucket(bucket)) key = key.slice(1);
  if (Buffer.byteLength(key) > KEY_BYTES_MAX) {
    throw new S3Error('KeyTooLongError', undefined, {
      Size: String(Buffer.byteLength(key)),
      MaxSizeAllowed: String(KEY_BYTES_MAX),
    });
  }
  return { bucket: bucket === '' ? undefined : bucket, key: key === '' ? undefined : key, query, path };
}

/** RFC 3986 percent-encoding as SigV4 and `encoding-type=url` have it; `/` stays when `keepSlash`. */
export function uriEncode(text: string, keepSlash: boolean): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  return keepSlash ? encoded.replaceAll('%2F', '/') : encoded;
}

/**
 * Names in answers to `encoding-type=url`: as forms have them, a space as `+`. The reference doesn't say which; AWS was seen
 * to answer so, and clients decode so.
 */
export function formEncode(name: string): string {
  return uriEncode(name, true).replaceAll('%20', '+');
}
