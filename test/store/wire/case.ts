/** The language in which the wire cases are written: requests, and what an S3 server answers to each, as data. */

/**
 * One request and its answer. Strings may name what was kept before: `{e}` is the value kept as `e`, `{prefix}` what the keys of
 * the case begin with, `{bucket}` the bucket's name, and in headers `{body-md5}` the MD5 of the body.
 */
export interface Step {
  /** The method, then the key below the case's prefix; `GET ?` is about the bucket. */
  readonly send: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text, or that many bytes of zeros. */
  readonly body?: string | number;
  /** What of the answer is looked at, beside status and error code: `body`, a header, or `<a/b>`: the texts of XML elements; with `?`, whether it is there. */
  readonly show?: readonly string[];
  /** What of the answer is kept, by name. */
  readonly keep?: Readonly<Record<string, string>>;
  /** Status, error code, and what `show` asks for: as AWS documents it, and as both servers must answer it. */
  readonly answer: string;
}

export interface WireCase {
  /** Unique: differences are told by it and the number of the step. */
  readonly name: string;
  readonly steps: readonly Step[];
}

/** Puts an object and keeps its ETag. */
export function put(key: string, body: string | number, etag = 'e', more: Partial<Step> = {}): Step {
  return { send: `PUT ${key}`, body, keep: { [etag]: 'etag' }, answer: '200', ...more };
}

/** Begins an upload and keeps its id as `u`. */
export function begin(key: string, more: Partial<Step> = {}): Step {
  return {
    send: `POST ${key}`,
    query: { uploads: '' },
    keep: { u: '<InitiateMultipartUploadResult/UploadId>' },
    answer: '200',
    ...more,
  };
}

/** Uploads a part and keeps its ETag as `pN`. */
export function part(key: string, number: number, body: string | number, more: Partial<Step> = {}): Step {
  return {
    send: `PUT ${key}`,
    query: { uploadId: '{u}', partNumber: String(number) },
    body,
    keep: { [`p${String(number)}`]: 'etag' },
    answer: '200',
    ...more,
  };
}

/** Completes the upload `u` with the parts as `number: ETag`. */
export function complete(
  key: string,
  parts: readonly (readonly [number: number, etag: string])[],
  more: Partial<Step> & { readonly answer: string },
): Step {
  const list = parts.map(
    ([number, etag]) => `<Part><PartNumber>${String(number)}</PartNumber><ETag>${etag}</ETag></Part>`,
  );
  return {
    send: `POST ${key}`,
    query: { uploadId: '{u}' },
    body: `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list.join('')}</CompleteMultipartUpload>`,
    ...more,
  };
}

export const MIB = 1024 ** 2;
