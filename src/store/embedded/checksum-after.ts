/** The checksum of an object that was added to: CRCs go on from where they were, digests can't. */
import { checksumHeader, type Checksum } from './checksums.js';
import { crc32c, crc64nvme, type Crc64 } from './crc.js';
import { crc32 } from 'node:zlib';
import { S3Error } from './errors.js';

function base64Of(...words: readonly number[]): string {
  const raw = Buffer.alloc(4 * words.length);
  words.forEach((word, at) => raw.writeUInt32BE(word >>> 0, 4 * at));
  return raw.toString('base64');
}

/**
 * The checksum after `tail`'s bytes (`pieces`) were added. Undefined where none can be told: the object had none, or a digest, or one
 * composed of parts'. Fails with InvalidRequest where the tail was sent with another algorithm.
 */
export async function checksumAfter(
  before: Checksum | undefined,
  tail: Checksum | undefined,
  pieces: AsyncIterable<Buffer>,
): Promise<Checksum | undefined> {
  if (before === undefined) return undefined;
  const { algorithm, type } = before;
  if (tail !== undefined && tail.algorithm !== algorithm) {
    const [expected, actual] = [algorithm, tail.algorithm].map((each) => checksumHeader(each).slice(15));
    throw new S3Error(
      'InvalidRequest',
      `Checksum Type mismatch occurred, expected checksum Type: ${expected ?? ''}, actual checksum Type: ${actual ?? ''}`,
    );
  }
  if (type !== 'FULL_OBJECT') return undefined;
  const raw = Buffer.from(before.value, 'base64');
  switch (algorithm) {
    case 'CRC32':
    case 'CRC32C': {
      let value = raw.readUInt32BE(0);
      for await (const piece of pieces)
        value = algorithm === 'CRC32' ? crc32(piece, value) : crc32c(piece, value);
      return { algorithm, type, value: base64Of(value) };
    }
    case 'CRC64NVME': {
      let value: Crc64 = { high: raw.readUInt32BE(0), low: raw.readUInt32BE(4) };
      for await (const piece of pieces) value = crc64nvme(piece, value);
      return { algorithm, type, value: base64Of(value.high, value.low) };
    }
    case 'SHA1':
    case 'SHA256':
    case 'SHA512':
    case 'MD5':
      return undefined;
  }
}
