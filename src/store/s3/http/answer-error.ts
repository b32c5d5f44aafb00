/** An answer of S3 that is an error, in the shape the SDK gives its own: error-map.ts reads both. */
import type { AnswerHead } from './answer-parser.js';

/** Bytes of an error's body that are kept: S3's are a few hundred. */
export const ERROR_BYTES_MAX = 64 * 1024;

export class S3AnswerError extends Error {
  /** S3's error code; `Unknown` where the answer has none (HEAD). */
  override readonly name: string;
  readonly $metadata: { readonly httpStatusCode: number; readonly requestId: string | undefined };
  /** The region the answer says the bucket is in. */
  readonly bucketRegion: string | undefined;

  constructor(head: AnswerHead, body: string) {
    super(element(body, 'Message') ?? '');
    this.name = element(body, 'Code') ?? 'Unknown';
    this.$metadata = {
      httpStatusCode: head.status,
      requestId: head.headers.get('x-amz-request-id') ?? element(body, 'RequestId'),
    };
    this.bucketRegion = head.headers.get('x-amz-bucket-region') ?? element(body, 'Region');
  }
}

/** The text of the first element of that name: S3's errors are flat. */
export function element(xml: string, name: string): string | undefined {
  const text = new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  return text === undefined ? undefined : decodeEntities(text);
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['lt', '<'],
  ['gt', '>'],
  ['amp', '&'],
  ['quot', '"'],
  ['apos', "'"],
]);

/** XML's five entities and character references. */
export function decodeEntities(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(
    /&(?:#x([0-9a-f]{1,6})|#(\d{1,7})|(\w+));/gi,
    (whole, hex?: string, decimal?: string, name?: string) => {
      const code = hex !== undefined ? Number.parseInt(hex, 16) : Number(decimal ?? NaN);
      if (name !== undefined) return ENTITIES.get(name) ?? whole;
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}
