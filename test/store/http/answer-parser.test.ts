/** HTTP/1.1 answers, however their bytes are split: heads, bodies of each framing, and what is no answer. */
import t from 'tap';
import fc from '../../support/fast-check.js';
import { AnswerParser, type AnswerHead } from '../../../src/store/s3/http/answer-parser.js';

interface Seen {
  readonly heads: AnswerHead[];
  body: string;
  ends: number;
}

/** Parses answers to requests of these methods from bytes that come in these pieces. */
function parse(pieces: readonly Buffer[], methods: readonly string[] = ['GET'], close = false): Seen {
  const seen: Seen = { heads: [], body: '', ends: 0 };
  const waiting = [...methods];
  const parser = new AnswerParser({
    head: (head) => void seen.heads.push(head),
    body: (chunk) => (seen.body += chunk.toString('latin1')),
    end: () => {
      seen.ends += 1;
    },
  });
  const begin = (): void => {
    const method = waiting.shift();
    if (method !== undefined) parser.begin(method);
  };
  begin();
  for (const piece of pieces) {
    // The buffer is another's after the call: what the parser keeps must be its own.
    const lent = Buffer.from(piece);
    parser.push(lent);
    lent.fill(0x21);
    if (parser.idle) begin();
  }
  if (close) parser.close();
  return seen;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

await t.test('a body by its length', async (t) => {
  const seen = parse([bytes('HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\nETag: "a"\r\n\r\nhello')]);
  t.equal(seen.heads[0]?.status, 206);
  t.equal(seen.heads[0]?.headers.get('etag'), '"a"');
  t.equal(seen.heads[0]?.keepAlive, true);
  t.equal(seen.body, 'hello');
  t.equal(seen.ends, 1);
});

await t.test('a chunked body with extensions and trailers', async (t) => {
  const seen = parse([
    bytes(
      'HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n' +
        '4;name=value\r\nWiki\r\n6 \r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\nx-checksum: 1\r\n\r\n',
    ),
  ]);
  t.equal(seen.body, 'Wikipedia in \r\n\r\nchunks.');
  t.equal(seen.ends, 1);
});

await t.test('a body until the connection ends, which is then of no more use', async (t) => {
  const open = parse([bytes('HTTP/1.1 200 OK\r\n\r\nsome'), bytes(' bytes')]);
  t.equal(open.ends, 0);
  const closed = parse([bytes('HTTP/1.1 200 OK\r\n\r\nsome'), bytes(' bytes')], ['GET'], true);
  t.equal(closed.body, 'some bytes');
  t.equal(closed.ends, 1);
  t.equal(closed.heads[0]?.keepAlive, false);
});

await t.test('answers without a body: to HEAD, 204, 304, and of no length', async (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['HEAD', 'HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n'],
    ['HEAD', 'HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n'],
    ['PUT', 'HTTP/1.1 204 No Content\r\n\r\n'],
    ['GET', 'HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n'],
    ['PUT', 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n'],
    ['GET', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
  ];
  for (const [method, text] of cases) {
    const seen = parse([bytes(text)], [method]);
    t.equal(seen.ends, 1, `${method}: ${text.slice(0, 20)}`);
    t.equal(seen.body, '');
  }
});

await t.test('interim answers are passed over', async (t) => {
  const seen = parse(
    [
      bytes(
        'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n',
      ),
    ],
    ['PUT'],
  );
  t.strictSame(
    seen.heads.map(({ status }) => status),
    [200],
  );
});

await t.test('whether the connection is kept', async (t) => {
  const keptBy = (version: string, connection: string): boolean | undefined =>
    parse([bytes(`HTTP/${version} 200 OK\r\ncontent-length: 0\r\n${connection}\r\n`)]).heads[0]?.keepAlive;
  t.equal(keptBy('1.1', ''), true);
  t.equal(keptBy('1.1', 'Connection: Close\r\n'), false);
  t.equal(keptBy('1.0', ''), false);
  t.equal(keptBy('1.0', 'Connection: Keep-Alive\r\n'), true);
});

await t.test('what is no answer is refused', async (t) => {
  const bad = [
    'SSH-2.0-OpenSSH_9.2\r\n\r\n',
    'HTTP/2 200 OK\r\n\r\n',
    'HTTP/1.1 20 OK\r\n\r\n',
    'HTTP/1.1 101 Switching Protocols\r\n\r\n',
    'HTTP/1.1 200 OK\r\nno colon\r\n\r\n',
    'HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n',
    'HTTP/1.1 200 OK\r\nname : value\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1e3\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n',
    'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nab\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab',
    `HTTP/1.1 200 OK\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`,
    `HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;${'y'.repeat(2000)}\r\n`,
  ];
  for (const text of bad)
    t.throws(() => parse([bytes(text)]), { name: 'HttpAnswerError' }, JSON.stringify(text.slice(0, 60)));
});

await t.test('what of a head is said twice, and what no head may hold', async (t) => {
  const headers = (lines: string): ReadonlyMap<string, string> | undefined =>
    parse([bytes(`HTTP/1.1 200 OK\r\ncontent-length: 0\r\n${lines}\r\n`)]).heads[0]?.headers;
  // As node:http: the first of those that are single, the others joined.
  t.equal(headers('ETag: "a"\r\netag: "b"\r\n')?.get('etag'), '"a"');
  t.equal(headers('x-amz-meta-a: 1\r\nX-Amz-Meta-A: 2\r\n')?.get('x-amz-meta-a'), '1, 2');
  t.equal(headers('x-a: \t b \t c \t \r\n')?.get('x-a'), 'b \t c');
  t.equal(headers('x-a:\r\n')?.get('x-a'), '');
  for (const value of ['a\rb', 'a\nb', 'a\0b'])
    t.throws(() => headers(`x-a: ${value}\r\n`), { name: 'HttpAnswerError' });
});

await t.test('a head is read in the time of its length', async (t) => {
  // An expression that tries each blank as the last one would take hours for these.
  const blanks = ' '.repeat(60_000);
  t.throws(() => parse([bytes(`HTTP/1.1 200 OK\r\nx: ${blanks}\n\r\n\r\n`)]), { name: 'HttpAnswerError' });
  const seen = parse([bytes(`HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: a${blanks}b\r\n\r\n`)]);
  t.equal(seen.heads[0]?.headers.get('x')?.length, 60_002);
});

await t.test('the same length said twice is one', async (t) => {
  t.equal(parse([bytes('HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab')]).body, 'ab');
});

await t.test('a connection that ends within an answer is told', async (t) => {
  const ended = (text: string): boolean => {
    const parser = new AnswerParser({ head: () => undefined, body: () => undefined, end: () => undefined });
    parser.begin('GET');
    parser.push(bytes(text));
    return parser.close();
  };
  t.equal(ended('HTTP/1.1 200 OK\r\ncontent-le'), false);
  t.equal(ended('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab'), false);
  t.equal(ended('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n'), false);
  t.equal(ended('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc'), true);
  t.equal(ended('HTTP/1.1 200 OK\r\n\r\nab'), true);
});

/** An answer as a server might write it, and what should be read of it. */
const answers = fc
  .record({
    body: fc.string({ maxLength: 60 }).map((text) => Buffer.from(text).toString('latin1')),
    cuts: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }),
    chunked: fc.boolean(),
    trailer: fc.boolean(),
    interim: fc.boolean(),
    status: fc.constantFrom(200, 206, 404, 503),
  })
  .map(({ body, cuts, chunked, trailer, interim, status }) => {
    let framed = body;
    if (chunked) {
      framed = '';
      let at = 0;
      for (let turn = 0; at < body.length; turn++) {
        const chunk = body.slice(at, at + (cuts[turn % cuts.length] ?? 1));
        framed += `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
        at += chunk.length;
      }
      framed += `0\r\n${trailer ? 'x-trailer: 1\r\n' : ''}\r\n`;
    }
    const framing = chunked ? 'Transfer-Encoding: chunked' : `Content-Length: ${body.length}`;
    const text = `${interim ? 'HTTP/1.1 100 Continue\r\n\r\n' : ''}HTTP/1.1 ${status} Some Words\r\nX-A:  b \r\n${framing}\r\n\r\n${framed}`;
    return { text, body, status };
  });

await t.test('answers one after another, split anywhere, read the same', async (t) => {
  fc.assert(
    fc.property(
      fc.array(answers, { minLength: 1, maxLength: 4 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 20 }),
      (sent, sizes) => {
        const pieces: Buffer[] = [];
        for (const { text } of sent) {
          const whole = bytes(text);
          for (let at = 0, turn = 0; at < whole.length; turn++) {
            const size = sizes[turn % sizes.length] ?? 1;
            pieces.push(whole.subarray(at, at + size));
            at += size;
          }
        }
        const seen = parse(
          pieces,
          sent.map(() => 'GET'),
        );
        return (
          seen.ends === sent.length &&
          seen.body === sent.map(({ body }) => body).join('') &&
          seen.heads.every((head, at) => head.status === sent[at]?.status && head.headers.get('x-a') === 'b')
        );
      },
    ),
    { numRuns: 500 },
  );
  t.pass('500 sequences');
});
