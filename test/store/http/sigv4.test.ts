/** Signatures against AWS's own examples ("Authenticating Requests: Using the Authorization Header", Amazon S3 API Reference). */
import t from 'tap';
import {
  amzDateOf,
  pathEncode,
  queryOf,
  SigV4,
  type UnsignedRequest,
} from '../../../src/store/s3/http/sigv4.js';

const credentials = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const scope = { region: 'us-east-1', service: 's3' };
const DATE = '20130524T000000Z';
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function signatureOf(request: Omit<UnsignedRequest, 'headers'>, headers: Record<string, string>): string {
  const all = new Map(
    Object.entries({
      host: 'examplebucket.s3.amazonaws.com',
      'x-amz-content-sha256': request.payloadHash,
      'x-amz-date': DATE,
      ...headers,
    }),
  );
  const value = new SigV4().authorization({ ...request, headers: all }, credentials, scope, DATE);
  return /Signature=([0-9a-f]{64})$/.exec(value)?.[1] ?? value;
}

await t.test('GET of a range', async (t) => {
  t.equal(
    signatureOf({ method: 'GET', path: '/test.txt', query: '', payloadHash: EMPTY }, { range: 'bytes=0-9' }),
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  );
});

await t.test('PUT of a key with a special character', async (t) => {
  t.equal(
    signatureOf(
      {
        method: 'PUT',
        path: `/${pathEncode('test$file.text')}`,
        query: '',
        payloadHash: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
      },
      { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    ),
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  );
});

await t.test('a listing', async (t) => {
  t.equal(
    signatureOf(
      { method: 'GET', path: '/', query: queryOf({ prefix: 'J', 'max-keys': '2' }), payloadHash: EMPTY },
      {},
    ),
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  );
});

await t.test('a key of another day, region or secret is derived anew', async (t) => {
  const signer = new SigV4();
  const request: UnsignedRequest = {
    method: 'GET',
    path: '/',
    query: '',
    headers: new Map([['host', 'h']]),
    payloadHash: EMPTY,
  };
  const one = (who = credentials, where = scope, date = DATE): string =>
    signer.authorization(request, who, where, date);
  const first = one();
  const others = [
    one(credentials, scope, '20130525T000000Z'),
    one(credentials, { ...scope, region: 'eu-west-1' }),
    one(credentials, { ...scope, service: 's3express' }),
    one({ ...credentials, secretAccessKey: 'another' }),
  ];
  t.equal(new Set([first, ...others].map((value) => value.split('Signature=')[1])).size, 5);
  t.equal(one(), first);
});

await t.test('names and times as AWS spells them', async (t) => {
  t.equal(pathEncode("a b/c+d/~e_f-g.h/ü/!'()*"), 'a%20b/c%2Bd/~e_f-g.h/%C3%BC/%21%27%28%29%2A');
  t.equal(queryOf({ b: 'x y', a: '/', c: undefined, 'a-b': '' }), 'a=%2F&a-b=&b=x%20y');
  t.equal(amzDateOf(Date.UTC(2013, 4, 24, 0, 0, 0, 123)), DATE);
});
