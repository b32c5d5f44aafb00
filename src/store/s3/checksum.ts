/** The CRCs that S3 takes with uploads, computed here once for all attempts, and the ETags S3 would give. */
import { createHash } from 'node:crypto';
// Since Node 20.15 and 22.2, below `engines`.
import { crc32 } from 'node:zlib';
import type { Body, PartChecksum, UploadedPart } from '../object-store.js';
import { CRC32, CRC32C, CRC64NVME, type Crc, joinedCrc } from './crc-combine.js';
import { CRC32_DISTANCES, CRC32C_DISTANCES, foldedCrc, type Crc32 } from './folded-crc.js';
import { TableCrc } from './table-crc.js';

export type ChecksumAlgorithm = PartChecksum['algorithm'];

/** All of them. */
export const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = ['crc32', 'crc32c', 'crc64nvme'];

/** As S3 spells them in requests. */
export const SDK_ALGORITHM = {
  crc32: 'CRC32',
  crc32c: 'CRC32C',
  crc64nvme: 'CRC64NVME',
} as const satisfies Readonly<Record<ChecksumAlgorithm, string>>;

/** By algorithm. */
export const CRCS: Readonly<Record<ChecksumAlgorithm, Crc>> = {
  crc32: CRC32,
  crc32c: CRC32C,
  crc64nvme: CRC64NVME,
};

/** The CRC of bytes, going on from that of what came before them. */
export type Update = (bytes: Uint8Array, before: bigint) => bigint;

/** Computes checksums by one algorithm. */
export class BodyChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly #update: Update;

  constructor(algorithm: ChecksumAlgorithm) {
    this.algorithm = algorithm;
    this.#update = updateOf(algorithm);
  }

  /** Of all slices in one. */
  of(body: Body): PartChecksum {
    const value = body.reduce((crc, slice) => this.#update(slice, crc), 0n);
    return { algorithm: this.algorithm, value: base64Of(this.algorithm, value) };
  }

  /** As `of`, of bytes that come one after the other. */
  async ofStream(chunks: AsyncIterable<Uint8Array>): Promise<PartChecksum> {
    let value = 0n;
    for await (const chunk of chunks) value = this.#update(chunk, value);
    return { algorithm: this.algorithm, value: base64Of(this.algorithm, value) };
  }

  /** As `of`, with `-N`: the checksum of N checksums. */
  composite(digests: readonly Buffer[]): PartChecksum {
    const { value } = this.of(digests);
    return { algorithm: this.algorithm, value: `${value}-${String(digests.length)}` };
  }
}

/** Has a machine of its own: worth keeping. */
export function updateOf(algorithm: ChecksumAlgorithm): Update {
  const { polynomial, width } = CRCS[algorithm];
  if (algorithm === 'crc32') return ofNumbers(foldedCrc(CRC32_DISTANCES, crc32));
  const table = new TableCrc(polynomial, width);
  if (algorithm === 'crc64nvme') return (bytes, before) => table.of(bytes, before);
  const direct: Crc32 = (bytes, before = 0) => Number(table.of(bytes, BigInt(before)));
  return ofNumbers(foldedCrc(CRC32C_DISTANCES, direct));
}

function ofNumbers(crc: Crc32): Update {
  return (bytes, before) => BigInt(crc(bytes, Number(before)));
}

/** base64 of the big-endian value, as in `x-amz-checksum-*`. */
function base64Of(algorithm: ChecksumAlgorithm, value: bigint): string {
  const digits = CRCS[algorithm].width / 4;
  return Buffer.from(value.toString(16).padStart(digits, '0'), 'hex').toString('base64');
}

/** The header that carries it. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm}`;
}

/** The same as the SDK takes it. */
export function sdkChecksum(checksum: PartChecksum | undefined): {
  ChecksumCRC32?: string;
  ChecksumCRC32C?: string;
  ChecksumCRC64NVME?: string;
} {
  return checksum === undefined ? {} : { [`Checksum${SDK_ALGORITHM[checksum.algorithm]}`]: checksum.value };
}

/** Those that an answer of the SDK tells. */
export function checksumsOfSdk(output: {
  readonly ChecksumCRC32?: string | undefined;
  readonly ChecksumCRC32C?: string | undefined;
  readonly ChecksumCRC64NVME?: string | undefined;
}): readonly PartChecksum[] {
  return present({
    crc32: output.ChecksumCRC32,
    crc32c: output.ChecksumCRC32C,
    crc64nvme: output.ChecksumCRC64NVME,
  });
}

/** Those that the headers of an answer tell. */
export function checksumsOfHeaders(headers: ReadonlyMap<string, string>): readonly PartChecksum[] {
  const of = (algorithm: ChecksumAlgorithm): string | undefined => headers.get(checksumHeader(algorithm));
  return present({ crc32: of('crc32'), crc32c: of('crc32c'), crc64nvme: of('crc64nvme') });
}

function present(values: Readonly<Record<ChecksumAlgorithm, string | undefined>>): readonly PartChecksum[] {
  const found: PartChecksum[] = [];
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const value = values[algorithm];
    if (value !== undefined) found.push({ algorithm, value });
  }
  return found;
}

export function sameChecksum(one: PartChecksum | undefined, other: PartChecksum): boolean {
  return one?.algorithm === other.algorithm && one.value === other.value;
}

/** The composite checksum of a completed upload; CRC-64/NVME has none. Undefined unless each part tells its own. */
export function compositeChecksum(
  checksum: BodyChecksum,
  parts: readonly UploadedPart[],
): PartChecksum | undefined {
  if (checksum.algorithm === 'crc64nvme') return undefined;
  const digests: Buffer[] = [];
  for (const part of parts) {
    if (part.checksum?.algorithm !== checksum.algorithm) return undefined;
    digests.push(Buffer.from(part.checksum.value, 'base64'));
  }
  return checksum.composite(digests);
}

/** The checksum of all parts' bytes in one. Undefined unless each part tells its own and its size. */
export function fullChecksum(
  algorithm: ChecksumAlgorithm,
  parts: readonly UploadedPart[],
): PartChecksum | undefined {
  const pieces: { readonly value: bigint; readonly bytes: number }[] = [];
  for (const { checksum, bytes } of parts) {
    if (checksum?.algorithm !== algorithm || bytes === undefined) return undefined;
    const digest = Buffer.from(checksum.value, 'base64');
    pieces.push({ value: BigInt(`0x${digest.toString('hex')}`), bytes });
  }
  return { algorithm, value: base64Of(algorithm, joinedCrc(CRCS[algorithm], pieces)) };
}

export function bodyLength(body: Body): number {
  return body.reduce((sum, slice) => sum + slice.byteLength, 0);
}

/** The ETag of an object put in one piece (not under SSE-KMS or SSE-C), without quotes. */
export function md5Etag(body: Body): string {
  const hash = createHash('md5');
  for (const slice of body) hash.update(slice);
  return hash.digest('hex');
}

/** The ETag of a completed multipart upload: MD5 of the parts' MD5s, a dash, their number. Undefined unless all are MD5s. */
export function multipartEtag(parts: readonly UploadedPart[]): string | undefined {
  const hash = createHash('md5');
  for (const part of parts) {
    const hex = unquoted(part.etag);
    if (!/^[0-9a-f]{32}$/.test(hex)) return undefined;
    hash.update(hex, 'hex');
  }
  return `${hash.digest('hex')}-${String(parts.length)}`;
}

export function unquoted(etag: string): string {
  return etag.replaceAll('"', '');
}
