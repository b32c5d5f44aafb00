import { createHmac } from 'node:crypto';
import fc from '../../support/fast-check.js';
import t from 'tap';
import {
  AwsChunkedDecoder,
  CHUNK_BYTES_MIN,
  type AwsChunkedOptions,
} from '../../../src/store/embedded/aws-chunked.js';
import { S3Error } from '../../../src/store/embedded/errors.js';
import { signingKey } from '../../../src/store/embedded/sigv4.js';
import { sha256 } from './support.js';

const SIGNING = {
  signingKey: Buffer.from('key'),
  timestamp: '20260101T000000Z',
  scope: '20260101/us-east-1/s3/aws4_request',
  seedSignature: '0'.repeat(64),
};

function hmac(text: string): string {
  return createHmac('sha256', SIGNING.signingKey).update(text).digest('hex');
}

/** Encodes as a client does. */
function encode(chunks: readonly string[], signed: boolean, trailer?: readonly [string, string]): Buffer {
  let previous = SIGNING.seedSignature;
  let text = '';
  for (const data of [...chunks, '']) {
    previous = hmac(
      ['AWS4-HMAC-SHA256-PAYLOAD', SIGNING.timestamp, SIGNING.scope, previous, sha256(''), sha256(data)].join(
        '\n',
      ),
    );
    const size = Buffer.byteLength(data).toString(16);
    text += `${size}${signed ? `;chunk-signature=${previous}` : ''}\r\n`;
    if (data !== '') text += `${data}\r\n`;
  }
  if (trailer !== undefined) {
    text += `${trailer.join(':')}\r\n`;
    if (signed) {
      const digest = sha256(`${trailer.join(':')}\n`);
      const signature = hmac(
        ['AWS4-HMAC-SHA256-TRAILER', SIGNING.timestamp, SIGNING.scope, previous, digest].join('\n'),
      );
      text += `x-amz-trailer-signature:${signature}\r\n`;
    }
  }
  return Buffer.from(`${text}\r\n`);
}

function decode(
  pieces: readonly Buffer[],
  options: AwsChunkedOptions,
): { data: string; trailers: Record<string, string> } {
  const decoder = new AwsChunkedDecoder(options);
  const data = Buffer.concat(pieces.flatMap((piece) => decoder.push(piece))).toString();
  decoder.finish();
  return { data, trailers: Object.fromEntries(decoder.trailers) };
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof S3Error) return error.code;
    throw error;
  }
  return undefined;
}

const CHUNKS = ['hello\r\n', 'x'.repeat(20), '0\r\n\r\n'];
const PLAIN = CHUNKS.join('');
const TRAILER = ['x-amz-checksum-crc32', 'AAAAAA=='] as const;

interface Mode {
  readonly name: string;
  readonly encoded: Buffer;
  readonly options: AwsChunkedOptions;
  readonly trailers: Record<string, string>;
}

const decodedLength = Buffer.byteLength(PLAIN);
const MODES: readonly Mode[] = [
  {
    name: 'signed',
    encoded: encode(CHUNKS, true),
    options: { decodedLength, signing: SIGNING, chunkBytesMin: 1, trailer: false },
    trailers: {},
  },
  {
    name: 'unsigned with trailer',
    encoded: encode(CHUNKS, false, TRAILER),
    options: { decodedLength, signing: undefined, chunkBytesMin: 1, trailer: true },
    trailers: Object.fromEntries([TRAILER]),
  },
  {
    name: 'signed with trailer',
    encoded: encode(CHUNKS, true, TRAILER),
    options: { decodedLength, signing: SIGNING, chunkBytesMin: 1, trailer: true },
    trailers: Object.fromEntries([TRAILER]),
  },
];

