/** A request's body: decoded as `x-amz-content-sha256` says, with its length, digest, Content-MD5 and checksums verified at its end. */
import { createHash } from 'node:crypto';
import type { Readable } from 'node:stream';
import { AwsChunkedDecoder, CHUNK_BYTES_MIN } from './aws-chunked.js';
import {
  CHECKSUM_ALGORITHMS,
  checksumHeader,
  isChecksumValue,
  parseChecksumAlgorithm,
  startChecksum,
  UNKNOWN_CHECKSUM_HEADERS,
  type ChecksumAlgorithm,
} from './checksums.js';
import { S3Error } from './errors.js';
import type { Authorization } from './sigv4.js';

/** The largest object of one PUT, and the largest part: 5 GiB. */
export const PUT_BYTES_MAX = 5 * 1024 ** 3;

/** What a body turned out to be. */
export interface Received {
  readonly size: number;
  /** Hex. */
  readonly md5: string;
  /** base64 by algorithm: the ones claimed, and the ones asked for besides. */
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, string>;
  /** The algorithm the client claimed a value for, in a header or a trailer. */
  readonly claimed: ChecksumAlgorithm | undefined;
}

export interface PayloadSource {
  readonly stream: Readable;
  readonly headers: ReadonlyMap<string, string>;
  readonly authorization: Authorization;
  /** Called before the first byte is read: answers `Expect: 100-continue`. */
  readonly begin: () => void;
  /** Told the bytes of the body as they come, encoding included. */
  readonly count: (bytes: number) => void;
}

function parseLength(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const length = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(length))
    throw new S3Error('InvalidArgument', 'Invalid length');
  return length;
}

/** How the bytes are wrapped: as they are, or in aws-chunked. */
interface Wrapping {
  readonly decoder: AwsChunkedDecoder | undefined;
  readonly length: number;
  /** Hex SHA-256 the whole must have. */
  readonly sha256: string | undefined;
}

function wrappingOf({ headers, authorization }: PayloadSource): Wrapping {
  const { payload } = authorization;
  const given = parseLength(headers.get('content-length'));
  if (given === undefined && headers.has('transfer-encoding') && !payload.startsWith('STREAMING-')) {
    throw new S3Error('MissingContentLength');
  }
  const length = given ?? 0;
  if (payload === 'UNSIGNED-PAYLOAD') return { decoder: undefined, length, sha256: undefined };
  if (/^[0-9a-f]{64}$/.test(payload)) return { decoder: undefined, length, sha256: payload };
  const mode = /^STREAMING-(AWS4-HMAC-SHA256|UNSIGNED)-PAYLOAD(-TRAILER)?$/.exec(payload);
  const signed = mode?.[1] === 'AWS4-HMAC-SHA256';
  const trailer = mode?.[2] !== undefined;
  if (mode === null || (!signed && !trailer)) {
    throw new S3Error(
      'InvalidArgument',
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    );
  }
  const decodedLength = parseLength(headers.get('x-amz-decoded-content-length'));
  if (decodedLength === undefined) throw new S3Error('MissingContentLength');
  const { signingKey, timestamp, scope, signature } = authorization;
  const signing = signed ? { signingKey, timestamp, scope, seedSignature: signature } : undefined;
  return {
    decoder: new AwsChunkedDecoder({ decodedLength, signing, trailer, chunkBytesMin: CHUNK_BYTES_MIN }),
    length: decodedLength,
    sha256: undefined,
  };
}

