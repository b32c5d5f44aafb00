/** A store in memory that tells checksums, as S3 does, and whose GETs a test may corrupt on their way. */
import { createHash } from 'node:crypto';
import type {
  ByteRange,
  ByteSink,
  GetOptions,
  GetResult,
  ObjectChecksum,
  ObjectChecksums,
} from '../../src/store/object-store.js';
import { BodyChecksum, type ChecksumAlgorithm } from '../../src/store/s3/checksum.js';
import { MemoryStore, type MemoryStoreOptions } from './memory-store.js';

export class CheckedStore extends MemoryStore {
  /** HeadObject for a checksum alone. */
  asked = 0;
  /** Changes a copy of what a GET's sink gets; `offset` in the object. */
  corrupt: ((chunk: Buffer, offset: number, key: string) => void) | undefined;
  readonly #algorithm: ObjectChecksum['algorithm'] | 'none';
  readonly #known = new Map<string, ObjectChecksum | null>();

  constructor(options: MemoryStoreOptions, algorithm: ObjectChecksum['algorithm'] | 'none') {
    super(options);
    this.#algorithm = algorithm;
  }

  readonly checksums: ObjectChecksums = {
    known: (key, etag) => this.#known.get(`${etag} ${key}`),
    of: async (key, etag) => {
      const known = this.#known.get(`${etag} ${key}`);
      if (known !== undefined) return known ?? undefined;
      this.asked += 1;
      const checksum = this.#checksumOf(key);
      this.#known.set(`${etag} ${key}`, checksum ?? null);
      return Promise.resolve(checksum);
    },
  };

  override async get(key: string, range: ByteRange, options: GetOptions, sink: ByteSink): Promise<GetResult> {
    const checksum = this.#checksumOf(key);
    options.whole?.told(checksum);
    if (options.whole !== undefined) this.#known.set(`${options.ifMatch ?? ''} ${key}`, checksum ?? null);
    let { offset } = range;
    return super.get(key, range, options, (chunk) => {
      const { corrupt } = this;
      const given = corrupt === undefined ? chunk : Buffer.from(chunk);
      corrupt?.(given, offset, key);
      offset += chunk.length;
      sink(given);
    });
  }

  #checksumOf(key: string): ObjectChecksum | undefined {
    const body = this.objects.get(key)?.body;
    const algorithm = this.#algorithm;
    if (body === undefined || algorithm === 'none') return undefined;
    if (algorithm === 'sha1' || algorithm === 'sha256')
      return { algorithm, value: createHash(algorithm).update(body).digest('base64') };
    return new BodyChecksum(algorithm satisfies ChecksumAlgorithm).of([body]);
  }
}
