/** S3's additional checksums (x-amz-checksum-*): their names, computing them over a stream, composing those of parts. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c, crc64nvme, type Crc64 } from './crc.js';

export type ChecksumAlgorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256' | 'SHA512' | 'MD5';
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE';

/** A checksum of an object or a part: base64, with `-N` where it is composed of N parts'. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
  readonly value: string;
}

export const CHECKSUM_ALGORITHMS: readonly ChecksumAlgorithm[] = [
  'CRC32',
  'CRC32C',
  'CRC64NVME',
  'SHA1',
  'SHA256',
  'SHA512',
  'MD5',
];

/** The algorithms of S3 that this server doesn't compute: claims of them are refused, not passed over. */
export const UNKNOWN_CHECKSUM_HEADERS: readonly string[] = [
  'x-amz-checksum-xxhash64',
  'x-amz-checksum-xxhash3',
  'x-amz-checksum-xxhash128',
];

/** What S3 adds to an object that comes without a checksum (user guide, "Checking object integrity"). */
export const DEFAULT_CHECKSUM = {
  algorithm: 'CRC64NVME',
  type: 'FULL_OBJECT',
} as const satisfies UploadChecksum;

/** How the parts of an upload are summed, and how the object is. */
export interface UploadChecksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
}

/** Bytes of the raw value. */
export const CHECKSUM_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
  SHA512: 64,
  MD5: 16,
};

export function parseChecksumAlgorithm(name: string): ChecksumAlgorithm | undefined {
  return CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === name.toUpperCase());
}

/** `x-amz-checksum-crc32` and so on. */
export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** `ChecksumCRC32` and so on, as in XML. */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm}`;
}

/** The headers that tell a checksum; none where there is none. */
export function checksumHeaders(checksum: Checksum | undefined): Record<string, string> {
  if (checksum === undefined) return {};
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type };
}

/** base64 of exactly the algorithm's length. */
export function isChecksumValue(algorithm: ChecksumAlgorithm, value: string): boolean {
  const raw = Buffer.from(value, 'base64');
  return raw.length === CHECKSUM_BYTES[algorithm] && raw.toString('base64') === value;
}

/** A checksum under way. */
export interface ChecksumStream {
  update(data: Uint8Array): void;
  /** base64; ends the stream. */
  digest(): string;
}

function base64OfWords(...words: readonly number[]): string {
  const raw = Buffer.alloc(4 * words.length);
  words.forEach((word, at) => raw.writeUInt32BE(word >>> 0, 4 * at));
  return raw.toString('base64');
}

export function startChecksum(algorithm: ChecksumAlgorithm): ChecksumStream {
  switch (algorithm) {
    case 'CRC32': {
      let value = 0;
      return {
        update: (data) => {
          value = crc32(data, value);
        },
        digest: () => base64OfWords(value),
      };
    }
    case 'CRC32C': {
      let value = 0;
      return {
        update: (data) => {
          value = crc32c(data, value);
        },
        digest: () => base64OfWords(value),
      };
    }
    case 'CRC64NVME': {
      let value: Crc64 = { high: 0, low: 0 };
      return {
        update: (data) => {
          value = crc64nvme(data, value);
        },
        digest: () => base64OfWords(value.high, value.low),
      };
    }
    case 'SHA1':
    case 'SHA256':
    case 'SHA512':
    case 'MD5': {
      const hash = createHash(algorithm.toLowerCase());
      return {
        update: (data) => {
          hash.update(data);
        },
        digest: () => hash.digest('base64'),
      };
    }
  }
}

/** The checksum of the parts' raw checksums, with `-N` (S3 user guide, "Checking object integrity"). */
export function composeChecksums(algorithm: ChecksumAlgorithm, parts: readonly string[]): string {
  const stream = startChecksum(algorithm);
  for (const part of parts) stream.update(Buffer.from(part, 'base64'));
  return `${stream.digest()}-${parts.length}`;
}

/** The type an upload gets when its creator names none; digests compose only, CRC64NVME is of the whole object only. */
export function defaultChecksumType(algorithm: ChecksumAlgorithm): ChecksumType {
  return algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE';
}

export function allowsChecksumType(algorithm: ChecksumAlgorithm, type: ChecksumType): boolean {
  if (algorithm === 'CRC64NVME') return type === 'FULL_OBJECT';
  return type === 'COMPOSITE' || algorithm.startsWith('CRC');
}
