/**
 * Object headers to and from the SDK. User metadata travels in HTTP headers, so it is ASCII; S3 shows other characters as RFC
 * 2047 encoded words (user guide, "User-defined object metadata"), and so does this module write them.
 */
import type { StorageClass } from '@aws-sdk/client-s3';
import type { Encryption, ObjectHeaders } from '../object-store.js';

/** What PutObject, CopyObject and CreateMultipartUpload take. */
export interface SdkHeaders {
  Metadata: Record<string, string>;
  ContentType?: string;
  ContentEncoding?: string;
  ContentLanguage?: string;
  ContentDisposition?: string;
  CacheControl?: string;
  StorageClass?: StorageClass;
  /** The SDK takes a Date for Expires; S3 keeps any text, and so does a rewrite (client.ts). */
  ExpiresAsIs?: string;
  WebsiteRedirectLocation?: string;
  ServerSideEncryption?: Encryption['algorithm'];
  SSEKMSKeyId?: string;
  BucketKeyEnabled?: boolean;
}

export function toSdkHeaders(headers: ObjectHeaders): SdkHeaders {
  const sdk: SdkHeaders = { Metadata: {} };
  for (const [name, value] of Object.entries(headers.metadata))
    sdk.Metadata[name.toLowerCase()] = encodeMetadata(value);
  if (headers.contentType !== undefined) sdk.ContentType = headers.contentType;
  if (headers.contentEncoding !== undefined) sdk.ContentEncoding = headers.contentEncoding;
  if (headers.contentLanguage !== undefined) sdk.ContentLanguage = headers.contentLanguage;
  if (headers.contentDisposition !== undefined) sdk.ContentDisposition = headers.contentDisposition;
  if (headers.cacheControl !== undefined) sdk.CacheControl = headers.cacheControl;
  if (headers.storageClass !== undefined) sdk.StorageClass = headers.storageClass as StorageClass;
  if (headers.expires !== undefined) sdk.ExpiresAsIs = headers.expires;
  if (headers.websiteRedirect !== undefined) sdk.WebsiteRedirectLocation = headers.websiteRedirect;
  if (headers.encryption !== undefined) {
    const { algorithm, keyId, bucketKey } = headers.encryption;
    sdk.ServerSideEncryption = algorithm;
    if (keyId !== undefined) sdk.SSEKMSKeyId = keyId;
    if (bucketKey === true) sdk.BucketKeyEnabled = true;
  }
  return sdk;
}

type Answered = {
  readonly [name in Exclude<keyof SdkHeaders, 'Metadata' | 'BucketKeyEnabled' | 'ExpiresAsIs'>]?:
    string | undefined;
} & {
  readonly Metadata?: Record<string, string> | undefined;
  readonly BucketKeyEnabled?: boolean | undefined;
  readonly ExpiresString?: string | undefined;
  readonly TagCount?: number | undefined;
};

/** Of the answer's headers: nothing where the bucket's default may as well decide. */
export function encryptionOf(
  algorithm: string | undefined,
  keyId: string | undefined,
  bucketKey: boolean,
): Pick<ObjectHeaders, 'encryption'> {
  if (algorithm !== 'aws:kms' && algorithm !== 'aws:kms:dsse') return {};
  return {
    encryption: { algorithm, ...(keyId !== undefined && { keyId }), ...(bucketKey && { bucketKey }) },
  };
}

export function tagCountOf(tagCount: number): Pick<ObjectHeaders, 'tagCount'> {
  return tagCount > 0 ? { tagCount } : {};
}

export function fromSdkHeaders(output: Answered): ObjectHeaders {
  const metadata: Record<string, string> = {};
  for (const [name, value] of Object.entries(output.Metadata ?? {}))
    metadata[name.toLowerCase()] = decodeMetadata(value);
  return {
    metadata,
    ...(output.ContentType === undefined ? {} : { contentType: output.ContentType }),
    ...(output.ContentEncoding === undefined ? {} : { contentEncoding: output.ContentEncoding }),
    ...(output.ContentLanguage === undefined ? {} : { contentLanguage: output.ContentLanguage }),
    ...(output.ContentDisposition === undefined ? {} : { contentDisposition: output.ContentDisposition }),
    ...(output.CacheControl === undefined ? {} : { cacheControl: output.CacheControl }),
    ...(output.StorageClass === undefined ? {} : { storageClass: output.StorageClass }),
    ...(output.ExpiresString === undefined ? {} : { expires: output.ExpiresString }),
    ...(output.WebsiteRedirectLocation === undefined
      ? {}
      : { websiteRedirect: output.WebsiteRedirectLocation }),
    ...encryptionOf(output.ServerSideEncryption, output.SSEKMSKeyId, output.BucketKeyEnabled === true),
    ...tagCountOf(output.TagCount ?? 0),
  };
}

const ENCODED_WORD = /=\?([^?\s]+)\?([bq])\?([^?\s]*)\?=/gi;

/** As it is where a header carries it unchanged, else as one encoded word. */
export function encodeMetadata(value: string): string {
  // Header values lose spaces at their ends, and what looks like an encoded word would be decoded on the way back.
  const plain = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$|^$/.test(value) && !/=\?.*\?=/.test(value);
  return plain ? value : `=?UTF-8?B?${Buffer.from(value, 'utf8').toString('base64')}?=`;
}

/** Encoded words decoded, the spaces between two of them dropped (RFC 2047 6.2). Unknown charsets stay as they are. */
export function decodeMetadata(value: string): string {
  if (!value.includes('=?')) return value;
  return value
    .replace(/(\?=)\s+(?==\?[^?\s]+\?[bq]\?)/gi, '$1')
    .replace(ENCODED_WORD, (word: string, charset: string, encoding: string, text: string) => {
      const bytes = encoding.toLowerCase() === 'b' ? Buffer.from(text, 'base64') : quotedPrintable(text);
      switch (charset.toLowerCase()) {
        case 'utf-8':
        case 'us-ascii':
          return bytes.toString('utf8');
        case 'iso-8859-1':
          return bytes.toString('latin1');
        default:
          return word;
      }
    });
}

/** The Q encoding (RFC 2047 4.2). */
function quotedPrintable(text: string): Buffer {
  const latin1 = text
    .replaceAll('_', ' ')
    .replace(/=([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return Buffer.from(latin1, 'latin1');
}
