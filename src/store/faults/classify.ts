/** What a request is about, as the embedded server would say: fault plans and counts name operations by it. */
import type { IncomingMessage } from 'node:http';
import { S3Error } from '../embedded/errors.js';
import { routeOf } from '../embedded/directory-routes.js';
import { headersOf } from '../embedded/request-headers.js';
import { parseTarget } from '../embedded/target.js';

export interface RequestFacts {
  /** S3's name of the operation; `Unknown` when the request is none that the embedded server knows. */
  readonly operation: string;
  readonly method: string;
  readonly bucket: string | undefined;
  readonly key: string | undefined;
}

/** Never fails: what can't be understood is `Unknown`. */
export function classify(
  request: Pick<IncomingMessage, 'method' | 'url' | 'headers' | 'rawHeaders'>,
): RequestFacts {
  const method = request.method ?? '';
  let about: { readonly bucket: string | undefined; readonly key: string | undefined } = {
    bucket: undefined,
    key: undefined,
  };
  try {
    const target = parseTarget(request.url ?? '', request.headers.host ?? '');
    about = { bucket: target.bucket, key: target.key };
    const { operation } = routeOf({
      method,
      ...about,
      query: new Map(target.query),
      headers: headersOf(request),
    });
    return { operation, method, ...about };
  } catch (error) {
    if (!(error instanceof S3Error)) throw error;
    return { operation: 'Unknown', method, ...about };
  }
}
