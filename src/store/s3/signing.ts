/** Who signs: credentials given, the SDK's chain, or nobody (public buckets). */
import type { S3ClientConfig } from '@aws-sdk/client-s3';
import type { ResolvedOptions } from './options.js';

export function signing(options: ResolvedOptions): Pick<S3ClientConfig, 'credentials' | 'signer'> {
  if (options.noSignRequest)
    return {
      credentials: { accessKeyId: '', secretAccessKey: '' },
      signer: { sign: async (request) => request },
    };
  return options.credentials === undefined ? {} : { credentials: options.credentials };
}
