/** What an S3 store is told, with its defaults in one place. */
import { isIP } from 'node:net';
import type { Logger } from '../../telemetry/log.js';
import type { ChecksumAlgorithm } from './checksum.js';
import type { RetryPolicy } from './retry.js';

export interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** All in milliseconds. */
export interface S3Timeouts {
  /** TCP and TLS handshake. */
  readonly connectMs: number;
  /** From sending a request without a body to the head of its answer. */
  readonly firstByteMs: number;
  /** From sending a HEAD, GET or LIST to the end of its answer, beside a second for each 16 KiB that are asked for: bytes that trickle in are not waited for without end. */
  readonly wholeMs: number;
  /** Longest silence on a socket while a body is sent, an answer is awaited or a body is received. */
  readonly idleMs: number;
  /** The same silence for CopyObject, UploadPartCopy and CompleteMultipartUpload, where the store works before it answers. */
  readonly slowCallMs: number;
  /** All of `probe`. */
  readonly probeMs: number;
}

export interface S3StoreOptions {
  readonly bucket: string;
  readonly log: Logger;
  /** Default: environment, then profile, then asked of S3 (`us-east-1` at an endpoint of one's own). */
  readonly region?: string;
  /** `https://host:port` of an S3-compatible server. Default: AWS. */
  readonly endpointUrl?: string;
  /** Section of the AWS configuration files. */
  readonly profile?: string;
  /** `endpoint/bucket/key` and not `bucket.endpoint/key`. Default: true where the endpoint is an IP address or localhost. */
  readonly forcePathStyle?: boolean;
  /** Default: the SDK's chain (environment, profile, web identity, container, instance role). */
  readonly credentials?: S3Credentials;
  /** Public buckets: requests go out unsigned. */
  readonly noSignRequest?: boolean;
  /** S3 requests in flight, and sockets. Default 64. */
  readonly maxRequests?: number;
  readonly retry?: Partial<RetryPolicy>;
  readonly timeouts?: Partial<S3Timeouts>;
  /** Ask for If-Match / If-None-Match on writes. Default true; turns itself off when the server says NotImplemented. */
  readonly conditionalWrites?: boolean;
  /** Hash bodies into the signature over plain http as well. Default false: UNSIGNED-PAYLOAD plus checksum. */
  readonly signPayload?: boolean;
  /** Sent with PUT and parts. `off` for servers that refuse the header. Default `crc32`. */
  readonly uploadChecksums?: ChecksumAlgorithm | 'off';
  /**
   * Checksums are asked for with what is read, so that readers can check it. `auto`: at endpoints over plain HTTP, where nothing else
   * protects bodies on their way. Default `auto`.
   */
  readonly verifyReads?: 'auto' | 'on' | 'off';
  /** Who makes the frequent calls: our own transport, or the SDK. Default `direct`. */
  readonly transport?: 'direct' | 'sdk';
  readonly requesterPays?: boolean;
  /** Account id that must own the bucket. */
  readonly expectedBucketOwner?: string;
  readonly useDualstackEndpoint?: boolean;
  /** PEM certificates to trust in place of the built-in ones. */
  readonly certificateAuthorities?: string;
  /** Largest object one CopyObject takes. Default 5 GiB, S3's limit. */
  readonly copyBytesMax?: number;
  /** Part size of a multipart copy, at least 5 MiB. Default 256 MiB. */
  readonly copyPartBytes?: number;
}

export interface ResolvedOptions extends Omit<S3StoreOptions, 'verifyReads'> {
  readonly forcePathStyle: boolean;
  readonly noSignRequest: boolean;
  readonly maxRequests: number;
  readonly retry: RetryPolicy;
  readonly timeouts: S3Timeouts;
  readonly conditionalWrites: boolean;
  readonly signPayload: boolean;
  readonly uploadChecksums: ChecksumAlgorithm | 'off';
  readonly verifyReads: boolean;
  readonly transport: 'direct' | 'sdk';
  readonly copyBytesMax: number;
  readonly copyPartBytes: number;
}

const MIB = 1024 ** 2;
const GIB = 1024 ** 3;

/** The deadline fits inside the 25 s in which an NFS client wants its answer (JUKEBOX near 20 s). */
const RETRY: RetryPolicy = {
  attemptsMax: 8,
  throttledAttemptsMax: 12,
  backoffMs: 50,
  throttledBackoffMs: 200,
  backoffMsMax: 5_000,
  deadlineMs: 20_000,
};

const TIMEOUTS: S3Timeouts = {
  connectMs: 3_000,
  firstByteMs: 8_000,
  wholeMs: 60_000,
  idleMs: 10_000,
  slowCallMs: 300_000,
  probeMs: 5_000,
};

export function resolveOptions(options: S3StoreOptions): ResolvedOptions {
  return {
    ...options,
    forcePathStyle: options.forcePathStyle ?? isNumericOrLocal(options.endpointUrl),
    noSignRequest: options.noSignRequest ?? false,
    maxRequests: options.maxRequests ?? 64,
    retry: { ...RETRY, ...options.retry },
    timeouts: { ...TIMEOUTS, ...options.timeouts },
    conditionalWrites: options.conditionalWrites ?? true,
    signPayload: options.signPayload ?? false,
    uploadChecksums: options.uploadChecksums ?? 'crc32',
    verifyReads: isVerified(options),
    transport: options.transport ?? 'direct',
    copyBytesMax: options.copyBytesMax ?? 5 * GIB,
    copyPartBytes: options.copyPartBytes ?? 256 * MIB,
  };
}

function isVerified({ verifyReads = 'auto', endpointUrl }: S3StoreOptions): boolean {
  if (verifyReads !== 'auto') return verifyReads === 'on';
  return endpointUrl !== undefined && new URL(endpointUrl).protocol === 'http:';
}

/** `bucket.10.0.0.1` is no host name, and `bucket.localhost` resolves on few machines. */
function isNumericOrLocal(endpointUrl: string | undefined): boolean {
  if (endpointUrl === undefined) return false;
  const host = new URL(endpointUrl).hostname.replace(/^\[|\]$/g, '');
  return isIP(host) !== 0 || host === 'localhost';
}
