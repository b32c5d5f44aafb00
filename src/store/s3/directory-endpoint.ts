/**
 * The SDK's addresses of directory buckets at an endpoint of one's own, put right. Its rules have virtual-host style for names (whatever
 * `forcePathStyle` says), which few machines resolve for `localhost`, and for IP addresses a base path `/bucket/` that makes `//` of
 * every key's slash.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import type { ResolvedOptions } from './options.js';

export interface Address {
  readonly hostname: string;
  /** As it is sent: encoded. */
  readonly path: string;
}

/** Rewrites each request before its Host header is made and it is signed. */
export function fixEndpoint(client: S3Client, options: ResolvedOptions): void {
  const { bucket, endpointUrl, forcePathStyle } = options;
  if (endpointUrl === undefined) return;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const { endpointV2 } = context as { readonly endpointV2?: { readonly url: URL } };
      const { request } = args as { request: Address };
      if (endpointV2 !== undefined)
        Object.assign(request, fixedAddress(request, endpointV2.url, bucket, forcePathStyle));
      return next(args);
    },
    { step: 'build', name: 'directoryEndpoint', priority: 'high' },
  );
}

/** `resolved` is the SDK's endpoint, which the address begins with. */
export function fixedAddress(
  { hostname, path }: Address,
  resolved: URL,
  bucket: string,
  forcePathStyle: boolean,
): Address {
  if (forcePathStyle && hostname.startsWith(`${bucket}.`)) {
    const base = resolved.pathname.replace(/\/$/, '');
    return {
      hostname: hostname.slice(bucket.length + 1),
      path: `${base}/${bucket}${path.slice(base.length)}`,
    };
  }
  const base = resolved.pathname;
  const doubled = base.endsWith(`/${bucket}/`) && path.startsWith(`${base}/`);
  return { hostname, path: doubled ? base + path.slice(base.length + 1) : path };
}