for (const { name, encoded, options, trailers } of MODES) {
  await t.test(`${name}: split at every offset`, async (t) => {
    for (let at = 0; at <= encoded.length; at++) {
      const got = decode([encoded.subarray(0, at), encoded.subarray(at)], options);
      if (got.data !== PLAIN) t.fail(`split at ${at}`);
      t.same(got.trailers, trailers);
    }
  });

  await t.test(`${name}: byte by byte`, async (t) => {
    t.same(
      decode(
        [...encoded].map((byte) => Buffer.from([byte])),
        options,
      ),
      { data: PLAIN, trailers },
    );
  });

  await t.test(`${name}: cut off at every offset`, async (t) => {
    for (let at = 0; at < encoded.length; at++) {
      t.equal(
        codeOf(() => decode([encoded.subarray(0, at)], options)),
        'IncompleteBody',
      );
    }
  });

  await t.test(`${name}: any changed byte is found, or changes nothing but unsigned data`, async () => {
    fc.assert(
      fc.property(fc.nat(encoded.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const broken = Buffer.from(encoded);
        broken[at] = (broken[at] ?? 0) ^ change;
        const code = codeOf(() => decode([broken], options));
        // Case of a hex digit or of a header name, blanks around a value: these mean the same.
        return (
          code !== undefined || options.signing === undefined || decode([broken], options).data === PLAIN
        );
      }),
      { numRuns: 500 },
    );
  });
}

await t.test('the example of the S3 documentation', async (t) => {
  // "Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks".
  const key = signingKey('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY', '20130524', 'us-east-1');
  const signing = {
    signingKey: key,
    timestamp: '20130524T000000Z',
    scope: '20130524/us-east-1/s3/aws4_request',
    seedSignature: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  };
  const body = [
    `10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n${'a'.repeat(65536)}`,
    `400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n${'a'.repeat(1024)}`,
    '0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n',
  ].join('\r\n');
  const options = { decodedLength: 66560, signing, chunkBytesMin: CHUNK_BYTES_MIN, trailer: false };
  t.equal(decode([Buffer.from(body)], options).data, 'a'.repeat(66560));
});

await t.test('what a body may not be', async (t) => {
  const unsigned = { decodedLength: 5, signing: undefined, chunkBytesMin: 1, trailer: false };
  const end = '\r\n0\r\n\r\n';
  const code = (text: string, options: AwsChunkedOptions = unsigned): string | undefined =>
    codeOf(() => decode([Buffer.from(text)], options));
  t.equal(code(`5\r\nhello${end}`), undefined);
  t.equal(code(`6\r\nhello!${end}`), 'IncompleteBody', 'more than was announced');
  t.equal(code(`4\r\nhell${end}`), 'IncompleteBody', 'less than was announced');
  t.equal(code(`4\r\nhello${end}`), 'IncompleteBody', 'a chunk longer than its size');
  t.equal(code(`fffffffffffff\r\nhello${end}`), 'IncompleteBody', 'a size beyond all bounds');
  t.equal(code(`-5\r\nhello${end}`), 'IncompleteBody');
  t.equal(code(`5\nhello${end}`), 'IncompleteBody', 'LF alone');
  t.equal(code(`5;${'x'.repeat(2000)}\r\nhello${end}`), 'IncompleteBody', 'an endless line');
  t.equal(code(`5\r\nhello${end}more`), 'IncompleteBody', 'bytes after the end');
  t.equal(code(`5;chunk-signature=${'0'.repeat(64)}\r\nhello${end}`), 'SignatureDoesNotMatch');
  t.equal(code('5\r\nhello\r\n0\r\na:b\r\n\r\n'), 'MalformedTrailerError', 'a trailer where none was named');
  t.equal(
    code(`5\r\nhello\r\n0\r\n${'a:b\r\n'.repeat(2)}\r\n`, { ...unsigned, trailer: true }),
    'MalformedTrailerError',
    'a trailer twice',
  );
});

await t.test('only the last chunk with data may be smaller than 8 KiB', async (t) => {
  const chunks = (...sizes: readonly number[]): string | undefined => {
    const text = [...sizes, 0].map((size) => `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n`).join('');
    const decodedLength = sizes.reduce((sum, size) => sum + size, 0);
    const options = { decodedLength, signing: undefined, chunkBytesMin: CHUNK_BYTES_MIN, trailer: false };
    return codeOf(() => decode([Buffer.from(text)], options));
  };
  t.equal(chunks(8192, 8192, 1), undefined);
  t.equal(chunks(1), undefined);
  t.equal(chunks(8191, 8192), 'InvalidChunkSizeError');
  t.equal(chunks(8192, 1, 1), 'InvalidChunkSizeError');
});