/** The checksum a client claims in a header, or names for the trailer. At most one. */
function claimOf(headers: ReadonlyMap<string, string>): {
  readonly algorithm: ChecksumAlgorithm | undefined;
  readonly value: string | undefined;
} {
  const claims = CHECKSUM_ALGORITHMS.filter((algorithm) => headers.has(checksumHeader(algorithm)));
  const trailers = (headers.get('x-amz-trailer') ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  const unknown = UNKNOWN_CHECKSUM_HEADERS.find((name) => headers.has(name) || trailers.includes(name));
  if (unknown !== undefined) throw new S3Error('NotImplemented', undefined, { Header: unknown });
  const named = trailers.map((name) => CHECKSUM_ALGORITHMS.find((each) => checksumHeader(each) === name));
  if (named.includes(undefined)) {
    throw new S3Error('InvalidRequest', 'The value specified in the x-amz-trailer header is not supported');
  }
  if (claims.length + named.length > 1) {
    throw new S3Error(
      'InvalidRequest',
      'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
    );
  }
  const [algorithm] = claims;
  if (algorithm === undefined) return { algorithm: named[0], value: undefined };
  const value = headers.get(checksumHeader(algorithm)) ?? '';
  if (!isChecksumValue(algorithm, value)) {
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} header is invalid.`);
  }
  return { algorithm, value };
}

/** The algorithm of `x-amz-sdk-checksum-algorithm`, or undefined. Fails on one that S3 doesn't know. */
function announcedAlgorithm(headers: ReadonlyMap<string, string>): ChecksumAlgorithm | undefined {
  const name = headers.get('x-amz-sdk-checksum-algorithm');
  if (name === undefined) return undefined;
  const algorithm = parseChecksumAlgorithm(name);
  if (algorithm === undefined) {
    throw new S3Error('InvalidRequest', 'Value for x-amz-sdk-checksum-algorithm header is invalid.');
  }
  return algorithm;
}

/**
 * Reads the body to its end, giving each decoded chunk to `take`, and verifies all that is claimed of it. `take` may keep the chunks.
 * `lengthMax` bounds it, in bytes; `also` is computed besides, `otherwise` when nothing is claimed. Fails with S3's error for what doesn't match: only when this returns are
 * the bytes proven.
 */
export async function receive(
  source: PayloadSource,
  options: {
    readonly lengthMax: number;
    readonly also?: ChecksumAlgorithm | undefined;
    readonly otherwise?: ChecksumAlgorithm | undefined;
  },
  take: (chunk: Buffer) => Promise<void> | void,
): Promise<Received> {
  const { headers } = source;
  const { decoder, length, sha256 } = wrappingOf(source);
  if (length > options.lengthMax) {
    throw new S3Error('EntityTooLarge', undefined, {
      ProposedSize: String(length),
      MaxSizeAllowed: String(options.lengthMax),
    });
  }
  const claim = claimOf(headers);
  const announced = announcedAlgorithm(headers);
  if (announced !== undefined && claim.algorithm !== announced) {
    throw new S3Error(
      'InvalidRequest',
      claim.algorithm === undefined
        ? 'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.'
        : 'Value for x-amz-sdk-checksum-algorithm header is invalid.',
    );
  }
  const contentMd5 = headers.get('content-md5');
  if (contentMd5 !== undefined && Buffer.from(contentMd5, 'base64').length !== 16) {
    throw new S3Error('InvalidDigest', undefined, { 'Content-MD5': contentMd5 });
  }
  const wanted = new Set(
    [claim.algorithm ?? options.otherwise, options.also].filter((each) => each !== undefined),
  );
  const running = [...wanted].map((algorithm) => ({ algorithm, stream: startChecksum(algorithm) }));
  const md5 = createHash('md5');
  const sha = sha256 === undefined ? undefined : createHash('sha256');
  let size = 0;

  source.begin();
  try {
    // A body that is refused halfway must not take the connection with it: the answer still goes out on it.
    const pieces = source.stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    for await (const piece of pieces) {
      source.count(piece.length);
      for (const chunk of decoder?.push(piece) ?? [piece]) {
        size += chunk.length;
        if (size > options.lengthMax) throw new S3Error('EntityTooLarge');
        md5.update(chunk);
        sha?.update(chunk);
        for (const { stream } of running) stream.update(chunk);
        await take(chunk);
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNRESET') {
      throw new S3Error('IncompleteBody', undefined, {}, { cause: error });
    }
    throw error;
  }
  decoder?.finish();
  for (const name of decoder?.trailers.keys() ?? []) {
    if (claim.algorithm === undefined || name !== checksumHeader(claim.algorithm)) {
      throw new S3Error('MalformedTrailerError', `The trailer ${name} was not named in x-amz-trailer.`);
    }
  }
  if (size !== length) throw new S3Error('IncompleteBody');

  if (sha !== undefined) {
    const computed = sha.digest('hex');
    if (computed !== sha256) {
      throw new S3Error('XAmzContentSHA256Mismatch', undefined, {
        ClientComputedContentSHA256: sha256 ?? '',
        S3ComputedContentSHA256: computed,
      });
    }
  }
  const digest = md5.digest();
  if (contentMd5 !== undefined && contentMd5 !== digest.toString('base64')) {
    throw new S3Error('BadDigest', 'The Content-MD5 you specified did not match what we received.', {
      ExpectedDigest: contentMd5,
      CalculatedDigest: digest.toString('base64'),
    });
  }
  const checksums = new Map(running.map(({ algorithm, stream }) => [algorithm, stream.digest()]));
  if (claim.algorithm !== undefined) verifyClaim(claim.algorithm, claim.value, checksums, decoder);
  return { size, md5: digest.toString('hex'), checksums, claimed: claim.algorithm };
}

function verifyClaim(
  algorithm: ChecksumAlgorithm,
  headerValue: string | undefined,
  checksums: ReadonlyMap<ChecksumAlgorithm, string>,
  decoder: AwsChunkedDecoder | undefined,
): void {
  const value = headerValue ?? decoder?.trailers.get(checksumHeader(algorithm));
  if (value === undefined) throw new S3Error('MalformedTrailerError');
  if (!isChecksumValue(algorithm, value)) {
    throw new S3Error('InvalidRequest', `Value for ${checksumHeader(algorithm)} trailing header is invalid.`);
  }
  if (value !== checksums.get(algorithm)) {
    throw new S3Error('BadDigest', `The ${algorithm} you specified did not match the calculated checksum.`);
  }
}

/** Reads a whole small body. Fails with MalformedXML past `lengthMax` bytes. */
export async function receiveSmall(
  source: PayloadSource,
  lengthMax: number,
): Promise<{ readonly body: Buffer; readonly received: Received }> {
  const chunks: Buffer[] = [];
  const received = await receive(source, { lengthMax }, (chunk) => {
    chunks.push(chunk);
  });
  return { body: Buffer.concat(chunks), received };
}
